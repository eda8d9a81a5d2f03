//! The API as a value: finds the token, asks, and turns every answer into JSON or an [`Error`].

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

pub mod access;
mod entries;
pub mod token;
pub mod trust;

use access::{Access, Credentials};
use trust::Trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// A file has to travel, and to be read at the other end.
const FILE_TIMEOUT: Duration = Duration::from_mins(10);

/// The whole list of ten thousand nodes with their scripts is some tens of megabytes.
const LARGEST_ANSWER: u64 = 512 << 20;

/// What can go wrong between a question and its answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers at the address.
    #[error("cannot reach the daemon at {url}: {source}")]
    Unreachable {
        /// The address that was tried.
        url: String,
        /// Why it failed.
        source: Box<ureq::Error>,
    },
    /// The daemon answers but does not let us in.
    #[error("the daemon at {url} refuses the login: {message}")]
    LoginRefused {
        /// The address that was tried.
        url: String,
        /// The daemon's own words.
        message: String,
    },
    /// There is nothing to log in with.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// Nobody can be believed to be the daemon.
    #[error(transparent)]
    Trust(#[from] trust::Error),
    /// The object, or the route, does not exist.
    #[error("{message}")]
    NotFound {
        /// The daemon's own words.
        message: String,
    },
    /// The daemon does not do it: a rule, a conflict, or a failure of its own.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The daemon's own words.
        message: String,
    },
    /// A file that is to be sent cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The answer is not what this API answers.
    #[error("the answer of {url} is not that of a Perilune daemon: {reason}")]
    Malformed {
        /// The address that was asked.
        url: String,
        /// What was expected.
        reason: &'static str,
    },
}

/// A connection to one daemon.
pub struct Client {
    agent: ureq::Agent,
    url: String,
    credentials: Credentials,
    token: Mutex<Option<String>>,
    only_tries: bool,
    /// What would have changed, since it was last asked.
    tried: Mutex<Vec<Value>>,
    /// What would have become of other things, since it was last asked.
    notes: Mutex<Vec<Value>>,
    /// What the daemon took and finds odd, since it was last asked.
    remarks: Mutex<Vec<Value>>,
}

/// What is sent.
#[derive(Clone, Copy)]
enum Body<'a> {
    Json(&'a Value),
    File(&'a Path),
}

/// An answer of the daemon, before it is judged.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Client {
    /// A client that goes where `access` says.
    pub fn new(access: Access) -> Result<Self, Error> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(access.trust.configuration(&access.url)?)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .user_agent(concat!("perilune/", env!("CARGO_PKG_VERSION")))
            .build();
        let token = access.credentials.known_token();
        Ok(Self {
            agent: config.into(),
            url: access.url,
            credentials: access.credentials,
            token: Mutex::new(token),
            only_tries: false,
            tried: Mutex::default(),
            notes: Mutex::default(),
            remarks: Mutex::default(),
        })
    }

    /// A client that logs in with a user name and a password, and keeps its token in memory only.
    pub fn with_password(url: &str, username: &str, password: &str) -> Result<Self, Error> {
        let credentials = Credentials::Password {
            username: username.to_owned(),
            password: password.to_owned(),
            cache: None,
        };
        let trust = Trust::default();
        Self::new(Access { url: access::normalise(url), credentials, trust })
    }

    /// From now on changes are only tried: the daemon says what would change, and changes nothing.
    #[must_use]
    pub fn only_trying(self) -> Self {
        Self { only_tries: true, ..self }
    }

    /// The objects that would have changed, since this was last asked.
    pub fn take_tried(&self) -> Vec<Value> {
        std::mem::take(&mut *self.tried.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sentences on what else would have happened, since this was last asked.
    pub fn take_notes(&self) -> Vec<Value> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sentences on what the daemon took, or would take, and finds odd, since this was last asked.
    pub fn take_remarks(&self) -> Vec<Value> {
        std::mem::take(&mut *self.remarks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether changes are only tried.
    pub fn only_tries(&self) -> bool {
        self.only_tries
    }

    /// Where the daemon is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether a service runs, in the daemon's words. It needs no token.
    pub fn service(&self, name: &str) -> Result<(bool, String), Error> {
        let path = path(["monitor", "service", name]);
        let answer = self.exchange(&path, None, None)?;
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let words = value.pointer("/monitor/Service").and_then(|said| said.get(name)?.as_str());
        match words {
            Some(words) => Ok((answer.status == 200, words.to_owned())),
            None => Err(self.malformed(&path, "nothing about the service in it")),
        }
    }

    /// Asks a route that needs a token. The result is the body; null when there is none.
    pub fn get(&self, path: &str) -> Result<Value, Error> {
        self.judge(path, &self.with_token(path, None)?)
    }

    /// Asks a route that is open to everybody.
    pub fn get_open(&self, path: &str) -> Result<Value, Error> {
        self.judge(path, &self.exchange(path, None, None)?)
    }

    /// Sends `body` to a route that needs a token.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.judge(path, &self.with_token(path, Some(Body::Json(body)))?)
    }

    /// Sends a file, as it is, to a route that needs a token.
    pub fn post_file(&self, path: &str, file: &Path) -> Result<Value, Error> {
        // A daemon that does not know the token answers before it has read the file, and the answer could get lost.
        self.get("/config/cluster")?;
        self.judge(path, &self.with_token(path, Some(Body::File(file)))?)
    }

    /// Writes what a route that needs a token answers, however large, to a file.
    pub fn download(&self, path: &str, file: &mut File) -> Result<(), Error> {
        // Whether the token is good is asked first: this answer cannot be asked for twice.
        self.get("/config/cluster")?;
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let url = format!("{}{path}", self.url);
        let unreachable =
            |source| Error::Unreachable { url: self.url.clone(), source: Box::new(source) };
        let request = self.agent.get(&url).header("x-access-tokens", token.unwrap_or_default());
        let request = request.config().timeout_global(None).build();
        let mut response = request.call().map_err(unreachable)?;
        let status = response.status().as_u16();
        if status != 200 {
            let reader = response.body_mut().with_config().limit(LARGEST_ANSWER);
            let body = reader.read_to_vec().map_err(unreachable)?;
            return self.judge(path, &Answer { status, body }).map(drop);
        }
        let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
        let copied = std::io::copy(&mut reader, file);
        copied.map(drop).map_err(|source| unreachable(source.into()))
    }

    /// All objects of a kind (`node`, `group`, `network`, `osimage`), by name.
    pub fn objects(&self, kind: &str) -> Result<Map<String, Value>, Error> {
        let answer = self.with_token(&path(["config", kind]), None)?;
        // The API says "404, there are none" for an empty list; a route that does not exist has no body.
        if answer.status == 404 && answer.message().is_some() {
            return Ok(Map::new());
        }
        self.unwrap(self.judge(kind, &answer)?, &["config", kind])
    }

    /// Gives each object of a kind to `visit`, in the order of the daemon. Of a long list only the text is held.
    pub fn each_object(
        &self,
        kind: &str,
        mut visit: impl FnMut(String, Value),
    ) -> Result<(), Error> {
        let answer = self.with_token(&path(["config", kind]), None)?;
        if answer.status == 404 && answer.message().is_some() {
            return Ok(());
        }
        if answer.status != 200 {
            return self.judge(kind, &answer).map(drop);
        }
        match entries::each(&answer.body, &["config", kind], &mut visit) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.malformed(&format!("config/{kind}"), "no such object in it")),
            Err(_no_json) => Err(self.malformed(&format!("config/{kind}"), "no JSON in it")),
        }
    }

    /// The names of all objects of a kind.
    pub fn names(&self, kind: &str) -> Result<std::collections::BTreeSet<String>, Error> {
        let mut names = std::collections::BTreeSet::new();
        self.each_object(kind, |name, _| names.extend([name]))?;
        Ok(names)
    }

    /// One object, with what it inherits.
    pub fn object(&self, kind: &str, name: &str) -> Result<Map<String, Value>, Error> {
        self.unwrap(self.get(&path(["config", kind, name]))?, &["config", kind, name])
    }

    /// Creates the object, or changes just the given fields of it.
    pub fn save(
        &self,
        kind: &str,
        name: &str,
        fields: &Map<String, Value>,
    ) -> Result<Value, Error> {
        self.post(&path(["config", kind, name]), &json!({ "config": { kind: { name: fields } } }))
    }

    /// Posts to a route below an object, such as `_clone`, in the API's envelope.
    pub fn act(
        &self,
        kind: &str,
        name: &str,
        action: &str,
        fields: &Map<String, Value>,
    ) -> Result<Value, Error> {
        let body = json!({ "config": { kind: { name: fields } } });
        self.post(&path(["config", kind, name, action]), &body)
    }

    /// Makes several requests as one change, or only tries that. When some of them are refused, their numbers, from 1, and why.
    pub fn bulk(
        &self,
        edits: &[Value],
        is_trial: bool,
    ) -> Result<(), (Vec<(usize, String)>, Error)> {
        let path = if is_trial && !self.only_tries { "/bulk?dry_run=true" } else { "/bulk" };
        let body = json!({ "edits": edits });
        let answer =
            self.with_token(path, Some(Body::Json(&body))).map_err(|error| (Vec::new(), error))?;
        let Answer { status, body } = &answer;
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let refusals = problem.get("refusals").and_then(Value::as_array).into_iter().flatten();
        let refusals: Vec<(usize, String)> = refusals
            .filter_map(|refusal| {
                let number = usize::try_from(refusal.get("edit")?.as_u64()?).ok()?;
                Some((number, refusal.get("reason")?.as_str()?.to_owned()))
            })
            .collect();
        let Some((_, reason)) = refusals.first().filter(|_| !(200..300).contains(status)) else {
            return self.judge(path, &answer).map(drop).map_err(|error| (Vec::new(), error));
        };
        let body = json!({ "message": reason }).to_string().into_bytes();
        let failure = self.judge(path, &Answer { status: *status, body });
        failure.map(drop).map_err(|error| (refusals, error))
    }

    /// Removes the object.
    pub fn remove(&self, kind: &str, name: &str) -> Result<(), Error> {
        self.get(&path(["config", kind, name, "_delete"])).map(drop)
    }

    /// Logs in now, whatever token is there. The token, so that a caller can keep it.
    pub fn login(&self) -> Result<String, Error> {
        let Credentials::Password { username, password, cache } = &self.credentials else {
            let message = "the token has expired or is not this daemon's".to_owned();
            return Err(Error::LoginRefused { url: self.url.clone(), message });
        };
        let body = json!({ "username": username, "password": password });
        let answer = self.exchange("/token", Some(Body::Json(&body)), None)?;
        if matches!(answer.status, 400 | 401 | 403) {
            let message = answer.message().unwrap_or_else(|| "no reason given".to_owned());
            return Err(Error::LoginRefused { url: self.url.clone(), message });
        }
        let answer = self.judge("/token", &answer)?;
        let Some(token) = answer.get("token").and_then(Value::as_str) else {
            return Err(self.malformed("/token", "no token in it"));
        };
        if let Some(cache) = cache {
            // A token that cannot be kept is asked for again next time; nothing is lost.
            cache.store(username, password, token).ok();
        }
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.to_owned());
        Ok(token.to_owned())
    }

    /// Sends with the token at hand, and once more with a new one when the daemon does not accept it.
    fn with_token(&self, path: &str, body: Option<Body<'_>>) -> Result<Answer, Error> {
        let route = path.split('?').next().unwrap_or_default();
        let changes = matches!(body, Some(Body::Json(_))) || acts_by_get(route);
        let separator = if path.contains('?') { '&' } else { '?' };
        let trial = (self.only_tries && changes).then(|| format!("{path}{separator}dry_run=true"));
        let path = trial.as_deref().unwrap_or(path);
        let known = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = known.filter(|token| !token::is_expired(token, token::now())) {
            let answer = self.exchange(path, body, Some(&token))?;
            if answer.status != 401 {
                return Ok(answer);
            }
        }
        let token = self.login()?;
        self.exchange(path, body, Some(&token))
    }

    fn exchange(
        &self,
        path: &str,
        body: Option<Body<'_>>,
        token: Option<&str>,
    ) -> Result<Answer, Error> {
        let url = format!("{}{path}", self.url);
        let result = match body {
            None => {
                let request = with_sudo_user(self.agent.get(&url));
                match token {
                    Some(token) => request.header("x-access-tokens", token).call(),
                    None => request.call(),
                }
            }
            Some(body) => {
                let mut request = with_sudo_user(self.agent.post(&url));
                if let Some(token) = token {
                    request = request.header("x-access-tokens", token);
                }
                match body {
                    Body::Json(body) => {
                        request.content_type("application/json").send(&body.to_string())
                    }
                    Body::File(path) => {
                        let failed = |source| Error::File { path: path.to_owned(), source };
                        let file = File::open(path).map_err(failed)?;
                        let request = request.config().timeout_global(Some(FILE_TIMEOUT)).build();
                        request.content_type("application/vnd.sqlite3").send(&file)
                    }
                }
            }
        };
        let unreachable =
            |source| Error::Unreachable { url: self.url.clone(), source: Box::new(source) };
        let mut response = result.map_err(unreachable)?;
        let reader = response.body_mut().with_config().limit(LARGEST_ANSWER);
        let body = reader.read_to_vec().map_err(unreachable)?;
        Ok(Answer { status: response.status().as_u16(), body })
    }

    /// Keeps what would have changed, and remarks; nobody else asked for them.
    fn noted(&self, value: Value) -> Value {
        if let Some(Value::Array(remarks)) = value.get("remarks") {
            let mut kept = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(remarks.iter().cloned());
        }
        if value.get("dry_run").and_then(Value::as_bool) != Some(true) {
            return value;
        }
        for (key, kept) in [("changes", &self.tried), ("notes", &self.notes)] {
            let told = value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
            kept.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
        }
        Value::Null
    }

    fn judge(&self, path: &str, answer: &Answer) -> Result<Value, Error> {
        if (200..300).contains(&answer.status) {
            if answer.body.is_empty() {
                return Ok(Value::Null);
            }
            let Ok(value) = serde_json::from_slice(&answer.body) else {
                return Err(self.malformed(path, "no JSON in it"));
            };
            return Ok(self.noted(value));
        }
        let status = answer.status;
        match (status, answer.message()) {
            (401, message) => {
                let message = message.unwrap_or_else(|| "no reason given".to_owned());
                Err(Error::LoginRefused { url: self.url.clone(), message })
            }
            (404, Some(message)) => Err(Error::NotFound { message }),
            (404, None) => {
                Err(Error::NotFound { message: format!("this daemon has no route {path}") })
            }
            (_, Some(message)) => Err(Error::Refused { status, message }),
            (_, None) => {
                let message = format!("the daemon answers with status {status} and no reason");
                Err(Error::Refused { status, message })
            }
        }
    }

    /// The object found by following `keys` into `value`.
    fn unwrap(&self, mut value: Value, keys: &[&str]) -> Result<Map<String, Value>, Error> {
        for key in keys {
            value = value.get_mut(key).map(Value::take).unwrap_or_default();
        }
        match value {
            Value::Object(object) => Ok(object),
            _ => Err(self.malformed(&keys.join("/"), "no such object in it")),
        }
    }

    fn malformed(&self, path: &str, reason: &'static str) -> Error {
        Error::Malformed { url: format!("{}/{}", self.url, path.trim_start_matches('/')), reason }
    }
}

/// Whether something is done although it is asked for by GET: a removal, a packing. Nobody has to add what is new here, or a trial would
/// do it.
fn acts_by_get(route: &str) -> bool {
    const LOOK: [&str; 5] = ["_member", "_nextfreeip", "_check", "_status", "_list"];
    let last = route.rsplit('/').next().unwrap_or_default();
    let is_look = route.starts_with("/service/status/") || last == "status";
    last.starts_with('_') && !LOOK.contains(&last) || route.starts_with("/service/") && !is_look
}

/// Says who became the user of this program, for the history.
fn with_sudo_user<B>(request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
    match std::env::var("SUDO_USER") {
        Ok(user) if user.is_ascii() && !user.chars().any(char::is_control) => {
            request.header("x-sudo-user", user)
        }
        Ok(_) | Err(_) => request,
    }
}

impl Answer {
    /// The daemon's words in an answer that is an error.
    fn message(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        match body.get("message")? {
            Value::String(message) => Some(message.clone()),
            // Some routes nest the message once more.
            Value::Object(inner) => inner.get("message")?.as_str().map(str::to_owned),
            _ => None,
        }
    }
}

/// A path of percent-encoded segments: names may contain blanks.
pub fn path<'a>(segments: impl IntoIterator<Item = &'a str>) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        encode_into(&mut path, segment);
    }
    path
}

/// `text` as it can stand in a path or a query.
pub fn encode(text: &str) -> String {
    let mut encoded = String::new();
    encode_into(&mut encoded, text);
    encoded
}

fn encode_into(encoded: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for digit in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(digit), 16).unwrap_or('0');
                encoded.push(digit.to_ascii_uppercase());
            }
        }
    }
}

#[cfg(test)]
mod tests;
