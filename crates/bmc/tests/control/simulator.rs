//! The simulator of `OpenIPMI`, with `ipmitool` as the other client of the same one.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use perilune_bmc::{Action, Engine, Error, Limits, PowerState, Reply};
use perilune_testkit::bmc::PROGRAM;
use perilune_testkit::{Bmc, process};
use tempfile::TempDir;
use tokio::net::UdpSocket;

use crate::tools::{credentials, ipmitool, is_there, output_text, run, run_one, target};

/// Runs as long as this lives.
struct Simulator {
    address: SocketAddr,
    bmc: Bmc,
    directory: TempDir,
}

impl Simulator {
    /// None, said loudly, when it is not installed.
    async fn start() -> Option<Self> {
        if !is_there("ipmi_sim", "openipmi") || !is_there("ipmitool", "ipmitool") {
            return None;
        }
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let simulator = Self::start_at(address);
        let until = Instant::now() + Duration::from_secs(20);
        while !ipmitool(address, 3, "chassis power status").await.status.success() {
            assert!(Instant::now() < until, "the simulator does not come up");
        }
        Some(simulator)
    }

    fn start_at(address: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bmc = Bmc::start(process::command(PROGRAM), address, None, directory.path()).unwrap();
        Self { address, bmc, directory }
    }

    /// What its chassis was told.
    fn log(&self) -> String {
        self.bmc.log()
    }
}

#[tokio::test]
async fn power_is_seen_and_changed_as_ipmitool_sees_it() {
    let Some(simulator) = Simulator::start().await else { return };
    let engine = Engine::new(Vec::new());
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
    let engine = Engine::new(Vec::new());
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
    let outcome =
        run_one(&Engine::new(Vec::new()), target, Action::PowerStatus, Limits::default()).await;
    assert!(matches!(outcome.result, Err(Error::WrongPassword { .. })), "{:?}", outcome.result);
    assert_eq!(outcome.tries, 1);
}

#[tokio::test]
async fn sessions_are_given_back() {
    let Some(simulator) = Simulator::start().await else { return };
    let engine = Engine::new(Vec::new());
    // More than the simulator has room for at once.
    for _ in 0..80 {
        let targets = vec![target("node001", simulator.address)];
        let outcomes = run(&engine, targets, Action::PowerStatus, Limits::default()).await;
        assert!(outcomes[0].result.is_ok(), "{:?}", outcomes[0].result);
    }
}

#[tokio::test]
async fn the_event_log_is_what_ipmitool_lists_and_can_be_cleared() {
    let Some(simulator) = Simulator::start().await else { return };
    let engine = Engine::new(Vec::new());
    let target = target("node001", simulator.address);
    let list = async || {
        let outcome = run_one(&engine, target.clone(), Action::SelList, Limits::default()).await;
        outcome.result.unwrap().to_string()
    };
    assert_eq!(list().await, "");
    let file = simulator.directory.path().join("events");
    let events = "0x04 0x01 0x30 0x01 0x59 0x5f 0x5a\n0x04 0x02 0x60 0x01 0x52 0x00 0x00\n\
                  0x04 0x0c 0x53 0x6f 0x00 0xff 0xff\n0x04 0x09 0x01 0xef 0x00 0xff 0xff\n";
    std::fs::write(&file, events).unwrap();
    let add = format!("sel add {}", file.display());
    output_text(&ipmitool(simulator.address, 3, &add).await);
    let theirs = output_text(&ipmitool(simulator.address, 3, "sel list").await);
    let ours = list().await;
    assert_eq!(ours.lines().count(), 4, "{ours}\n{theirs}");
    let events = [
        "Upper Critical going high",
        "Lower Critical going low",
        "Correctable ECC",
        "Power off/down",
    ];
    for ((line, their_line), event) in ours.lines().zip(theirs.lines()).zip(events) {
        assert!(line.contains(event) && their_line.contains(event), "{line}\n{their_line}");
        let sensor = line.split(" | ").nth(2).unwrap();
        assert!(their_line.contains(sensor), "{sensor}: {their_line}");
        let direction = line.split(" | ").nth(4).unwrap();
        assert!(their_line.ends_with(direction), "{direction}: {their_line}");
    }
    let cleared = run_one(&engine, target.clone(), Action::SelClear, Limits::default()).await;
    assert!(matches!(cleared.result, Ok(Reply::Done)), "{:?}", cleared.result);
    assert_eq!(list().await, "");
}

#[tokio::test]
async fn sensors_read_what_ipmitool_reads() {
    let Some(simulator) = Simulator::start().await else { return };
    let target = target("node001", simulator.address);
    let outcome =
        run_one(&Engine::new(Vec::new()), target, Action::Sensors, Limits::default()).await;
    assert_eq!(outcome.result.unwrap().to_string(), "CPU Temp | 42.000 degrees C | ok");
    let theirs = output_text(&ipmitool(simulator.address, 3, "sdr list").await);
    assert!(theirs.starts_with("CPU Temp         | 42 degrees C"), "{theirs}");
}

#[tokio::test]
async fn the_inventory_is_what_ipmitool_prints() {
    let Some(simulator) = Simulator::start().await else { return };
    let target = target("node001", simulator.address);
    let outcome =
        run_one(&Engine::new(Vec::new()), target, Action::Inventory, Limits::default()).await;
    let ours = outcome.result.unwrap().to_string();
    let theirs = output_text(&ipmitool(simulator.address, 3, "fru print 0").await);
    for (part, field, value, label) in [
        ("board", "manufacturer", "ACME Boards", "Board Mfg  "),
        ("board", "serial number", "BS-77", "Board Serial"),
        ("product", "name", "Node 3000", "Product Name"),
        ("product", "serial number", "S/N 42", "Product Serial"),
        ("product", "asset tag", "tag", "Product Asset Tag"),
    ] {
        assert!(ours.contains(&format!("{part} | {field} | {value}")), "{ours}");
        let line = theirs.lines().find(|line| line.trim().starts_with(label)).expect(label);
        assert!(line.ends_with(value), "{line}");
    }
    assert!(ours.contains("bmc | firmware | 9.08"), "{ours}");
}

#[tokio::test]
async fn many_are_switched_on_at_once() {
    let Some(_) = Simulator::start().await else { return };
    let simulators: Vec<Simulator> = (1..=40)
        .map(|number| Simulator::start_at(SocketAddr::from(([127, 8, 0, number], 9623))))
        .collect();
    let targets: Vec<_> = simulators
        .iter()
        .enumerate()
        .map(|(number, simulator)| target(&format!("node{number:03}"), simulator.address))
        .collect();
    // They take a moment to come up: tries bridge it.
    let limits = Limits { tries: 8, ..Limits::default() };
    let outcomes = run(&Engine::new(Vec::new()), targets, Action::PowerOn, limits).await;
    assert_eq!(outcomes.len(), simulators.len());
    for outcome in outcomes {
        assert!(
            matches!(outcome.result, Ok(Reply::Done)),
            "{}: {:?}",
            outcome.name,
            outcome.result
        );
        assert_eq!(outcome.power, Some(PowerState::On));
    }
    assert!(simulators.iter().all(|simulator| simulator.log().contains("power 1")));
}
