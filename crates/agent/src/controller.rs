//! The controller, as a node speaks with it over HTTP. What will pass (the controller restarts, a cable is moved) is
//! waited for without end, and said on the console; what will not pass is an error with the controller's own words.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perilune_plan::inventory::Inventory;
use perilune_plan::{
    Installation, LONGEST_LOG, OtherController, Plan, Progress, Purpose, Ticket, Token,
};
use perilune_seal::{KeyPair, Sealed};
use rustls::CertificateError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use ureq::config::Config;
use ureq::http::{Response, StatusCode};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector as _, RustlsConnector, TcpConnector};
use ureq::{Agent, Body};

use crate::clock;
use crate::console::Console;
use crate::pinned::PinnedTls;
use crate::privileged_port::PrivilegedPort;
use crate::tpm;
use crate::trust::Trust;
use crate::wait::{self, Backoff};

/// The header of the token.
const TOKEN: &str = "x-access-tokens";
const JSON: &str = "application/json";
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long the controller may think.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);
/// How long a transfer may stand still.
const STILL_LIMIT: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Nothing depends on a report, so that it must not delay anything.
const PROGRESS_LIMIT: Duration = Duration::from_secs(3);
/// States are reported again this often; the installation goes on without.
const STATE_TRIES: usize = 5;
const LARGEST_ANSWER: u64 = 64 << 20;
/// A tracker tells of fifty peers or so.
const LONGEST_ANNOUNCED: u64 = 64 << 10;

/// Why the controller does not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It will pass: nothing listens, nothing answers.
    #[error("{0}")]
    Unreachable(String),
    /// It will pass: the controller fails.
    #[error("the controller fails ({status}): {message}")]
    Failing { status: u16, message: String },
    /// It will not pass until somebody changes something.
    #[error("the controller refuses ({status}): {message}")]
    Refused { status: u16, message: String },
    #[error("the controller's answer cannot be understood: {0}")]
    Unreadable(String),
    #[error(
        "the controller does not serve this boot: {message}; switch the node off and on, so that it boots through the controller again"
    )]
    NotServed { message: String },
    /// The ticket is over, or the machine is not the node's.
    #[error("the controller does not serve this boot: {message}")]
    TicketRefused { message: String },
}

impl Error {
    fn passes(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Failing { .. })
    }
}

pub struct Controller {
    places: Mutex<Places>,
    node: String,
    ticket: Option<String>,
    /// What the ticket is bound to, and answers with secrets are sealed to. One for all tries of a boot.
    key: Arc<KeyPair>,
    token: Mutex<Option<String>>,
}

/// Where the controllers of the site are. All do the same, and one is asked until it does not answer.
struct Places {
    bases: Vec<String>,
    current: usize,
    trust: Trust,
    speaker: Speaker,
}

/// What speaks to whichever is asked.
#[derive(Clone)]
struct Speaker {
    agent: Agent,
    /// For what a user of this machine must not be able to ask.
    privileged: Agent,
}

/// What every error of the controller looks like.
#[derive(Deserialize)]
struct Problem {
    message: String,
}

enum Method<'a> {
    Get,
    Post(&'a Value),
    /// From this byte on, if the file is still the one with this tag.
    File {
        from: u64,
        tag: Option<&'a str>,
    },
}

impl Controller {
    pub fn new(
        base: &str,
        node: &str,
        ticket: Option<&str>,
        trust: &Trust,
        key: Arc<KeyPair>,
    ) -> Self {
        let bases = vec![base.to_owned()];
        let (trust, speaker) = (trust.clone(), Speaker::new(trust));
        Self {
            places: Mutex::new(Places { bases, current: 0, trust, speaker }),
            node: node.to_owned(),
            ticket: ticket.map(str::to_owned),
            key,
            token: Mutex::new(None),
        }
    }

    /// Where the controller is that is asked at present.
    pub fn base(&self) -> String {
        self.asked().0
    }

    /// Learns of controllers that do the same.
    pub fn learn(&self, others: &[OtherController]) {
        let mut places = self.places();
        for other in others {
            if places.bases.contains(&other.url) {
                continue;
            }
            let certificate = other.certificate.as_deref().map(str::parse).transpose();
            // One whose certificate cannot be read is not believed.
            let Ok(certificate) = certificate else { continue };
            places.bases.push(other.url.clone());
            places.trust = places.trust.clone().and(certificate);
        }
        places.speaker = Speaker::new(&places.trust);
    }

    /// Where to ask, and by what.
    fn asked(&self) -> (String, Speaker) {
        let places = self.places();
        let base = places.bases.get(places.current).cloned().unwrap_or_default();
        (base, places.speaker.clone())
    }

    /// Asks the next controller from now on, unless another thread has gone on from this one; answers whether one is left that was not asked
    /// in this round.
    fn go_on_from(&self, base: &str) -> bool {
        let mut places = self.places();
        if places.bases.get(places.current).is_none_or(|current| current == base) {
            places.current = (places.current + 1) % places.bases.len().max(1);
        }
        places.current > 0
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token that this boot has at present.
    pub fn token(&self) -> Option<String> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What this node is to become.
    pub fn plan(&self, console: &Console) -> Result<Plan, Error> {
        let path = format!("/boot/plan/{}", self.node);
        let plan: Plan = self.patiently(console, || {
            self.opened(self.authorised(&path, &Method::Get)?, Purpose::Plan)
        })?;
        self.learn(&plan.controllers);
        Ok(plan)
    }

    /// Reports a state, with a sentence on it. A state that cannot be reported does not stop a node.
    pub fn report(&self, state: &str, status: Option<&str>, console: &Console) {
        let mut entry = json!({ "state": format!("install.{state}") });
        if let (Some(status), Some(fields)) = (status, entry.as_object_mut()) {
            fields.insert("status".to_owned(), status.into());
        }
        let body = json!({ "monitor": { "status": { &self.node: entry } } });
        if let Err(error) = self.deliver(&format!("/monitor/node/{}", self.node), &body) {
            console.warning(&format!("the state install.{state} was not reported: {error}"));
        }
    }

    /// Gives the controller what the console has said so far, which takes the place of what it had. An installation goes on without.
    pub fn send_log(&self, console: &Console) {
        let body = json!({ "text": console.log(LONGEST_LOG) });
        if let Err(error) = self.deliver(&format!("/boot/log/{}", self.node), &body) {
            console.warning(&format!("the controller did not take the log: {error}"));
        }
    }

    /// Posts something, again while what hinders it will pass, and not for ever.
    fn deliver(&self, path: &str, body: &Value) -> Result<(), Error> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut tries_left = STATE_TRIES;
        loop {
            let base = self.base();
            let error = match self.authorised(path, &Method::Post(body)) {
                Ok(_) => return Ok(()),
                Err(error) if error.passes() => error,
                Err(error) => return Err(error),
            };
            if self.go_on_from(&base) {
                continue;
            }
            tries_left -= 1;
            if tries_left == 0 {
                return Err(error);
            }
            wait::pause(backoff.take());
        }
    }

    /// Reports success, and where the node starts from by itself. A node that is installed once must not start before the controller
    /// knows: it would be installed anew at its next boot, with all that was on its disks by then.
    pub fn succeed(
        &self,
        installation: Option<&Installation>,
        once: bool,
        console: &Console,
    ) -> Result<(), Error> {
        let entry = json!({ "state": "install.success", "installation": installation });
        let body = json!({ "monitor": { "status": { &self.node: entry } } });
        let path = format!("/monitor/node/{}", self.node);
        if once && installation.is_some() {
            return self
                .patiently(console, || self.authorised(&path, &Method::Post(&body)))
                .map(drop);
        }
        if let Err(error) = self.deliver(&path, &body) {
            console.warning(&format!("the state install.success was not reported: {error}"));
        }
        Ok(())
    }

    /// Tells fields of the node's own record. An installation goes on without.
    pub fn describe(&self, fields: &Map<String, Value>, console: &Console) {
        if fields.is_empty() {
            return;
        }
        let body = json!({ "config": { "node": { &self.node: fields } } });
        if let Err(error) =
            self.authorised(&format!("/config/node/{}", self.node), &Method::Post(&body))
        {
            console.warning(&format!("the node's record was not completed: {error}"));
        }
    }

    /// Tells what the machine is made of. An installation goes on without.
    pub fn send_inventory(&self, inventory: &Inventory, console: &Console) {
        let body = json!(inventory);
        let path = format!("/config/node/{}/inventory", self.node);
        if let Err(error) = self.authorised(&path, &Method::Post(&body)) {
            console.warning(&format!("the machine's inventory was not taken: {error}"));
        }
    }

    /// Says how far it is. Lost ones do not matter: the next one says more.
    pub fn progress(&self, progress: &Progress) {
        let (base, Speaker { agent, .. }) = self.asked();
        let url = format!("{base}/boot/progress/{}", self.node);
        let mut request = agent.post(url).config().timeout_global(Some(PROGRESS_LIMIT)).build();
        if let Some(token) = self.token() {
            request = request.header(TOKEN, token);
        }
        let body = serde_json::to_string(progress).unwrap_or_default();
        if request.content_type(JSON).send(body).is_err() {
            self.go_on_from(&base);
        }
    }

    /// Opens a file of the image from byte `from` on, once the controller answers. `tag` must be that of the file
    /// when it was opened first.
    pub fn open(
        &self,
        file: &str,
        from: u64,
        tag: Option<&str>,
        console: &Console,
    ) -> Result<Response<Body>, Error> {
        let path = format!("/files/{file}");
        self.patiently(console, || self.authorised(&path, &Method::File { from, tag }))
    }

    /// A small file of the image, asked for once: what needs it can be done without.
    pub fn small_file(&self, file: &str, longest: u64) -> Result<Vec<u8>, Error> {
        let whole = Method::File { from: 0, tag: None };
        let answer = self.authorised(&format!("/files/{file}"), &whole)?;
        bytes(answer, longest)
    }

    /// Says that this node is a peer; the tracker's answer.
    pub fn announce(&self, query: &str) -> Result<Vec<u8>, Error> {
        let (base, Speaker { agent, .. }) = self.asked();
        let url = format!("{base}/announce?{query}");
        let request = agent.get(url).config().timeout_global(Some(PROGRESS_LIMIT)).build();
        bytes(accepted(&base, request.call())?, LONGEST_ANNOUNCED)
    }

    /// Repeats what fails for a reason that will pass, at the next controller where there are several.
    fn patiently<T>(
        &self,
        console: &Console,
        mut attempt: impl FnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut said = None;
        loop {
            let base = self.base();
            let error = match attempt() {
                Err(error) if error.passes() => error.to_string(),
                result => {
                    if said.is_some() && result.is_ok() {
                        console.line(&format!("the controller answers again ({base})"));
                    }
                    return result;
                }
            };
            let is_another_left = self.go_on_from(&base);
            if said.as_ref() != Some(&error) {
                let next =
                    if is_another_left { "asking the next one" } else { "trying until it works" };
                console.warning(&format!("{error}; {next}"));
                said = Some(error);
            }
            if !is_another_left {
                wait::pause(backoff.take());
            }
        }
    }

    /// A request with the token; one that has run out is renewed by the ticket, once.
    fn authorised(&self, path: &str, method: &Method<'_>) -> Result<Response<Body>, Error> {
        let known = self.token();
        let token = match &known {
            Some(token) => token.clone(),
            None => self.exchange_ticket()?,
        };
        match self.send(path, method, Some(&token)) {
            Err(Error::Refused { status: 401, .. }) if known.is_some() => {
                self.send(path, method, Some(&self.exchange_ticket()?))
            }
            result => result,
        }
    }

    /// A token for this node's boot.
    fn exchange_ticket(&self) -> Result<String, Error> {
        let not_served = |message: String| Error::NotServed { message };
        let ticket = self.ticket.clone();
        let ticket = ticket.ok_or_else(|| {
            not_served("the kernel command line has no perilune.ticket".to_owned())
        })?;
        let key = Some(self.key.public().clone().into());
        let body = serde_json::to_value(Ticket { ticket, key, tpm_sha256: tpm::measured() })
            .map_err(|error| Error::Unreadable(error.to_string()))?;
        let (base, Speaker { privileged, .. }) = self.asked();
        let url = format!("{base}/boot/ticket/{}", self.node);
        let answer = privileged.post(url).content_type(JSON).send(body.to_string());
        let answer = accepted(&base, answer).map_err(|error| match error {
            Error::Refused { status: 401 | 403, message } => Error::TicketRefused { message },
            other => other,
        })?;
        let token: Token = self.opened(answer, Purpose::Token)?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.token.clone());
        Ok(token.token)
    }

    fn send(
        &self,
        path: &str,
        method: &Method<'_>,
        token: Option<&str>,
    ) -> Result<Response<Body>, Error> {
        let (base, Speaker { agent, .. }) = self.asked();
        let url = format!("{base}{path}");
        let answer = match method {
            Method::Post(body) => {
                let request = agent.post(url);
                token
                    .into_iter()
                    .fold(request, |request, token| request.header(TOKEN, token))
                    .content_type(JSON)
                    .send(body.to_string())
            }
            Method::Get => {
                let request = agent.get(url);
                token
                    .into_iter()
                    .fold(request, |request, token| request.header(TOKEN, token))
                    .call()
            }
            Method::File { from, tag } => {
                let mut request = agent.get(url);
                request =
                    token.into_iter().fold(request, |request, token| request.header(TOKEN, token));
                if *from > 0 {
                    request = request.header("range", format!("bytes={from}-"));
                    request =
                        tag.iter().fold(request, |request, tag| request.header("if-range", *tag));
                }
                request.call()
            }
        };
        accepted(&base, answer)
    }

    /// An answer that is sealed to the key of this boot.
    fn opened<T: DeserializeOwned>(
        &self,
        answer: Response<Body>,
        purpose: Purpose,
    ) -> Result<T, Error> {
        let sealed: Sealed = read(answer)?;
        let unreadable = |error: String| Error::Unreadable(error);
        let text = self.key.open(&sealed, &purpose.of(&self.node));
        let text = text.map_err(|error| unreadable(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))
    }
}

impl Speaker {
    fn new(trust: &Trust) -> Self {
        let configuration = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .tls_config(trust.configuration())
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_recv_response(Some(ANSWER_LIMIT))
            .timeout_per_read(Some(STILL_LIMIT))
            .timeout_per_write(Some(STILL_LIMIT))
            .user_agent(concat!("perilune-agent/", env!("CARGO_PKG_VERSION")))
            .build();
        let (privileged, agent) = agents(configuration, trust);
        Self { agent, privileged }
    }
}

fn accepted(
    base: &str,
    answer: Result<Response<Body>, ureq::Error>,
) -> Result<Response<Body>, Error> {
    let answer = answer.map_err(|error| Error::Unreachable(reason(base, &error)))?;
    let status = answer.status();
    if status.is_success() { Ok(answer) } else { Err(refusal(status, answer)) }
}

/// What a failure of the transport means, for a person.
fn reason(base: &str, error: &ureq::Error) -> String {
    if let Some(rustls::Error::InvalidCertificate(reason)) = of_tls(error) {
        if let Some(outside) = outside_of_its_time(reason) {
            let now = clock::date(clock::seconds());
            return format!(
                "the certificate of {base} {outside} by this machine's clock, which says {now}: set the clock in the machine's firmware, or look at that of the controller and at the certificate"
            );
        }
        if *reason == CertificateError::ApplicationVerificationFailure {
            return format!(
                "who answers at {base} shows another certificate than the boot script has named: it is not the controller, or its certificate was replaced meanwhile; then boot this machine again"
            );
        }
        return format!(
            "who answers at {base} cannot be believed to be the controller ({reason}); add its authority to the image and pack it, or set VERIFY_CERTIFICATE = no on the controller"
        );
    }
    match error {
        ureq::Error::Io(source) if source.kind() == ErrorKind::ConnectionRefused => {
            format!("nothing listens at {base}: is the controller's daemon running?")
        }
        ureq::Error::Timeout(_) => format!("the controller at {base} does not answer in time"),
        ureq::Error::ConnectionFailed => format!("the controller at {base} cannot be reached"),
        other => format!("the connection to {base} fails: {other}"),
    }
}

/// What a clock that is wrong has against a certificate.
fn outside_of_its_time(reason: &CertificateError) -> Option<&'static str> {
    match reason {
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Some("is not valid yet")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Some("has run out"),
        _ => None,
    }
}

/// What TLS has against it.
fn of_tls(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// What speaks from a port of root, and what does from any: the one certificate that is believed is looked at by both.
fn agents(configuration: Config, trust: &Trust) -> (Agent, Agent) {
    let resolver = DefaultResolver::default;
    if let Trust::Pinned(certificates) = trust {
        let privileged = ().chain(PrivilegedPort).chain(PinnedTls::new(certificates.clone()));
        let any = ().chain(TcpConnector::default()).chain(PinnedTls::new(certificates.clone()));
        return (
            Agent::with_parts(configuration.clone(), privileged, resolver()),
            Agent::with_parts(configuration, any, resolver()),
        );
    }
    let privileged = ().chain(PrivilegedPort).chain(RustlsConnector::default());
    (Agent::with_parts(configuration.clone(), privileged, resolver()), configuration.into())
}

fn refusal(status: StatusCode, answer: Response<Body>) -> Error {
    let text = answer.into_body().read_to_string().unwrap_or_default();
    let message = match serde_json::from_str::<Problem>(&text) {
        Ok(problem) => problem.message,
        Err(_not_ours) => status.canonical_reason().unwrap_or("no reason given").to_owned(),
    };
    let code = status.as_u16();
    // A controller that is being shut down, or a proxy in front of it, asks to come back as well.
    let passes = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT;
    if passes {
        Error::Failing { status: code, message }
    } else {
        Error::Refused { status: code, message }
    }
}

fn bytes(answer: Response<Body>, longest: u64) -> Result<Vec<u8>, Error> {
    let text = answer.into_body().into_with_config().limit(longest).read_to_vec();
    // An answer that ends in the middle is asked for again.
    text.map_err(|error| {
        Error::Unreachable(format!("the controller's answer ended early: {error}"))
    })
}

fn read<T: DeserializeOwned>(answer: Response<Body>) -> Result<T, Error> {
    let text = bytes(answer, LARGEST_ANSWER)?;
    serde_json::from_slice(&text).map_err(|error| Error::Unreadable(error.to_string()))
}
