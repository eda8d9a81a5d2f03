//! https, with clients that are not ours.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use perilune_api::Limits;

use crate::connections::{connect_to, until_closed};
use crate::image_site::{DEADLINE, ImageSite, until};

const SHORT: Duration = Duration::from_millis(400);

fn site() -> ImageSite {
    ImageSite::start_with_tls(Limits::default())
}

fn certificate(site: &ImageSite) -> PathBuf {
    site.directory.path().join("data/tls.crt")
}

#[expect(clippy::disallowed_methods, reason = "a test may block")]
fn program(name: &str) -> Command {
    Command::new(name)
}

fn curl(site: &ImageSite, host: &str, options: &[&str], path: &str) -> Output {
    let url = format!("https://{host}:{}{path}", site.addresses[1].port());
    let limits = ["--silent", "--show-error", "--max-time", "30", "--noproxy", "*"];
    program("curl").args(limits).args(options).arg(url).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn connect(site: &ImageSite) -> TcpStream {
    connect_to(site.addresses[1])
}

/// A connection by `openssl s_client`, over which more than one thing can be said.
struct Conversation {
    client: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Conversation {
    fn open(site: &ImageSite, options: &[&str]) -> Self {
        let mut client = program("openssl")
            .args(["s_client", "-connect", &site.addresses[1].to_string()])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = client.stdin.take();
        let output = BufReader::new(client.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { client, input, lines }
    }

    fn say(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).and_then(|()| input.flush()).unwrap();
    }

    /// The next line with this in it.
    fn hear(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect("it is not said");
            if line.contains(part) {
                return line;
            }
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.client.kill().ok();
        self.client.wait().ok();
    }
}

/// What a client is shown: the fingerprint, as openssl writes it.
fn shown(site: &ImageSite) -> String {
    let line = format!(
        "openssl s_client -connect {} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256",
        site.addresses[1]
    );
    text(&program("sh").args(["-c", &line]).output().unwrap())
}

#[test]
fn curl_believes_the_certificate_that_was_made_by_every_name_of_the_controller_and_no_other() {
    let site = site();
    let trusted = ["--cacert", &certificate(&site).display().to_string()];
    for host in ["127.0.0.1", "localhost"] {
        let output = curl(&site, host, &trusted, "/ping");
        assert!(text(&output).contains("pong"), "{host}: {}", text(&output));
    }
    // By another name, at the same address.
    let elsewhere = format!("other:{}:127.0.0.1", site.addresses[1].port());
    let output =
        curl(&site, "other", &[&trusted[..], &["--resolve", &elsewhere]].concat(), "/ping");
    assert_eq!(output.status.code(), Some(60), "{}", text(&output));
    assert_eq!(curl(&site, "127.0.0.1", &[], "/ping").status.code(), Some(60));
    assert!(text(&curl(&site, "127.0.0.1", &["--insecure"], "/ping")).contains("pong"));
    let controller = format!("10.141.255.254:{0}:127.0.0.1:{0}", site.addresses[1].port());
    let by_address = [&trusted[..], &["--connect-to", &controller]].concat();
    let output = curl(&site, "10.141.255.254", &by_address, "/ping");
    assert!(text(&output).contains("pong"), "the address that nodes are told: {}", text(&output));
}

#[test]
fn both_versions_of_tls_speak_http_1_1() {
    let site = site();
    for version in ["-tls1_2", "-tls1_3"] {
        let conversation = Conversation::open(&site, &[version, "-alpn", "h2,http/1.1"]);
        assert_eq!(conversation.hear("ALPN protocol"), "ALPN protocol: http/1.1", "{version}");
    }
    let output = curl(&site, "127.0.0.1", &["--insecure", "--tls-max", "1.1"], "/ping");
    assert_eq!(output.status.code(), Some(35), "{}", text(&output));
}

#[test]
fn a_large_file_comes_whole() {
    let site = site();
    let content: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(site.files().join("vmlinuz-6.1"), &content).unwrap();
    let output = curl(&site, "127.0.0.1", &["--insecure"], "/files/vmlinuz-6.1");
    assert!(output.stdout == content, "{} bytes", output.stdout.len());
}

#[test]
fn a_certificate_that_is_replaced_is_shown_to_the_next_client_and_open_connections_go_on() {
    let site = site();
    let mut open = Conversation::open(&site, &["-quiet"]);
    open.say("GET /ping HTTP/1.1\r\nhost: x\r\n\r\n");
    open.hear("HTTP/1.1 200");
    let before = shown(&site);
    assert!(before.contains("Fingerprint="), "{before}");
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let new = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    // The certificate comes first, and for a moment it has no key that fits.
    std::fs::write(certificate(&site), new.pem()).unwrap();
    std::fs::write(certificate(&site).with_file_name("tls.key"), key.serialize_pem()).unwrap();
    until(|| shown(&site) != before);
    let trusted = ["--cacert", &certificate(&site).display().to_string()];
    assert!(text(&curl(&site, "127.0.0.1", &trusted, "/ping")).contains("pong"));
    open.say("GET /version HTTP/1.1\r\nhost: x\r\n\r\n");
    open.hear("HTTP/1.1 200");
}

#[test]
fn files_that_are_broken_or_gone_meanwhile_change_nothing() {
    let site = site();
    let before = shown(&site);
    std::fs::write(certificate(&site), "no certificate").unwrap();
    std::fs::remove_file(certificate(&site).with_file_name("tls.key")).unwrap();
    assert_eq!(shown(&site), before);
    assert!(text(&curl(&site, "127.0.0.1", &["--insecure"], "/ping")).contains("pong"));
}

#[test]
fn plain_http_at_the_port_of_https_is_told_so_and_nonsense_is_sent_away() {
    let site = site();
    let mut plain = connect(&site);
    plain.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let answer = until_closed(&mut plain);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("https is spoken"), "{answer}");
    let long = vec![0x16; 20_000];
    for nonsense in [&b"\x00\x01\x02\x03garbage"[..], b"\x16\x03\x01\xff\xff", &long] {
        let mut stream = connect(&site);
        // It may be sent away before all of it has come.
        stream.write_all(nonsense).ok();
        stream.shutdown(std::net::Shutdown::Write).ok();
        assert!(!until_closed(&mut stream).contains("HTTP"));
    }
    assert!(text(&curl(&site, "127.0.0.1", &["--insecure"], "/ping")).contains("pong"));
    assert_eq!(site.get("/ping").0, 200, "the other port speaks http");
}

#[test]
fn a_client_that_does_not_agree_on_tls_is_sent_away_and_takes_room_until_then() {
    let limits = Limits { handshake: SHORT, connections: 2, ..Limits::default() };
    let site = ImageSite::start_with_tls(limits);
    let mut idle = [connect(&site), connect(&site), connect(&site)];
    idle[2].write_all(b"\x16\x03\x01").unwrap();
    assert!(text(&curl(&site, "127.0.0.1", &["--insecure"], "/ping")).contains("pong"));
    for stream in &mut idle {
        assert!(!until_closed(stream).contains("HTTP"));
    }
}

#[test]
fn a_client_that_takes_nothing_of_what_it_asked_for_is_cut_off() {
    // The listener without TLS keeps one of the two for itself.
    let limits = Limits { stall: SHORT, connections: 2, ..Limits::default() };
    let site = ImageSite::start_with_tls(limits);
    std::fs::write(site.files().join("vmlinuz-6.1"), vec![7; 64 << 20]).unwrap();
    let mut deaf = program("openssl")
        .args(["s_client", "-quiet", "-connect", &site.addresses[1].to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let input = deaf.stdin.as_mut().unwrap();
    input.write_all(b"GET /files/vmlinuz-6.1 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    // It has begun, and nobody reads the rest.
    deaf.stdout.as_mut().unwrap().read_exact(&mut [0; 9]).unwrap();
    let output = curl(&site, "127.0.0.1", &["--insecure"], "/ping");
    deaf.kill().unwrap();
    deaf.wait().unwrap();
    assert!(text(&output).contains("pong"), "{}", text(&output));
}
