//! Machines and their BMCs, as the command line shows them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use perilune_model::network::Network;
use perilune_model::{Draft, Name};
use perilune_store::{Commit, Meta, Store};
use perilune_testkit::bmc::{PASSWORD, PROGRAM, USER};
use perilune_testkit::free_port;
use perilune_testkit::{Bmc, process};
use serde_json::{Value, json};

use crate::kill::Daemon;
use crate::{Shell, errors};

const DEADLINE: Duration = Duration::from_mins(1);
/// As many nodes as have a BMC; all but the first node's are not there.
const NODES: u8 = 20;

/// A daemon with node001 to node020, whose BMCs are in 127.10.0.0/16: that of node001 is simulated, those of the others are dead;
/// bare001 has none.
struct Row {
    shell: Shell,
    daemon: Daemon,
    bmc: Bmc,
    _directory: tempfile::TempDir,
}

fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 10, 0, number).into()
}

/// A network that no request may make: in loopback addresses, where tests have machines of their own.
fn add_network(data: &Path, name: &str, range: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (store, cluster) = Store::open(data, &data.join("luna.key")).unwrap();
        let mut draft = Draft::new(&cluster);
        let name = Name::trusted(name);
        draft.put(Network { name, ipv4: range.parse().ok(), ..Network::default() }).unwrap();
        let commit = Commit { change: draft.finish().1, meta: Meta::default(), key: None };
        store.apply(cluster.revision(), vec![commit]).await.unwrap();
    });
}

impl Row {
    /// `None`, said loudly, when the simulator is not installed.
    fn start() -> Option<Self> {
        if !Path::new("/usr/bin").join(PROGRAM).exists() {
            eprintln!("SKIPPED: {PROGRAM} is not installed (package openipmi)");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let (data, files) = (directory.path().join("data"), directory.path().join("bmc"));
        std::fs::create_dir(&files).unwrap();
        let at = SocketAddr::new(address(1), free_port());
        let bmc = Bmc::start(process::command(PROGRAM), at, None, &files).unwrap();
        drop(Daemon::start(&data));
        add_network(&data, "bmcs", "127.10.0.0/16");
        let daemon = Daemon::start(&data);
        let save = |resource: &str, name: &str, fields: &Value| {
            assert_eq!(daemon.config(resource, name, fields), Some(201), "{resource} {name}");
        };
        let setup = json!({ "username": USER, "password": PASSWORD, "port": at.port() });
        save("bmcsetup", "simulated", &setup);
        save("group", "bare", &json!({}));
        let interfaces = json!([{ "interface": "BMC", "network": "bmcs" }]);
        let group = json!({ "bmcsetupname": "simulated", "interfaces": interfaces });
        save("group", "compute", &group);
        save("node", "bare001", &json!({ "group": "bare" }));
        for number in 1..=NODES {
            let bmc =
                json!([{ "interface": "BMC", "network": "bmcs", "ipaddress": address(number) }]);
            let node = json!({ "group": "compute", "interfaces": bmc });
            save("node", &format!("node{number:03}"), &node);
        }
        let started = Instant::now();
        while UdpSocket::bind(at).is_ok() {
            assert!(started.elapsed() < DEADLINE, "the simulator does not come up");
            std::thread::yield_now();
        }
        Some(Self { shell: Shell::new(), daemon, bmc, _directory: directory })
    }

    fn command(&self, line: &str) -> Command {
        let token = self.daemon.token();
        let words: Vec<&str> =
            line.split(' ').chain(["--url", &self.daemon.url, "--token", &token]).collect();
        let mut command = self.shell.command(&words);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> (Option<i32>, String, String) {
        seen(&self.command(line).output().unwrap())
    }
}

/// Exit code, standard output, standard error.
fn seen(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), errors(output))
}

#[test]
fn nodes_with_the_same_outcome_are_one_line_and_the_exit_code_says_how_many_were_done() {
    let Some(row) = Row::start() else { return };
    let (code, text, _) = row.run("power status node001");
    assert_eq!((code, text.as_str()), (Some(0), "node001: off\n"));
    let (code, text, told) = row.run("power on node[001-003],bare001,ghost[01-40]");
    assert_eq!(
        text,
        "node001: on (seen)\nnode[002-003]: no answer\nbare001: no interface 'BMC'\nghost[01-40]: no such node\n"
    );
    assert_eq!((code, told.trim()), (Some(1), "43 of 44 failed"));
    assert!(row.bmc.is_powered());
    let (code, text, _) = row.run("power status ghost[001-998]");
    assert_eq!((code, text.as_str()), (Some(5), "ghost[001-998]: no such node\n"));
    let (code, text, _) = row.run("power cycle node001");
    assert_eq!((code, text.as_str()), (Some(0), "node001: cycle done\n"));
}

#[test]
fn lights_logs_sensors_and_inventories_are_shown() {
    let Some(row) = Row::start() else { return };
    for (line, expected) in [
        ("identify on node001", "node001: light on\n"),
        ("identify off node001", "node001: light off\n"),
        ("sel list node001", "node001: nothing is listed\n"),
        ("sel clear node001", "node001: cleared\n"),
        ("sensors node001", "CPU Temp | 42.000 degrees C | ok\n"),
    ] {
        let (code, text, told) = row.run(line);
        assert_eq!((code, text.as_str()), (Some(0), expected), "{line}: {told}");
    }
    let (code, text, _) = row.run("inventory --bmc node001");
    assert_eq!(code, Some(0));
    assert!(text.contains("product | serial number | S/N 42\n"), "{text}");
    let (code, text, _) = row.run("sensors node001,bare001 -o json");
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, Some(1));
    assert_eq!(all["node001"]["reply"]["sensors"][0]["value"], 42.0, "{all}");
    assert_eq!(all["bare001"]["ok"], false);
    assert_eq!(all["bare001"]["reason"], "no interface 'BMC'");
}

#[test]
fn many_nodes_are_not_switched_off_unasked() {
    let Some(row) = Row::start() else { return };
    assert_eq!(row.run("power on node001").0, Some(0));
    for line in ["power off node[001-009]", "power off node001 --ask-above 0"] {
        let (code, text, told) = row.run(line);
        assert_eq!((code, text.as_str()), (Some(2), ""), "{line}");
        assert!(told.contains("switches off") && told.contains("--yes"), "{told}");
    }
    let asked = row.command("power soft node001").env("PERILUNE_ASK_ABOVE", "0").output().unwrap();
    assert_eq!(asked.status.code(), Some(2), "{}", errors(&asked));
    assert!(row.bmc.is_powered());
    let (code, text, _) = row.run("power off node001 --ask-above 0 --yes");
    assert_eq!((code, text.as_str()), (Some(0), "node001: off (seen)\n"));
    assert!(!row.bmc.is_powered());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may block")]
fn an_interrupt_stops_what_has_not_begun() {
    let Some(row) = Row::start() else { return };
    let started = Instant::now();
    // One in a second: they would take twenty.
    let line = "power on node[001-020] --ramp 1 --yes";
    let mut command = row.command(line);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !row.bmc.is_powered() {
        assert!(started.elapsed() < DEADLINE, "nothing is switched on");
        std::thread::sleep(Duration::from_millis(50));
    }
    // It has answered to the first question by then, and follows.
    std::thread::sleep(Duration::from_millis(1500));
    let interrupt = ["-s", "INT", &command.id().to_string()];
    assert!(Command::new("kill").args(interrupt).status().unwrap().success());
    let (code, text, told) = seen(&command.wait_with_output().unwrap());
    assert_eq!(code, Some(1), "{told}");
    assert!(text.starts_with("node001: on (seen)\n"), "{text}");
    assert!(text.lines().any(|line| line.ends_with("020]: cancelled")), "{text}");
    assert!(told.contains("what has not begun is not done any more"), "{told}");
}
