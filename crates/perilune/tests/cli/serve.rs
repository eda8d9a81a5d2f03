//! The daemon's start, its log, and what it does when it is told to reload.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const DEADLINE: Duration = Duration::from_mins(1);

/// A place for a daemon, and what daemons there have said on standard error.
struct Site(tempfile::TempDir);

/// A daemon, until this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Site {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path("said")).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a test may block")]
    fn spawn(&self, arguments: &[&str]) -> Running {
        let said = File::create(self.path("said")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_perilune"))
            .args(["serve", "--data-dir"])
            .arg(self.path("data"))
            .args(arguments)
            .env_clear()
            .stdout(Stdio::null())
            .stderr(said)
            .spawn();
        Running(child.unwrap())
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let running = self.spawn(arguments);
        until(|| self.said().contains("listening"));
        running
    }

    fn fail(&self, arguments: &[&str]) -> ExitStatus {
        self.spawn(arguments).0.wait().unwrap()
    }

    fn replace(&self, from: &str, to: &str) {
        let ini = self.path("data/luna.ini");
        let text = fs::read_to_string(&ini).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&ini, text.replace(from, to)).unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a condition is waited for, with a deadline")]
fn until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < DEADLINE, "it does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_first_start_whose_address_is_taken_leaves_no_configuration() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_eq!(site.fail(&["--listen", &address]).code(), Some(1));
    assert!(site.said().contains("another program has it"), "{}", site.said());
    assert!(!site.path("data/luna.ini").exists());

    let twice = site.fail(&["--listen", "0.0.0.0:17991", "--listen", "127.0.0.1:17991"]);
    assert_eq!(twice.code(), Some(1));
    assert!(site.said().contains("--listen 0.0.0.0:17991 has it"), "{}", site.said());
}

#[test]
fn a_configuration_that_leads_elsewhere_is_told_with_both_addresses() {
    let site = Site::new();
    drop(site.start(&["--listen", "127.0.0.1:0"]));
    let made = fs::read_to_string(site.path("data/luna.ini")).unwrap();
    let endpoint = made.lines().find_map(|line| line.strip_prefix("ENDPOINT = ")).unwrap();
    assert!(!endpoint.ends_with(":0") && !site.said().contains("ENDPOINT"), "{}", site.said());

    let again = site.start(&["--listen", endpoint]);
    assert!(!site.said().contains("ENDPOINT"), "{}", site.said());
    drop(again);
    let elsewhere = site.start(&["--listen", "127.0.0.2:0"]);
    let warning = site.said().lines().find(|line| line.contains("ENDPOINT")).unwrap().to_owned();
    assert!(warning.contains("WARN") && warning.contains(endpoint), "{warning}");
    assert!(warning.contains("127.0.0.2:") && warning.contains("luna.ini"), "{warning}");
    drop(elsewhere);
}

#[test]
fn the_log_follows_the_configuration_and_a_hangup_takes_it_over() {
    let site = Site::new();
    drop(site.start(&["--listen", "127.0.0.1:0"]));
    let log = site.path("daemon.log");
    site.replace("LEVEL = info\n", &format!("LEVEL = error\nLOGFILE = {}\n", log.display()));
    let mut running = site.spawn(&["--listen", "127.0.0.1:0"]);
    until(|| log.exists());
    // What is not logged cannot be waited for: a second hangup is answered after the first was.
    fs::rename(&log, site.path("daemon.log.1")).unwrap();
    site.replace("LEVEL = error", "LEVEL = debug");
    until(|| {
        running.signal(Signal::HUP);
        log.exists() && fs::read_to_string(&log).unwrap().contains("told to reload")
    });
    let rotated = fs::read_to_string(site.path("daemon.log.1")).unwrap();
    assert!(!rotated.contains("INFO") && !rotated.contains('\u{1b}'), "{rotated}");
    assert!(running.0.try_wait().unwrap().is_none(), "it runs on: {}", site.said());
    running.signal(Signal::TERM);
    assert!(running.0.wait().unwrap().success(), "{}", site.said());

    drop(site.start(&["--listen", "127.0.0.1:0", "--log", "info"]));
    site.replace("LEVEL = debug", "LEVEL = error");
    let told = site.start(&["--listen", "127.0.0.1:0", "--log", "info"]);
    assert!(site.said().contains("INFO"), "the command line counts first: {}", site.said());
    drop(told);
}

#[test]
fn a_log_file_that_cannot_be_opened_is_told_and_stops_nothing() {
    let site = Site::new();
    drop(site.start(&["--listen", "127.0.0.1:0"]));
    site.replace("LEVEL = info\n", "LEVEL = info\nLOGFILE = /no/such/directory/log\n");
    let running = site.start(&["--listen", "127.0.0.1:0"]);
    assert!(site.said().contains("[LOGGER] LOGFILE cannot be opened"), "{}", site.said());
    drop(running);
}

#[test]
fn with_json_a_failed_start_is_json_too() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    site.fail(&["--listen", &address, "--log-format", "json"]);
    let said = site.said();
    for line in said.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    assert!(said.contains("another program has it"), "{said}");
}

#[test]
fn every_request_is_one_line_of_the_log_without_what_is_secret() {
    let site = Site::new();
    let running = site.start(&["--listen", "127.0.0.1:0", "--log", "perilune=debug,info"]);
    let made = fs::read_to_string(site.path("data/luna.ini")).unwrap();
    let endpoint = made.lines().find_map(|line| line.strip_prefix("ENDPOINT = ")).unwrap();
    let asked = ureq::get(format!("http://{endpoint}/config/node?ticket=secret"));
    let asked = asked.config().http_status_as_error(false).build().call().unwrap();
    assert_eq!(asked.status().as_u16(), 401);
    until(|| site.said().contains("path=\"/config/node\""));
    let said = site.said();
    let line = said.lines().find(|line| line.contains("path=")).unwrap();
    for part in ["DEBUG", "method=GET", "status=401", "milliseconds=", "peer=127.0.0.1"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!said.contains("ticket=secret"), "{said}");
    drop(running);
}
