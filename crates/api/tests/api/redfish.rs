//! Control over Redfish: certificates of BMCs are pinned, also over a restart of the daemon.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::control::save;
use crate::image_site::ImageSite;

const ADDRESS: [u8; 4] = [127, 9, 1, 1];
const SYSTEM: &str = "/redfish/v1/Systems/1";
/// `admin:password`, as HTTP has it.
const LOGIN: &str = "Basic YWRtaW46cGFzc3dvcmQ=";

/// A BMC that speaks Redfish, as little as it takes.
struct Redfish {
    address: SocketAddr,
    identity: Arc<Mutex<Arc<ServerConfig>>>,
    is_on: Arc<AtomicBool>,
}

impl Redfish {
    fn start() -> Self {
        let listener = TcpListener::bind((std::net::IpAddr::from(ADDRESS), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let identity = Arc::new(Mutex::new(identity()));
        let is_on = Arc::new(AtomicBool::new(false));
        let (current, power) = (Arc::clone(&identity), Arc::clone(&is_on));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, power) = (Arc::clone(&current.lock().unwrap()), Arc::clone(&power));
                std::thread::spawn(move || converse(stream.unwrap(), config, &power));
            }
        });
        Self { address, identity, is_on }
    }

    /// Another BMC is at the address from now on.
    fn replace(&self) {
        *self.identity.lock().unwrap() = identity();
    }
}

/// A certificate that nobody has seen before.
fn identity() -> Arc<ServerConfig> {
    let signed = rcgen::generate_simple_self_signed(["bmc".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key.into());
    Arc::new(config.unwrap())
}

/// Answers requests until the client hangs up, at whatever moment it does.
fn converse(stream: TcpStream, config: Arc<ServerConfig>, power: &AtomicBool) {
    let connection = ServerConnection::new(config).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    while let Some((head, body)) = request(&mut stream) {
        let (status, answer) = respond(&head, &body, power);
        let text = if answer.is_null() { String::new() } else { answer.to_string() };
        let length = text.len();
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{text}");
        if stream.get_mut().write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn request(stream: &mut impl BufRead) -> Option<(String, Value)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).unwrap_or_default()))
}

fn respond(head: &str, body: &Value, power: &AtomicBool) -> (u16, Value) {
    let line: Vec<&str> = head.split_whitespace().take(2).collect();
    let path = line[1].trim_end_matches('/');
    if path == "/redfish/v1" {
        return (200, json!({ "Systems": { "@odata.id": "/redfish/v1/Systems" } }));
    }
    if !head.contains(LOGIN) {
        return (401, json!({}));
    }
    let reset = format!("{SYSTEM}/Actions/ComputerSystem.Reset");
    match (line[0], path) {
        ("GET", "/redfish/v1/Systems") => (200, json!({ "Members": [{ "@odata.id": SYSTEM }] })),
        ("GET", SYSTEM) => {
            let state = if power.load(Ordering::SeqCst) { "On" } else { "Off" };
            (200, json!({ "@odata.id": SYSTEM, "PowerState": state }))
        }
        ("POST", path) if path == reset => {
            power.store(body["ResetType"] == "On", Ordering::SeqCst);
            (204, Value::Null)
        }
        _ => (404, json!({})),
    }
}

/// A site with node001, whose BMC this is.
fn site(bmc: &Redfish, driver: &str) -> ImageSite {
    let site = ImageSite::start().with_network("bmcs", "127.9.0.0/16");
    let setup = json!({ "username": "admin", "password": "password", "driver": driver, "port": bmc.address.port() });
    assert_eq!(save(&site, "bmcsetup", "redfish", &setup), 201);
    let group = json!({ "bmcsetupname": "redfish", "interfaces": [{ "interface": "BMC", "network": "bmcs" }] });
    assert_eq!(save(&site, "group", "compute", &group), 201);
    let interfaces =
        json!([{ "interface": "BMC", "network": "bmcs", "ipaddress": bmc.address.ip() }]);
    let node = json!({ "group": "compute", "interfaces": interfaces });
    assert_eq!(save(&site, "node", "node001", &node), 201);
    site
}

fn power(site: &ImageSite) -> (u16, Value) {
    let (status, mut answer) = site.get("/control/action/power/node001/_status");
    (status, answer["control"]["power"].take())
}

#[test]
fn a_machine_is_switched_over_redfish_whether_that_was_said_or_found_out() {
    for driver in ["redfish", "auto"] {
        let bmc = Redfish::start();
        let site = site(&bmc, driver);
        assert_eq!(power(&site), (200, json!("off")), "{driver}");
        assert_eq!(site.get("/control/action/power/node001/_on").0, 204, "{driver}");
        assert!(bmc.is_on.load(Ordering::SeqCst), "{driver}");
        assert_eq!(power(&site), (200, json!("on")), "{driver}");
    }
}

#[test]
fn another_certificate_than_the_first_is_refused_also_after_a_restart_until_the_first_is_forgotten()
{
    let bmc = Redfish::start();
    let mut site = site(&bmc, "redfish");
    assert_eq!(power(&site), (200, json!("off")));
    bmc.replace();
    for _ in 0..2 {
        let (status, reason) = power(&site);
        assert_eq!(status, 501);
        assert!(reason.as_str().unwrap().contains("another certificate than before"), "{reason}");
        site = site.restart();
    }
    let hosts = json!({ "control": { "forget": { "hostlist": "node001" } } });
    assert_eq!(site.post("/control/forget", &hosts).0, 200);
    assert_eq!(power(&site), (200, json!("off")));
    bmc.replace();
    assert_eq!(power(&site).0, 501, "the new one is pinned in its turn");
    assert_eq!(save(&site, "bmcsetup", "redfish", &json!({ "certificate": "any" })), 204);
    assert_eq!(power(&site), (200, json!("off")));
}
