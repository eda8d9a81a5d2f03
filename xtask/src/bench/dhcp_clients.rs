//! DHCP exchanges of a real load generator with the daemon, over a virtual cable between two network namespaces.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{command, run};
use perilune_testkit::{Lab, Limit};
use serde_json::json;

use super::load::{Client, Request};
use super::{Daemon, Figure, NODES, PORT, create, describe, mac, show};
use crate::output::Output;

const PROGRAM: &str = "/usr/sbin/perfdhcp";
const CONTROLLER: &str = "10.141.255.254";
/// Exchanges begun in a second: more than any site has, and less than what makes generator and daemon fight for two cores.
const RATE: u32 = 5000;
const TIME: Duration = Duration::from_secs(10);

/// Exchanges of 4,000 machines that are nodes, and of 4,000 that are not and whose leases are stored before they are told.
pub(crate) fn measure(as_json: bool) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "network namespaces need root: run this as root");
    ensure!(Path::new(PROGRAM).exists(), "{PROGRAM} is not there: install the package kea-admin");
    let output = Output::new();
    let directory = tempfile::tempdir()?;
    let name = format!("bench-{}", std::process::id());
    let network = Lab::create(&name, &["10.141.255.254/16"])?;
    let clients = Lab::create(&format!("{name}-clients"), &[])?;
    connect(&network, &clients)?;
    let daemon = Daemon::start_in(Some(&network), directory.path())?;
    let mut made = Vec::new();
    network.inside(|| -> Result<()> {
        let token = daemon.token()?;
        describe(&token)?;
        let range = json!({ "dhcp": true, "dhcp_range_begin": "10.141.200.0", "dhcp_range_end": "10.141.219.255" });
        let change = json!({ "config": { "network": { "cluster": range } } });
        let change = Request::post("/config/network/cluster", &token, &change);
        Client::connect(PORT)?.exchange(&change, 204)?;
        create(&token, &mut made)
    })??;
    let macs: String = (0..NODES).map(|number| mac(number) + "\n").collect();
    let file = directory.path().join("macs");
    fs::write(&file, macs)?;
    let file = file.display().to_string();
    let mut figures = Vec::new();
    for (what, who) in [
        ("DHCP exchanges of nodes", ["-M", &file]),
        ("DHCP exchanges of strangers", ["-b", "mac=00:0c:01:02:03:04"]),
    ] {
        if !as_json {
            output.step(what);
        }
        let mut generator = clients.command(PROGRAM);
        generator
            .args(["-4", "-l", "nic0", "-r", &RATE.to_string(), "-R", &NODES.to_string()])
            .args(["-p", &TIME.as_secs().to_string(), "-W", "1000000"])
            .args(who)
            .arg(CONTROLLER);
        // It fails when a single packet was lost, which the figures say.
        let text = match run(&mut generator, &Limit::seconds(60)) {
            Ok(text) => text,
            Err(perilune_testkit::Error::Failed { output, .. }) => output,
            Err(error) => return Err(error.into()),
        };
        // Its own rate counts the last second, in which it only listens.
        let value = number(last_part(&text), "received packets:")? / TIME.as_secs_f64();
        figures.push(Figure { what, value, unit: "/s", goal: None });
        let latency = number(last_part(&text), "avg delay:")?;
        figures.push(Figure {
            what: "  REQUEST to ACK, mean",
            value: latency,
            unit: "ms",
            goal: None,
        });
        let lost = number(&text, "drops ratio:")?.max(number(last_part(&text), "drops ratio:")?);
        figures.push(Figure { what: "  packets lost", value: lost, unit: "%", goal: None });
    }
    show(&figures, as_json);
    Ok(())
}

/// A cable from `nic0` of the clients to the controller's bridge.
fn connect(network: &Lab, clients: &Lab) -> Result<()> {
    let ip = |lab: &Lab, words: &[&str]| {
        run(command("ip").args(["-n", lab.name()]).args(words), &Limit::seconds(20)).map(drop)
    };
    let cable = ["link", "add", "nic0", "netns", clients.name(), "type", "veth"];
    ip(network, &[&cable[..], &["peer", "name", "port0"]].concat())?;
    ip(network, &["link", "set", "port0", "master", BRIDGE, "up"])?;
    // The generator is a relay to the daemon, and needs an address to be answered at.
    ip(clients, &["address", "add", "10.141.254.1/16", "dev", "nic0"])?;
    ip(clients, &["link", "set", "nic0", "up"])?;
    Ok(())
}

/// What the generator says of the second half of exchanges.
fn last_part(text: &str) -> &str {
    text.split_once("REQUEST-ACK").map_or("", |(_, part)| part)
}

/// The number that follows a label.
fn number(text: &str, label: &str) -> Result<f64> {
    let words = text.split_once(label).map(|(_, rest)| rest.split_whitespace());
    let word = words.and_then(|mut words| words.next()).unwrap_or_default();
    word.parse().with_context(|| format!("{PROGRAM} says nothing of '{label}':\n{text}"))
}
