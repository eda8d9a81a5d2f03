//! The daemon and its command line over https.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{perilune, said};

const DEADLINE: Duration = Duration::from_mins(1);

/// A daemon that speaks https, until this is dropped.
struct Daemon {
    directory: tempfile::TempDir,
    process: Child,
    port: u16,
}

impl Daemon {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = perilune_testkit::free_port();
        let listen = format!("https://127.0.0.1:{port}");
        let process = serve(directory.path(), &["--listen", &listen]).spawn().unwrap();
        let daemon = Self { directory, process, port };
        until(|| daemon.run(&["status"]).status.success());
        daemon
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        perilune(&self.data(), arguments)
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Writes a new certificate and key, and says so to the daemon.
    fn renew(&self, names: &[&str]) {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let new = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        std::fs::write(self.data().join("tls.crt"), new.pem()).unwrap();
        std::fs::write(self.data().join("tls.key"), key.serialize_pem()).unwrap();
        kill_process(Pid::from_child(&self.process), Signal::HUP).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test may block")]
fn serve(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perilune"));
    command
        .args(["serve", "--log", "warn", "--data-dir"])
        .arg(directory.join("data"))
        .args(arguments)
        .env_remove("PERILUNE_CONFIG")
        .stdout(Stdio::null());
    command
}

#[expect(clippy::disallowed_methods, reason = "a condition is waited for, with a deadline")]
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < DEADLINE, "it does not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_command_line_beside_the_daemon_asks_no_questions() {
    let daemon = Daemon::start();
    let output = daemon.run(&["status"]);
    assert!(output.status.success(), "its own certificate is known: {}", said(&output));
    assert!(said(&output).contains(&daemon.url()), "{}", said(&output));
}

#[test]
fn firmware_alone_is_answered_in_clear() {
    let directory = tempfile::tempdir().unwrap();
    let [api, plain] = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [api, plain] = [api, plain].map(|free| free.local_addr().unwrap());
    let listen = [format!("https://{api}"), format!("http://{plain}")];
    let arguments = ["--listen", &listen[0], "--listen", &listen[1]];
    let start = || {
        let process = serve(directory.path(), &arguments).spawn().unwrap();
        let port = api.port();
        let directory = tempfile::tempdir().unwrap();
        Daemon { directory, process, port }
    };
    for begun in ["first", "second"] {
        let _running = start();
        let data = directory.path().join("data");
        until(|| perilune(&data, &["status"]).status.success());
        let (status, script) = ask(plain, "GET", "/boot");
        assert!(status == 200 && script.contains("#!ipxe"), "{begun} start: {status} {script}");
        assert!(script.contains(&format!(":{}/boot/search/mac/", plain.port())), "{script}");
        assert_eq!(ask(plain, "GET", "/files/there-is-none").0, 503);
        for (method, path) in [
            ("POST", "/token"),
            ("GET", "/config/node"),
            ("GET", "/version"),
            ("POST", "/boot/ticket/node001"),
            ("GET", "/files/debian.tar.zst"),
            ("GET", "/docs"),
        ] {
            let (status, said) = ask(plain, method, path);
            assert_eq!(status, 403, "{method} {path}: {said}");
            assert!(said.contains(&format!("ask port {} by https", api.port())), "{said}");
        }
    }
}

/// What is answered in clear.
fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[test]
fn a_certificate_that_is_not_known_or_is_anothers_is_refused_where_the_site_verifies() {
    let daemon = Daemon::start();
    let aside = daemon.directory.path().join("aside.crt");
    std::fs::copy(daemon.data().join("tls.crt"), &aside).unwrap();
    std::fs::write(daemon.data().join("tls.crt"), "").unwrap();
    let output = daemon.run(&["status"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).contains("--certificate FILE"), "{}", said(&output));
    let named = ["--certificate", aside.to_str().unwrap(), "status"];
    assert!(daemon.run(&named).status.success());
    let output = daemon.run(&["--certificate", "/no/such.crt", "status"]);
    assert!(said(&output).contains("/no/such.crt"), "{}", said(&output));
    daemon.renew(&["elsewhere"]);
    until(|| !daemon.run(&named).status.success());
    let output = daemon.run(&["status"]);
    assert!(said(&output).contains("elsewhere"), "the names are told: {}", said(&output));
}

#[test]
fn a_new_certificate_is_shown_when_the_daemon_is_told_so_and_it_goes_on() {
    let daemon = Daemon::start();
    daemon.renew(&["127.0.0.1"]);
    until(|| daemon.run(&["status"]).status.success());
}

#[test]
fn http_where_https_is_spoken_is_told_so() {
    let daemon = Daemon::start();
    let url = daemon.url().replace("https", "http");
    let output = daemon.run(&["--url", &url, "status"]);
    assert!(said(&output).contains("https is spoken at this port"), "{}", said(&output));
}

#[test]
fn a_certificate_that_cannot_be_used_keeps_the_daemon_from_starting_and_it_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let ini = directory.path().join("luna.ini");
    let login =
        "[API]\nUSERNAME = luna\nPASSWORD = secret12\nSECRET_KEY = 0123\nPROTOCOL = https\n";
    for (keys, part) in [
        ("CERTIFICATE = /no/such.crt\n", "without CERTIFICATE_KEY"),
        (
            "CERTIFICATE = /no/such.crt\nCERTIFICATE_KEY = /no/such.key\n",
            "/no/such.crt cannot be read",
        ),
    ] {
        std::fs::write(&ini, format!("{login}{keys}")).unwrap();
        let arguments = ["--listen", "127.0.0.1:0", "--config", ini.to_str().unwrap()];
        let output = serve(directory.path(), &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(part), "{}", said(&output));
    }
}
