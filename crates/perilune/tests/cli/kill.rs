//! A daemon that is killed in the middle of everything loses nothing that it has acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const ROUNDS: usize = 5;
const WRITERS: usize = 100;
const DEADLINE: Duration = Duration::from_mins(1);

/// A daemon process on a data directory.
pub(crate) struct Daemon {
    process: Child,
    pub(crate) url: String,
    token: Mutex<String>,
    pub(crate) password: String,
    agent: ureq::Agent,
}

impl Daemon {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// The same with variables in its environment.
    pub(crate) fn start_with(data: &Path, variables: &[(&str, &Path)]) -> Self {
        Self::start_as(data, |url| {
            let mut command = serve(Path::new(env!("CARGO_BIN_EXE_perilune")), data, url);
            command.envs(variables.iter().copied());
            command
        })
    }

    /// The same of another program, which is to listen at the address that it is told.
    #[expect(clippy::disallowed_methods, reason = "a test may block")]
    pub(crate) fn start_as(data: &Path, program: impl FnOnce(&str) -> Command) -> Self {
        let port = perilune_testkit::free_port();
        let url = format!("http://127.0.0.1:{port}");
        let process = program(&url).stdout(Stdio::null()).spawn().unwrap();
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder().http_status_as_error(false).build(),
        );
        let mut daemon =
            Self { process, url, token: Mutex::default(), password: String::new(), agent };
        let started = Instant::now();
        while daemon.get("/ping").is_none() {
            assert!(started.elapsed() < DEADLINE, "the daemon does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        let ini = std::fs::read_to_string(data.join("luna.ini")).unwrap();
        let password = ini.lines().find_map(|line| line.strip_prefix("PASSWORD = ")).unwrap();
        password.clone_into(&mut daemon.password);
        assert_eq!(daemon.log_in(), Some(201));
        daemon
    }

    /// Logs in, also where the token of before is over.
    pub(crate) fn log_in(&self) -> Option<u16> {
        let login = json!({ "username": "admin", "password": self.password });
        let (code, answer) = self.post("/token", &login)?;
        if let Some(token) = answer["token"].as_str() {
            token.clone_into(&mut self.token.lock().unwrap());
        }
        Some(code)
    }

    pub(crate) fn token(&self) -> String {
        self.token.lock().unwrap().clone()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn get(&self, path: &str) -> Option<(u16, Value)> {
        let request = self.agent.get(format!("{}{path}", self.url));
        read(request.header("x-access-tokens", self.token()).call())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.agent.post(format!("{}{path}", self.url));
        read(request.header("x-access-tokens", self.token()).send_json(body))
    }

    /// A request that may be sent again under this name.
    pub(crate) fn post_as(&self, key: &str, path: &str, body: &Value) -> (u16, Value) {
        self.post_with(&self.token(), key, path, body)
    }

    /// The same by whom this token is of.
    pub(crate) fn post_with(
        &self,
        token: &str,
        key: &str,
        path: &str,
        body: &Value,
    ) -> (u16, Value) {
        let request = self.agent.post(format!("{}{path}", self.url));
        let request = request.header("idempotency-key", key);
        read(request.header("x-access-tokens", token).send_json(body)).unwrap()
    }

    /// What a machine at this address is given, where the daemon believes this one about that.
    pub(crate) fn text_from(&self, path: &str, from: &str) -> String {
        let request = self.agent.get(format!("{}{path}", self.url));
        let mut answer = request.header("x-forwarded-for", from).call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    }

    /// The same with a token.
    pub(crate) fn get_from(&self, path: &str, token: &str, from: &str) -> (u16, Value) {
        let request = self.agent.get(format!("{}{path}", self.url));
        let request = request.header("x-forwarded-for", from);
        read(request.header("x-access-tokens", token).call()).unwrap()
    }

    /// What a machine at this address is answered.
    pub(crate) fn post_from(&self, path: &str, body: &Value, from: &str) -> (u16, Value) {
        let request = self.agent.post(format!("{}{path}", self.url));
        read(request.header("x-forwarded-for", from).send_json(body)).unwrap()
    }

    pub(crate) fn config(&self, resource: &str, name: &str, fields: &Value) -> Option<u16> {
        let body = json!({ "config": { resource: { name: fields } } });
        self.post(&format!("/config/{resource}/{name}"), &body).map(|(code, _)| code)
    }

    /// Sends it a signal, such as `STOP`.
    #[expect(clippy::disallowed_methods, reason = "a test may block")]
    pub(crate) fn signal(&self, name: &str) {
        let (signal, process) = (format!("-{name}"), self.process.id().to_string());
        assert!(Command::new("kill").args([signal, process]).status().unwrap().success());
    }

    /// SIGKILL, at whatever instruction it is.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// How a program serves at this address.
#[expect(clippy::disallowed_methods, reason = "a test may block")]
pub(crate) fn serve(program: &Path, data: &Path, url: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args(["serve", "--listen", url, "--log", "warn"])
        .args(["--address", "10.141.255.254/16", "--data-dir"])
        .arg(data)
        .env_remove("PERILUNE_CONFIG");
    command
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Status and body; `None` when the daemon went away before it had answered.
fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Option<(u16, Value)> {
    let mut answer = answer.ok()?;
    let code = answer.status().as_u16();
    // Lists of long runs are long.
    let text = answer.body_mut().with_config().limit(1 << 30).read_to_string().ok()?;
    Some((code, serde_json::from_str(&text).unwrap_or(Value::Null)))
}

/// What the writers know: nodes that must be there, that must not, and of which nobody knows.
#[derive(Default)]
struct Known {
    there: BTreeSet<String>,
    gone: BTreeSet<String>,
    unsure: BTreeSet<String>,
}

impl Known {
    fn acknowledged(&self) -> usize {
        self.there.len() + self.gone.len()
    }
}

#[test]
fn a_daemon_that_is_killed_while_hundreds_write_has_all_that_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let known = Mutex::new(Known::default());
    let mut daemon = Daemon::start(directory.path());
    assert_eq!(daemon.config("network", "ib", &json!({ "network": "10.149.0.0/16" })), Some(201));
    let interfaces = json!([{ "interface": "BOOTIF", "network": "cluster" }, { "interface": "ib0", "network": "ib" }]);
    assert_eq!(daemon.config("group", "compute", &json!({ "interfaces": interfaces })), Some(201));
    for round in 0..ROUNDS {
        let before = known.lock().unwrap().acknowledged();
        let enough = before + 200 + 75 * round;
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (daemon, known) = (&daemon, &known);
                scope.spawn(move || write(daemon, known, &format!("r{round}w{writer}n")));
            }
            let started = Instant::now();
            while known.lock().unwrap().acknowledged() < enough && started.elapsed() < DEADLINE {
                std::thread::yield_now();
            }
            // From here on nothing that the daemon does can be helped: the writers see it go.
            kill(daemon.process.id());
        });
        daemon.kill();
        daemon = Daemon::start(directory.path());
        check(&daemon, &known.lock().unwrap());
    }
    let known = known.lock().unwrap();
    assert!(known.there.len() > 100, "only {} changes were acknowledged", known.there.len());
}

#[expect(clippy::disallowed_methods, reason = "a test may block")]
fn kill(process: u32) {
    assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
}

/// Makes nodes, and removes every third again, until the daemon is gone.
fn write(daemon: &Daemon, known: &Mutex<Known>, prefix: &str) {
    for number in 0.. {
        let name = format!("{prefix}{number}");
        match daemon.config("node", &name, &json!({ "group": "compute" })) {
            Some(201) => drop(known.lock().unwrap().there.insert(name.clone())),
            Some(code) => panic!("{name}: {code}"),
            None => {
                known.lock().unwrap().unsure.insert(name);
                return;
            }
        }
        if number % 3 == 0 {
            known.lock().unwrap().there.remove(&name);
            match daemon.get(&format!("/config/node/{name}/_delete")) {
                Some((204, _)) => drop(known.lock().unwrap().gone.insert(name)),
                Some((code, _)) => panic!("{name} is not removed: {code}"),
                None => {
                    known.lock().unwrap().unsure.insert(name);
                    return;
                }
            }
        }
    }
}

fn check(daemon: &Daemon, known: &Known) {
    let (code, answer) = daemon.get("/config/node").unwrap();
    assert_eq!(code, 200);
    let nodes = answer["config"]["node"].as_object().unwrap();
    for name in &known.there {
        assert!(nodes.contains_key(name), "{name} was acknowledged and is lost");
    }
    for name in &known.gone {
        assert!(!nodes.contains_key(name), "{name} was removed and is back");
    }
    let mut holders = BTreeMap::new();
    for (name, node) in nodes {
        assert!(
            known.there.contains(name) || known.unsure.contains(name),
            "{name} was never asked for"
        );
        let interfaces = node["interfaces"].as_array().unwrap();
        assert_eq!(interfaces.len(), 2, "{name} is half there: {node}");
        for interface in interfaces {
            let address = interface["ipaddress"].as_str().unwrap().to_owned();
            let former = holders.insert(address.clone(), name);
            assert_eq!(former, None, "{address} is held twice");
        }
    }
}
