//! A BMC that speaks Redfish over TLS, with a state that tests look at and peculiarities that they choose.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{PASSWORD, USER};

const SYSTEM: &str = "/redfish/v1/Systems/1";
const CHASSIS: &str = "/redfish/v1/Chassis/1";
const TOKEN: &str = "token-of-a-session";

/// What this BMC does differently from the plainest one.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a peculiarity of its own")]
pub(crate) struct Peculiarities {
    /// Answers to an action with a task, which ends so.
    pub(crate) task_ends_as: Option<&'static str>,
    /// Changes the tag of its system after the first time that it was read.
    pub(crate) changes_tag: bool,
    /// Says that it is not ready, so often.
    pub(crate) not_ready: u32,
    /// Closes the connection after each answer.
    pub(crate) closes: bool,
    pub(crate) resets: Option<Vec<&'static str>>,
    pub(crate) no_sessions: bool,
    /// Answers everything with these bytes.
    pub(crate) nonsense: Option<&'static str>,
    pub(crate) vendor: &'static str,
    /// Refuses what is so already, with this status and the id of a message.
    pub(crate) refuses_same: Option<(u16, &'static str)>,
    /// Gives weak tags, and wants this one of the tag without its mark: "{}" is the tag.
    pub(crate) wants_tag: Option<&'static str>,
    /// Takes the password in sessions only.
    pub(crate) no_basic: bool,
    /// Shows its root to nobody who is not logged in.
    pub(crate) closed_root: bool,
    /// Answers every reset with this status and body; and does it.
    pub(crate) reset_answer: Option<(u16, &'static str)>,
    /// Other systems, before its own.
    pub(crate) systems: Vec<(&'static str, Value)>,
    /// Refuses sessions with this status and the id of a message.
    pub(crate) session_refusal: Option<(u16, &'static str)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) is_on: bool,
    pub(crate) light: String,
    pub(crate) resets: Vec<String>,
    pub(crate) logins: u32,
    pub(crate) open_sessions: u32,
    pub(crate) log_cleared: bool,
    pub(crate) requests: Vec<String>,
    tag: u32,
    not_ready: u32,
}

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: CertificateDer<'static>,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(crate) async fn start(tasks: &mut JoinSet<()>, peculiarities: Peculiarities) -> Self {
        Self::start_at(tasks, (Ipv4Addr::LOCALHOST, 0).into(), peculiarities).await
    }

    pub(crate) async fn start_at(
        tasks: &mut JoinSet<()>,
        address: SocketAddr,
        peculiarities: Peculiarities,
    ) -> Self {
        let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = signed.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state =
            Arc::new(Mutex::new(State { not_ready: peculiarities.not_ready, ..State::default() }));
        let bmc = Arc::new(Bmc { state: Arc::clone(&state), peculiarities });
        tasks.spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), bmc));
        Self { address, certificate, state }
    }

    pub(crate) fn switch_on(&self) {
        self.state.lock().unwrap().is_on = true;
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, bmc: Arc<Bmc>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (acceptor, bmc) = (acceptor.clone(), Arc::clone(&bmc));
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let keep = !bmc.peculiarities.closes;
            let service = service_fn(move |request| {
                let bmc = Arc::clone(&bmc);
                async move { Ok::<_, std::convert::Infallible>(bmc.respond(request).await) }
            });
            let serving = http1::Builder::new()
                .keep_alive(keep)
                .serve_connection(TokioIo::new(stream), service);
            drop(serving.await);
        });
    }
}

struct Bmc {
    state: Arc<Mutex<State>>,
    peculiarities: Peculiarities,
}

type Answer = Response<Full<Bytes>>;

impl Bmc {
    async fn respond(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = head.uri.path().trim_end_matches('/').to_owned();
        let mut state = self.state.lock().unwrap();
        state.requests.push(format!("{} {path}", head.method));
        if let Some(nonsense) = self.peculiarities.nonsense {
            return answer(StatusCode::OK, nonsense.to_owned());
        }
        if state.not_ready > 0 {
            state.not_ready -= 1;
            let mut response =
                answer(StatusCode::SERVICE_UNAVAILABLE, "<html>wait</html>".to_owned());
            response.headers_mut().insert("retry-after", "0".parse().unwrap());
            return response;
        }
        if path == "/redfish/v1" && !self.peculiarities.closed_root {
            return json_answer(&self.root());
        }
        if path == "/redfish/v1/SessionService/Sessions" && !self.peculiarities.no_sessions {
            if let Some((status, id)) = self.peculiarities.session_refusal {
                return refusal(status, id);
            }
            return log_in(&mut state, &body);
        }
        let header = |name: &str| {
            head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        let is_basic = header("authorization") == basic && !self.peculiarities.no_basic;
        if !is_basic && header("x-auth-token") != TOKEN {
            state.logins += 1;
            return json_error(StatusCode::UNAUTHORIZED, "who are you?");
        }
        if path == "/redfish/v1" {
            return json_answer(&self.root());
        }
        self.resource(&mut state, &head.method, &path, (&body, header("if-match")))
    }

    fn root(&self) -> Value {
        let mut root = json!({
            "RedfishVersion": "1.15.0",
            "Systems": {"@odata.id": "/redfish/v1/Systems"},
            "Chassis": {"@odata.id": "/redfish/v1/Chassis"},
            "Vendor": self.peculiarities.vendor,
        });
        if !self.peculiarities.no_sessions {
            root["Links"] =
                json!({"Sessions": {"@odata.id": "/redfish/v1/SessionService/Sessions"}});
        }
        root
    }

    /// The tag that it gives, and the one that it takes.
    fn tags(&self, state: &State) -> (String, String) {
        let strong = format!("\"{}\"", state.tag);
        match self.peculiarities.wants_tag {
            Some(form) => (format!("W/{strong}"), form.replace("{}", &strong)),
            None => (strong.clone(), strong),
        }
    }

    fn resource(
        &self,
        state: &mut State,
        method: &Method,
        path: &str,
        (body, tag): (&Value, &str),
    ) -> Answer {
        let (own_tag, wanted) = self.tags(state);
        match (method.as_str(), path) {
            ("GET", "/redfish/v1/Systems") => {
                let others = self.peculiarities.systems.iter();
                let paths = others.map(|(name, _)| format!("/redfish/v1/Systems/{name}"));
                let paths = paths.chain([SYSTEM.to_owned()]);
                let members: Vec<Value> = paths.map(|path| json!({"@odata.id": path})).collect();
                json_answer(&json!({ "Members": members }))
            }
            ("GET", "/redfish/v1/Chassis") => {
                json_answer(&json!({"Members": [{"@odata.id": CHASSIS}]}))
            }
            ("GET", SYSTEM) => {
                let mut response = json_answer(&self.system(state));
                response.headers_mut().insert("etag", own_tag.parse().unwrap());
                if self.peculiarities.changes_tag && state.tag == 0 {
                    state.tag += 1;
                }
                response
            }
            ("PATCH", SYSTEM) if tag != wanted => {
                json_error(StatusCode::PRECONDITION_FAILED, "somebody was faster")
            }
            ("PATCH", SYSTEM) if body["IndicatorLED"] == state.light => self.same(),
            ("PATCH", SYSTEM) => {
                body["IndicatorLED"].as_str().unwrap_or_default().clone_into(&mut state.light);
                json_answer(&json!({}))
            }
            ("POST", "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset") => {
                self.reset(state, body)
            }
            ("GET", "/redfish/v1/Tasks/1") => json_answer(&json!({
                "TaskState": self.peculiarities.task_ends_as,
                "Messages": [{"Message": "the fuse is blown"}],
            })),
            ("GET", CHASSIS) => {
                json_answer(&json!({"@odata.id": CHASSIS, "Thermal": {"@odata.id": "/thermal"}}))
            }
            ("GET", "/thermal") => {
                json_answer(&json!({"Temperatures": [{"Name": "Inlet", "ReadingCelsius": 21}]}))
            }
            ("GET", "/logs") => json_answer(&json!({"Members": [
                {"@odata.id": "/logs/FaultList"}, {"@odata.id": "/logs/Sel"}, {"@odata.id": "/logs/PlatformLog"},
            ]})),
            ("GET", "/logs/FaultList") => json_answer(&json!({"Entries": {"@odata.id": "/none"}})),
            ("GET", "/logs/Sel" | "/logs/PlatformLog") => json_answer(&json!({
                "Entries": {"@odata.id": format!("{path}/Entries")},
                "Actions": {"#LogService.ClearLog": {"target": "/logs/clear"}},
            })),
            ("GET", "/logs/Sel/Entries") if !state.log_cleared => json_answer(&json!({
                "Members": [entry("1")], "Members@odata.nextLink": "/logs/page2",
            })),
            // Links alone, as some have it.
            ("GET", "/logs/page2") => {
                json_answer(&json!({"Members": [{"@odata.id": "/logs/entry2"}]}))
            }
            ("GET", "/logs/entry2") => json_answer(&entry("2")),
            ("GET", "/logs/Sel/Entries" | "/logs/PlatformLog/Entries") => {
                json_answer(&json!({"Members": []}))
            }
            ("POST", "/logs/clear") => {
                if state.log_cleared {
                    return self.same();
                }
                state.log_cleared = true;
                answer(StatusCode::NO_CONTENT, String::new())
            }
            ("DELETE", "/redfish/v1/SessionService/Sessions/1") => {
                state.open_sessions -= 1;
                answer(StatusCode::NO_CONTENT, String::new())
            }
            ("GET", path) => {
                let mut others = self.peculiarities.systems.iter();
                match others.find(|(name, _)| path == format!("/redfish/v1/Systems/{name}")) {
                    Some((_, system)) => json_answer(system),
                    None => json_error(StatusCode::NOT_FOUND, "no such resource"),
                }
            }
            _ => json_error(StatusCode::NOT_FOUND, "no such resource"),
        }
    }

    /// To a change to what is so already.
    fn same(&self) -> Answer {
        match self.peculiarities.refuses_same {
            Some((status, id)) => refusal(status, id),
            None => answer(StatusCode::NO_CONTENT, String::new()),
        }
    }

    fn system(&self, state: &State) -> Value {
        let resets = self
            .peculiarities
            .resets
            .clone()
            .unwrap_or_else(|| vec!["On", "ForceOff", "ForceRestart", "GracefulShutdown"]);
        json!({
            "@odata.id": SYSTEM,
            "PowerState": if state.is_on { "On" } else { "Off" },
            "IndicatorLED": state.light,
            "Manufacturer": "ACME",
            "SerialNumber": "S-1",
            "LogServices": {"@odata.id": "/logs"},
            "Actions": {"#ComputerSystem.Reset": {
                "target": "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset",
                "ResetType@Redfish.AllowableValues": resets,
            }},
        })
    }

    fn reset(&self, state: &mut State, body: &Value) -> Answer {
        let kind = body["ResetType"].as_str().unwrap_or_default().to_owned();
        if let Some(end) = self.peculiarities.task_ends_as {
            if end == "Completed" {
                state.is_on = kind == "On";
            }
            let mut response = answer(
                StatusCode::ACCEPTED,
                json!({"@odata.id": "/redfish/v1/Tasks/1"}).to_string(),
            );
            response
                .headers_mut()
                .insert("location", "https://bmc.example/redfish/v1/Tasks/1".parse().unwrap());
            return response;
        }
        let leads_to = match kind.as_str() {
            "On" | "ForceOn" => Some(true),
            "ForceOff" | "GracefulShutdown" => Some(false),
            _ => None,
        };
        if leads_to == Some(state.is_on) && self.peculiarities.refuses_same.is_some() {
            return self.same();
        }
        if let Some((status, body)) = self.peculiarities.reset_answer {
            state.resets.push(kind);
            return answer(StatusCode::from_u16(status).unwrap(), body.to_owned());
        }
        match kind.as_str() {
            "On" | "ForceOn" => state.is_on = true,
            "ForceOff" | "GracefulShutdown" => state.is_on = false,
            _ => {}
        }
        state.resets.push(kind);
        answer(StatusCode::NO_CONTENT, String::new())
    }
}

fn entry(id: &str) -> Value {
    json!({"Id": id, "Created": "2026-01-02T10:00:00Z", "SensorType": "Fan", "Message": "It stopped.", "EntryCode": "Assert"})
}

fn log_in(state: &mut State, body: &Value) -> Answer {
    state.logins += 1;
    if body["UserName"] != USER || body["Password"] != PASSWORD {
        return json_error(StatusCode::UNAUTHORIZED, "wrong");
    }
    state.open_sessions += 1;
    let mut response = answer(StatusCode::CREATED, "{}".to_owned());
    response.headers_mut().insert("x-auth-token", TOKEN.parse().unwrap());
    response
        .headers_mut()
        .insert("location", "/redfish/v1/SessionService/Sessions/1".parse().unwrap());
    response
}

fn json_answer(body: &Value) -> Answer {
    answer(StatusCode::OK, body.to_string())
}

fn json_error(status: StatusCode, message: &str) -> Answer {
    answer(status, json!({"error": {"@Message.ExtendedInfo": [{"Message": message}]}}).to_string())
}

fn refusal(status: u16, id: &str) -> Answer {
    let info = json!({"MessageId": format!("Base.1.8.{id}"), "Message": "it is refused"});
    let body = json!({"error": {"code": "Base.1.8.GeneralError", "@Message.ExtendedInfo": [info]}});
    answer(StatusCode::from_u16(status).unwrap(), body.to_string())
}

fn answer(status: StatusCode, body: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
