//! A Kea of the site that is told of every change over its control socket, while machines ask it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{run, wait_for};
use perilune_testkit::{Lab, Limit, services};
use serde_json::json;

use super::dhcp_clients::median;
use super::load::{self, Client, Request};
use super::{Daemon, PORT, describe, mac, node};
use crate::output::{self, Output};

const GENERATOR: &str = "/usr/sbin/perfdhcp";
const KEA: &str = "/usr/sbin/kea-dhcp4";
const SERVERS: &str = "servers";
const NODES: usize = 10_000;
/// Changes that Kea is told of while machines ask.
const CHANGES: usize = 5;
/// Exchanges that strangers begin in a second, and for how many seconds.
const LOAD: (u32, u32) = (100, 40);
const GOAL_MILLISECONDS: f64 = 1000.0;
/// What the daemon's log has for each.
const TOLD: &str = "has taken the cluster as it is";

pub(crate) fn measure(program: &Path, as_json: bool) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "network namespaces need root: run this as root");
    for (program, package) in [(KEA, "kea-dhcp4-server"), (GENERATOR, "kea-admin")] {
        ensure!(
            Path::new(program).exists(),
            "{program} is not there: install the package {package}"
        );
    }
    let output = Output::new();
    let step = |text: &str| {
        if !as_json {
            output.step(text);
        }
    };
    let directory = tempfile::tempdir()?;
    let (network, clients) = super::dhcp_clients::networks("site")?;
    step("10,000 nodes");
    make(&network, program, directory.path())?;
    step("Kea, by the file that the daemon writes");
    let log = directory.path().join("daemon.log");
    let daemon = beside(&network, program, directory.path(), &log)?;
    let written = directory.path().join(SERVERS).join("kea-dhcp4.conf");
    let names_all = || {
        let text = fs::read_to_string(&written).unwrap_or_default();
        text.contains(&mac(NODES - 1)).then_some(())
    };
    let limit = Limit::seconds(120);
    ensure!(wait_for(&limit, names_all)?.is_some(), "{} lacks nodes", written.display());
    let answers = || exchanges(&clients, 10, 1).ok().filter(|(_, ended)| *ended > 0);
    wait_for(&limit, answers)?.context("Kea does not serve")?;
    step(&format!("{CHANGES} changes, while strangers ask {} times a second", LOAD.0));
    let (begun, ended, times) = std::thread::scope(|scope| -> Result<_> {
        let load = scope.spawn(|| exchanges(&clients, LOAD.0, LOAD.1));
        let times = network.inside(|| change(&daemon, &log))?;
        let (begun, ended) = load.join().map_err(|_panic| anyhow::anyhow!("the load ended"))??;
        Ok((begun, ended, times?))
    })?;
    let middle = median(times.iter().copied());
    if as_json {
        let all = json!({ "reservations": NODES, "milliseconds": times, "begun": begun, "answered": ended });
        output::block(&all.to_string());
        return Ok(());
    }
    let met = if middle <= GOAL_MILLISECONDS { "met" } else { "missed" };
    let all = if ended >= begun { "met" } else { "missed" };
    output::block(&format!(
        "\nKea took {NODES} reservations in {middle:.0} ms, the middle one of {times:?} (goal {GOAL_MILLISECONDS:.0} ms: {met});\n\
         of {begun} DISCOVERs meanwhile {ended} were answered (goal all: {all})."
    ));
    Ok(())
}

fn make(network: &Lab, program: &Path, directory: &Path) -> Result<()> {
    let daemon = Daemon::start_in(Some(network), program, directory)?;
    network.inside(|| -> Result<()> {
        let token = daemon.token()?;
        describe(&token)?;
        let range = json!({ "dhcp": true, "dhcp_range_begin": "10.141.192.0", "dhcp_range_end": "10.141.219.255" });
        let change = json!({ "config": { "network": { "cluster": range } } });
        let change = Request::post("/config/network/cluster", &token, &change);
        Client::connect(PORT)?.exchange(&change, 204)?;
        let nodes: Vec<Request> = (0..NODES).map(|number| node(number, &token)).collect();
        load::all(PORT, &nodes, 64, 201).map(drop)
    })?
}

/// The daemon without DHCP of its own: it writes for Kea.
fn beside(network: &Lab, program: &Path, directory: &Path, log: &Path) -> Result<Daemon> {
    let configuration = services::in_directory(&directory.join(SERVERS), &[("DHCP", "kea-dhcp4")])?;
    let file = directory.join("luna.ini");
    let own = fs::read_to_string(&file)?;
    // The section that the daemon's own options have made is not ours.
    ensure!(!own.contains("[SERVICES]"), "{} names servers already", file.display());
    fs::write(&file, format!("{own}\n{configuration}TFTP_INTERFACES = {BRIDGE}\n"))?;
    let log = fs::File::create(log)?;
    Daemon::spawn(program, Some(network), directory, &["--log", "info"], Some(log))
}

/// Changes a node some times. Answers in how many milliseconds Kea took each.
fn change(daemon: &Daemon, log: &Path) -> Result<Vec<f64>> {
    let token = daemon.token()?;
    let told = || -> Vec<f64> {
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines = text.lines().filter(|line| line.contains(TOLD));
        let value = |line: &str| {
            let (_, rest) = line.split_once("milliseconds")?;
            let digits = rest.trim_start_matches(|letter: char| !letter.is_ascii_digit());
            let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
            digits.get(..end)?.parse().ok()
        };
        lines.filter_map(value).collect()
    };
    let mut times = Vec::new();
    for number in 0..CHANGES {
        let before = told().len();
        let interface = json!({ "interface": "BOOTIF", "macaddress": mac(NODES + number) });
        let fields = json!({ "interfaces": [interface] });
        let body = json!({ "config": { "node": { "node0000": fields } } });
        let change = Request::post("/config/node/node0000", &token, &body);
        Client::connect(PORT)?.exchange(&change, 204)?;
        let new = || told().get(before).copied();
        times.push(wait_for(&Limit::seconds(60), new)?.context("Kea is not told")?);
    }
    Ok(times)
}

/// How many DISCOVERs of strangers were sent, and how many were answered.
fn exchanges(clients: &Lab, rate: u32, seconds: u32) -> Result<(u64, u64)> {
    let mut generator = clients.command(GENERATOR);
    generator.args(["-4", "-i", "-l", "nic0", "-r", &rate.to_string(), "-R", "500"]);
    generator.args(["-p", &seconds.to_string(), "-W", "2000000", super::dhcp_clients::CONTROLLER]);
    // It fails when a single packet was lost, which the figures say.
    let text = match run(&mut generator, &Limit::seconds(u64::from(seconds) + 30)) {
        Ok(text) => text,
        Err(perilune_testkit::Error::Failed { output, .. }) => output,
        Err(error) => return Err(error.into()),
    };
    let count = |label: &str| -> Result<u64> {
        let rest = text.split_once(label).map(|(_, rest)| rest);
        let word = rest.and_then(|rest| rest.split_whitespace().next());
        Ok(word
            .with_context(|| format!("{GENERATOR} says nothing of '{label}':\n{text}"))?
            .parse()?)
    };
    Ok((count("sent packets:")?, count("received packets:")?))
}
