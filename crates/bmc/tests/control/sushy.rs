//! The Redfish emulator of `OpenStack`. It is in no distribution: `pip install sushy-tools`, and `sushy-emulator` in the path
//! or named by the variable `SUSHY_EMULATOR`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use perilune_bmc::{Action, Engine, Error, Limits, PowerState, Reply, Target, Verification};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::tools::{credentials, find, redfish_target, run_one};

/// The hash of "password".
const HTPASSWD: &str = "admin:$2y$05$MKV/yxkH/FjKzCd3c1q.MO3pP.RIuQOQh4sERv6l7P/OolZ2q14Qu\n";
const SYSTEM: &str = "00000000-0000-0000-0000-000000000002";

struct Emulator {
    address: SocketAddr,
    _directory: TempDir,
    _process: Child,
}

impl Emulator {
    /// None, said loudly, when it is not installed.
    async fn start() -> Option<Self> {
        let named = std::env::var_os("SUSHY_EMULATOR").map(Into::into);
        let Some(program) = named.or_else(|| find("sushy-emulator")) else {
            println!(
                "NOT TESTED against sushy-emulator: pip install sushy-tools, and name it in SUSHY_EMULATOR"
            );
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], perilune_testkit::free_port()));
        write_files(directory.path(), address);
        let process = Command::new(program)
            .arg("--config")
            .arg(directory.path().join("conf.py"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).await.is_err() {
            assert!(Instant::now() < until, "the emulator does not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(Self { address, _directory: directory, _process: process })
    }

    fn target(&self) -> Target {
        let mut target = redfish_target(self.address);
        target.redfish.system = Some(SYSTEM.to_owned());
        target
    }
}

fn write_files(directory: &Path, address: SocketAddr) {
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
    write("cert.pem", &signed.cert.pem());
    write("key.pem", &signed.signing_key.serialize_pem());
    write("htpasswd", HTPASSWD);
    let there = directory.display();
    let system = |number: u32| {
        format!(
            "{{'uuid': '00000000-0000-0000-0000-00000000000{number}', 'name': 'node{number}', 'power_state': 'Off', \
             'external_notifier': False, 'nics': []}}"
        )
    };
    write(
        "conf.py",
        &format!(
            "SUSHY_EMULATOR_LISTEN_IP='127.0.0.1'\nSUSHY_EMULATOR_LISTEN_PORT={}\n\
             SUSHY_EMULATOR_SSL_CERT='{there}/cert.pem'\nSUSHY_EMULATOR_SSL_KEY='{there}/key.pem'\n\
             SUSHY_EMULATOR_AUTH_FILE='{there}/htpasswd'\nSUSHY_EMULATOR_FAKE_DRIVER=True\n\
             SUSHY_EMULATOR_STATE_DIR='{there}/state'\nSUSHY_EMULATOR_FAKE_SYSTEMS=[{}, {}]\n",
            address.port(),
            system(1),
            system(2)
        ),
    );
}

#[tokio::test]
async fn the_emulators_machine_is_switched_on_and_off() {
    let Some(emulator) = Emulator::start().await else { return };
    let engine = Engine::new(Vec::new());
    let ask = |action| {
        // Its machines take up to eleven seconds.
        let verification =
            Verification { within: Duration::from_secs(25), every: Duration::from_millis(500) };
        let limits = Limits { verification: Some(verification), ..Limits::default() };
        run_one(&engine, emulator.target(), action, limits)
    };
    for (action, state) in [(Action::PowerOn, PowerState::On), (Action::PowerOff, PowerState::Off)]
    {
        let outcome = ask(action).await;
        assert!(matches!(outcome.result, Ok(Reply::Done)), "{action}: {:?}", outcome.result);
        assert_eq!(outcome.power, Some(state));
    }
    for action in [Action::Identify, Action::NoIdentify, Action::Sensors, Action::Inventory] {
        let outcome = ask(action).await;
        assert!(outcome.result.is_ok(), "{action}: {:?}", outcome.result);
    }
}

#[tokio::test]
async fn the_emulator_refuses_a_wrong_password_and_this_is_said() {
    let Some(emulator) = Emulator::start().await else { return };
    let mut target = emulator.target();
    target.credentials = credentials("guess");
    let engine = Engine::new(Vec::new());
    let outcome = run_one(&engine, target, Action::PowerStatus, Limits::default()).await;
    assert!(matches!(outcome.result, Err(Error::WrongPassword { .. })), "{:?}", outcome.result);
    let mut unknown = emulator.target();
    unknown.redfish.system = Some("nowhere".to_owned());
    let outcome = run_one(&engine, unknown, Action::PowerStatus, Limits::default()).await;
    let error = outcome.result.unwrap_err().to_string();
    assert!(error.ends_with("refused: it has no system \"nowhere\""), "{error}");
}
