//! The simulator of `OpenIPMI`, with `ipmitool` as the other client of the same one.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use perilune_bmc::{Action, Engine, Error, Limits, PowerState, Reply};
use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};

use crate::tools::{credentials, ipmitool, is_there, output_text, run, run_one, target};

/// Runs as long as this lives.
struct Simulator {
    address: SocketAddr,
    directory: TempDir,
    _process: Child,
}

impl Simulator {
    /// None, said loudly, when it is not installed.
    async fn start() -> Option<Self> {
        if !is_there("ipmi_sim", "openipmi") || !is_there("ipmitool", "ipmitool") {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        write_files(directory.path(), address);
        let path = |name: &str| directory.path().join(name);
        let process = Command::new("ipmi_sim")
            .args(["-c".as_ref(), path("lan.conf").as_os_str()])
            .args(["-f".as_ref(), path("sim.emu").as_os_str()])
            .args(["-s".as_ref(), path("state").as_os_str()])
            .arg("-n")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let simulator = Self { address, directory, _process: process };
        let until = Instant::now() + Duration::from_secs(20);
        while !ipmitool(address, 3, "chassis power status").await.status.success() {
            assert!(Instant::now() < until, "the simulator does not come up");
        }
        Some(simulator)
    }

    /// What its chassis was told.
    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

fn write_files(directory: &Path, address: SocketAddr) {
    let there = directory.display();
    let script = format!(
        "#!/bin/sh\ncd {there} || exit 1\ncase \"$4\" in\nesac\n\
         shift; verb=$1; shift\n\
         if [ \"$verb\" = get ]; then echo \"power:$(cat power 2>/dev/null || echo 0)\"; exit 0; fi\n\
         echo \"$*\" >>log\n\
         while [ $# -gt 0 ]; do case \"$1\" in power) echo \"$2\" >power; shift;; esac; shift; done\n"
    );
    write(&directory.join("chassis.sh"), &script);
    let lan = format!(
        "name \"bmc1\"\nset_working_mc 0x20\nstartlan 1\n  addr {} {}\n  priv_limit admin\n\
         \x20 allowed_auths_callback none md2 md5 straight\n  allowed_auths_user none md2 md5 straight\n\
         \x20 allowed_auths_operator none md2 md5 straight\n  allowed_auths_admin none md2 md5 straight\n\
         \x20 guid a123456789abcdefa123456789abcdef\nendlan\n\
         chassis_control \"{there}/chassis.sh x\"\n\
         user 1 true \"\" \"test\" user 10 none md2 md5 straight\n\
         user 2 true \"admin\" \"password\" admin 10 none md2 md5 straight\n",
        address.ip(),
        address.port()
    );
    write(&directory.join("lan.conf"), &lan);
    let emulation = "mc_setbmc 0x20\n\
        mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
        sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n";
    write(&directory.join("sim.emu"), emulation);
    std::fs::create_dir(directory.join("state")).unwrap();
}

fn write(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn power_is_seen_and_changed_as_ipmitool_sees_it() {
    let Some(simulator) = Simulator::start().await else { return };
    let engine = Engine::new();
    let target = target("node001", simulator.address);
    for (action, state) in [(Action::PowerOn, PowerState::On), (Action::PowerOff, PowerState::Off)]
    {
        let outcome = run_one(&engine, target.clone(), action, Limits::default()).await;
        assert!(matches!(outcome.result, Ok(Reply::Done)), "{action}: {:?}", outcome.result);
        assert_eq!(outcome.power, Some(state));
        let theirs = output_text(&ipmitool(simulator.address, 3, "chassis power status").await);
        assert_eq!(theirs, format!("Chassis Power is {state}"));
        let ours = run_one(&engine, target.clone(), Action::PowerStatus, Limits::default()).await;
        assert_eq!(ours.result.unwrap(), Reply::Power(state));
    }
}

#[tokio::test]
async fn cycle_reset_and_identify_reach_the_chassis() {
    let Some(simulator) = Simulator::start().await else { return };
    let engine = Engine::new();
    let target = target("node001", simulator.address);
    for action in [
        Action::PowerOn,
        Action::PowerReset,
        Action::Identify,
        Action::NoIdentify,
        Action::PowerCycle,
    ] {
        let outcome = run_one(&engine, target.clone(), action, Limits::default()).await;
        assert!(outcome.result.is_ok(), "{action}: {:?}", outcome.result);
    }
    let log = simulator.log();
    for expected in ["power 1", "reset 1", "identify", "power 0"] {
        assert!(log.contains(expected), "{expected:?} is missing:\n{log}");
    }
}

#[tokio::test]
async fn the_simulator_refuses_a_wrong_password_and_this_is_said() {
    let Some(simulator) = Simulator::start().await else { return };
    let mut target = target("node001", simulator.address);
    target.credentials = credentials("guess");
    let outcome = run_one(&Engine::new(), target, Action::PowerStatus, Limits::default()).await;
    assert!(matches!(outcome.result, Err(Error::WrongPassword { .. })), "{:?}", outcome.result);
    assert_eq!(outcome.tries, 1);
}

#[tokio::test]
async fn sessions_are_given_back() {
    let Some(simulator) = Simulator::start().await else { return };
    let engine = Engine::new();
    // More than the simulator has room for at once.
    for _ in 0..80 {
        let targets = vec![target("node001", simulator.address)];
        let outcomes = run(&engine, targets, Action::PowerStatus, Limits::default()).await;
        assert!(outcomes[0].result.is_ok(), "{:?}", outcomes[0].result);
    }
}
