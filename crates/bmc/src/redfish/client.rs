//! HTTPS to one BMC, over one connection that is kept: requests, and what their answers mean.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderValue, IF_MATCH, LOCATION,
    RETRY_AFTER,
};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::task::JoinSet;

use super::Settings;
use super::tls::{self, Authorities, Fingerprint};
use crate::{Credentials, Error};

/// No resource is larger; an event log comes in pages.
const LONGEST_BODY: usize = 8 << 20;
const ANSWER_TIME: Duration = Duration::from_secs(15);
const MOST_REDIRECTS: u32 = 3;
/// How often a BMC may say that it is not ready, and how long it is waited for at most each time.
const NOT_READY_TRIES: u32 = 3;
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often it is asked whether a task has ended.
const TASK_PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Client {
    address: SocketAddr,
    settings: Settings,
    credentials: Credentials,
    authorities: Arc<Authorities>,
    pub(super) certificate: Fingerprint,
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes of the connection; ends with it.
    connection: JoinSet<()>,
    login: Login,
}

/// Where sessions are made, by the standard; the root may say otherwise.
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

enum Login {
    None,
    Basic(HeaderValue),
    Session { token: HeaderValue, path: Option<String> },
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Answer {
    /// What a later change has to name, so that it does not overwrite somebody else's.
    pub(super) fn etag(&self) -> Option<&str> {
        let header = self.headers.get(ETAG).and_then(|value| value.to_str().ok());
        header.or_else(|| self.body.get("@odata.etag").and_then(Value::as_str))
    }

    /// Whether the BMC gives one of these reasons, by the last part of a message's id: "Base.1.8.NoOperation".
    pub(super) fn says(&self, ids: &[&str]) -> bool {
        let Some(error) = self.body.get("error") else { return false };
        let messages = error.get("@Message.ExtendedInfo").and_then(Value::as_array);
        let messages = messages.map(Vec::as_slice).unwrap_or_default().iter();
        let named = messages.filter_map(|message| message.get("MessageId")?.as_str());
        let named = named.chain(error.get("code").and_then(Value::as_str));
        named.filter_map(|id| id.rsplit('.').next()).any(|id| ids.contains(&id))
    }
}

impl Client {
    /// Without having logged in.
    pub(super) async fn connect(
        address: SocketAddr,
        settings: &Settings,
        credentials: &Credentials,
        pinned: Option<Fingerprint>,
        authorities: &Arc<Authorities>,
    ) -> Result<Self, Error> {
        let (stream, certificate) =
            tls::connect(address, &settings.trust, pinned, authorities).await?;
        let mut connection = JoinSet::new();
        let sender = start(address, stream, &mut connection).await?;
        Ok(Self {
            address,
            settings: settings.clone(),
            credentials: credentials.clone(),
            authorities: Arc::clone(authorities),
            certificate,
            sender,
            connection,
            login: Login::None,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the password goes with every request.
    pub(super) fn use_password(&mut self) -> Result<(), Error> {
        let pair = format!("{}:{}", self.credentials.user, self.credentials.password);
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
            .or(Err(self.rejected("the password cannot be sent")))?;
        value.set_sensitive(true);
        self.login = Login::Basic(value);
        Ok(())
    }

    /// Makes a session where the root says that they are made. False where the BMC has none.
    pub(super) async fn use_session(&mut self, sessions: Option<&str>) -> Result<bool, Error> {
        self.login = Login::None;
        let Credentials { user, password } = &self.credentials;
        let body = serde_json::json!({ "UserName": user, "Password": password });
        let path = sessions.unwrap_or(SESSIONS);
        let answer = self.send(&Method::POST, path, Some(&body), None).await?;
        let token = answer.headers.get("x-auth-token").cloned();
        if let Some(mut token) = token.filter(|_| answer.status.is_success()) {
            token.set_sensitive(true);
            self.login = Login::Session { token, path: location(&answer) };
            return Ok(true);
        }
        match answer.status.as_u16() {
            404 | 405 | 501 => Ok(false),
            200..300 => Err(self.rejected("it makes a session and gives no token for it")),
            _ => Err(self.failure(&answer)),
        }
    }

    pub(super) fn is_in_session(&self) -> bool {
        matches!(self.login, Login::Session { .. })
    }

    /// Gives the session back.
    pub(super) async fn log_out(mut self) {
        if let Login::Session { path: Some(path), .. } = &self.login {
            let path = path.clone();
            if let Err(error) = self.send(&Method::DELETE, &path, None, None).await {
                tracing::debug!(bmc = %self.address, %error, "a Redfish session could not be closed");
            }
        }
    }

    /// A resource.
    pub(super) async fn get(&mut self, path: &str) -> Result<Answer, Error> {
        let answer = self.ask(path).await?;
        self.checked(answer)
    }

    /// Whatever is answered for a resource; where it has moved to, if it has moved on this BMC.
    pub(super) async fn ask(&mut self, path: &str) -> Result<Answer, Error> {
        let mut path = path.to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.send(&Method::GET, &path, None, None).await?;
            if !answer.status.is_redirection() {
                return Ok(answer);
            }
            path = location(&answer).ok_or_else(|| self.rejected("it redirects to elsewhere"))?;
        }
        Err(self.rejected("it redirects in circles"))
    }

    /// A change of some properties. Who changed the resource since it was read is not overwritten: it is read anew, once.
    /// Some BMCs refuse the very tag that they have given, when it is a weak one, or accept none but `*`.
    pub(super) async fn patch(
        &mut self,
        path: &str,
        body: &Value,
        etag: Option<&str>,
    ) -> Result<Answer, Error> {
        let mut tried = vec![etag.map(str::to_owned)];
        let mut answer = self.send(&Method::PATCH, path, Some(body), etag).await?;
        if !is_stale(&answer) {
            return self.checked(answer);
        }
        let newest = self.get(path).await?.etag().map(str::to_owned);
        let strong = newest.as_deref().map(|tag| tag.strip_prefix("W/").unwrap_or(tag).to_owned());
        for tag in [newest, strong, Some("*".to_owned())] {
            if !is_stale(&answer) {
                break;
            }
            if tried.contains(&tag) {
                continue;
            }
            answer = self.send(&Method::PATCH, path, Some(body), tag.as_deref()).await?;
            tried.push(tag);
        }
        self.checked(answer)
    }

    /// An action, to its end: also when the BMC makes a task of it.
    pub(super) async fn post(&mut self, path: &str, body: &Value) -> Result<Answer, Error> {
        let answer = self.send(&Method::POST, path, Some(body), None).await?;
        let answer = self.checked(answer)?;
        self.finished(answer).await
    }

    /// An action's answer, whatever it is; sent again to a BMC that says that it is not ready.
    pub(super) async fn post_often(&mut self, path: &str, body: &Value) -> Result<Answer, Error> {
        self.send(&Method::POST, path, Some(body), None).await
    }

    /// An action's answer, whatever it is; sent once, also to a BMC that says that it is not ready.
    pub(super) async fn post_once(&mut self, path: &str, body: &Value) -> Result<Answer, Error> {
        self.send_once(&Method::POST, path, Some(body), None).await
    }

    /// Waits for the task that a BMC has made of an action.
    pub(super) async fn finished(&mut self, answer: Answer) -> Result<Answer, Error> {
        if answer.status != StatusCode::ACCEPTED {
            return Ok(answer);
        }
        let named = answer.body.get("@odata.id").and_then(Value::as_str).map(str::to_owned);
        let Some(task) = location(&answer).or(named) else { return Ok(answer) };
        self.wait_for_task(&task).await
    }

    /// Until it ends, or whoever waits for this loses patience.
    async fn wait_for_task(&mut self, task: &str) -> Result<Answer, Error> {
        loop {
            let answer = self.send(&Method::GET, task, None, None).await?;
            let state = answer.body.get("TaskState").and_then(Value::as_str).unwrap_or_default();
            match (answer.status, state) {
                (_, "Exception" | "Killed" | "Cancelled") => {
                    let reason =
                        reason(&answer.body).unwrap_or_else(|| "it gives no reason".to_owned());
                    return Err(self.rejected(&format!("its task ended as {state}: {reason}")));
                }
                // A monitor that is gone has ended.
                (StatusCode::NOT_FOUND | StatusCode::GONE, _) | (_, "Completed") => {
                    return Ok(answer);
                }
                (StatusCode::ACCEPTED, _) => {}
                (status, "") if status.is_success() => return Ok(answer),
                (status, _) if status.is_success() => {}
                _ => return Err(self.failure(&answer)),
            }
            tokio::time::sleep(TASK_PAUSE).await;
        }
    }

    pub(super) fn checked(&self, answer: Answer) -> Result<Answer, Error> {
        if answer.status.is_success() { Ok(answer) } else { Err(self.failure(&answer)) }
    }

    pub(super) fn failure(&self, answer: &Answer) -> Error {
        let (address, user) = (self.address, self.credentials.user.clone());
        if answer.says(&["PasswordChangeRequired"]) {
            return self.rejected(&format!("the password of \"{user}\" must be changed first"));
        }
        if answer.says(&["SessionLimitExceeded", "CreateLimitReachedForResource"]) {
            return Error::NoFreeSession { address };
        }
        match answer.status {
            _ if answer.says(&["InsufficientPrivilege"]) => Error::NotPermitted { address, user },
            StatusCode::UNAUTHORIZED => Error::WrongPassword { address, user },
            _ if answer.says(&["UnauthorizedLoginAttempt"]) => {
                Error::WrongPassword { address, user }
            }
            StatusCode::FORBIDDEN => Error::NotPermitted { address, user },
            status => {
                let reason =
                    reason(&answer.body).unwrap_or_else(|| "it gives no reason".to_owned());
                self.rejected(&format!("{reason} (status {})", status.as_u16()))
            }
        }
    }

    pub(super) fn rejected(&self, reason: &str) -> Error {
        Error::Rejected { address: self.address, reason: reason.to_owned() }
    }

    /// Whatever the answer is; waits for a BMC that says when it will be ready.
    async fn send(
        &mut self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        etag: Option<&str>,
    ) -> Result<Answer, Error> {
        for _ in 1..NOT_READY_TRIES {
            let answer = self.send_once(method, path, body, etag).await?;
            if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                return Ok(answer);
            }
            let told =
                answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            tokio::time::sleep(told.map_or(TASK_PAUSE, Duration::from_secs).min(LONGEST_WAIT))
                .await;
        }
        self.send_once(method, path, body, etag).await
    }

    fn timed_out(&self) -> Error {
        let (address, waited) = (self.address, ANSWER_TIME);
        Error::TimedOut { address, tries: 1, waited, has_answered: true }
    }

    async fn send_once(
        &mut self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        etag: Option<&str>,
    ) -> Result<Answer, Error> {
        if self.sender.ready().await.is_err() {
            self.reconnect().await?;
        }
        let request = self.request(method, path, body, etag)?;
        let exchange = async {
            let response = self.sender.send_request(request).await?;
            let (head, body) = response.into_parts();
            Ok::<_, hyper::Error>((head, Limited::new(body, LONGEST_BODY).collect().await))
        };
        let Ok(exchanged) = tokio::time::timeout(ANSWER_TIME, exchange).await else {
            return Err(self.timed_out());
        };
        let garbled = |reason| Error::Garbled { address: self.address, reason };
        let (head, body) = exchanged.or(Err(garbled("the connection broke")))?;
        let body =
            body.or(Err(garbled("an answer that breaks off, or is far too long")))?.to_bytes();
        let is_json = !body.is_empty() && head.status != StatusCode::NO_CONTENT;
        let body = if is_json { serde_json::from_slice(&body).ok() } else { Some(Value::Null) };
        // An error may come as a page for people; and to a change the status says all.
        let body = match body {
            Some(body) => body,
            None if !head.status.is_success() || *method != Method::GET => Value::Null,
            None => return Err(garbled("an answer that is not JSON")),
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        etag: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let bytes = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header("OData-Version", "4.0")
            .header("Accept", "application/json");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(etag) = etag {
            request = request.header(IF_MATCH, etag);
        }
        request = match &self.login {
            Login::None => request,
            Login::Basic(value) => request.header(AUTHORIZATION, value),
            Login::Session { token, .. } => request.header("X-Auth-Token", token),
        };
        let is_local = path.starts_with('/') && !path.starts_with("//");
        let request = request.body(Full::new(bytes)).ok().filter(|_| is_local);
        request.ok_or_else(|| {
            self.rejected(&format!("it names a resource that cannot be asked for: \"{path}\""))
        })
    }

    /// Some BMCs close the connection after every answer. It must be the same BMC as before.
    async fn reconnect(&mut self) -> Result<(), Error> {
        let trust = &self.settings.trust;
        let known = Some(self.certificate);
        let (stream, certificate) =
            tls::connect(self.address, trust, known, &self.authorities).await?;
        self.connection = JoinSet::new();
        self.sender = start(self.address, stream, &mut self.connection).await?;
        self.certificate = certificate;
        Ok(())
    }
}

/// Whether the tag is what the BMC does not like.
fn is_stale(answer: &Answer) -> bool {
    let statuses = [StatusCode::PRECONDITION_FAILED, StatusCode::PRECONDITION_REQUIRED];
    let ids = ["PreconditionFailed", "PreconditionRequired", "HeaderInvalid", "HeaderMissing"];
    statuses.contains(&answer.status) || (!answer.status.is_success() && answer.says(&ids))
}

async fn start(
    address: SocketAddr,
    stream: tokio_rustls::client::TlsStream<tokio::net::TcpStream>,
    connection: &mut JoinSet<()>,
) -> Result<SendRequest<Full<Bytes>>, Error> {
    let shaken = handshake(TokioIo::new(stream)).await;
    let (sender, bytes) =
        shaken.or(Err(Error::Garbled { address, reason: "it does not speak HTTP" }))?;
    connection.spawn(async move { drop(bytes.await) });
    Ok(sender)
}

/// The path of a location on the same BMC. Where it names a host we do not care which: we ask this one.
fn location(answer: &Answer) -> Option<String> {
    let text = answer.headers.get(LOCATION)?.to_str().ok()?;
    let uri: http::Uri = text.parse().ok()?;
    uri.path_and_query().map(|path| path.as_str().to_owned()).filter(|path| path.starts_with('/'))
}

/// What a BMC says in its error body or its task's messages.
pub(super) fn reason(body: &Value) -> Option<String> {
    let extended = body.pointer("/error/@Message.ExtendedInfo").or_else(|| body.get("Messages"));
    let first = extended.and_then(|info| info.get(0).or(Some(info)));
    let message =
        first.and_then(|info| info.get("Message")).or_else(|| body.pointer("/error/message"));
    let text = message.and_then(Value::as_str)?;
    let clean: String =
        text.chars().filter(|character| !character.is_control()).take(300).collect();
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_reason_of_an_error_is_found_where_bmcs_put_it() {
        let extended = json!({"error": {"code": "x", "message": "see extended", "@Message.ExtendedInfo": [{"Message": "The value is wrong."}]}});
        assert_eq!(reason(&extended).unwrap(), "The value is wrong.");
        assert_eq!(reason(&json!({"error": {"message": "general"}})).unwrap(), "general");
        assert_eq!(
            reason(&json!({"Messages": [{"Message": "task failed"}]})).unwrap(),
            "task failed"
        );
        assert_eq!(reason(&json!([1, 2])), None);
    }
}
