//! DHCP exchanges of a real load generator with the daemon, over a virtual cable between two network namespaces, and with Kea in its place.

mod kea;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{command, run};
use perilune_testkit::{Lab, Limit};
use serde_json::{Value, json};

use super::load::{Client, Request};
use super::{Daemon, NODES, PORT, create, describe, mac};
use crate::output::{self, Output};
use kea::Kea;

const PROGRAM: &str = "/usr/sbin/perfdhcp";
const CONTROLLER: &str = "10.141.255.254";
/// Of these addresses strangers get theirs.
const RANGE: (&str, &str) = ("10.141.192.0", "10.141.219.255");
/// Exchanges that are begun in a second: a few, then more than generator and servers can do on two cores.
const RATES: [u32; 6] = [2_000, 5_000, 8_000, 10_000, 14_000, 20_000];
const TIME: Duration = Duration::from_secs(6);

/// What became of the exchanges of one run.
struct Outcome {
    server: &'static str,
    machines: &'static str,
    /// Begun in a second.
    offered: u32,
    /// Ended in a second.
    ended: f64,
    /// From DISCOVER to OFFER and from REQUEST to ACK, in milliseconds on average.
    delays: (f64, f64),
}

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
    let macs = directory.path().join("macs");
    fs::write(&macs, (0..NODES).map(|number| mac(number) + "\n").collect::<String>())?;
    let generator = Generator { clients, macs };
    let mut outcomes = Vec::new();
    let mut step = |text: &str| {
        if !as_json {
            output.step(text);
        }
    };
    let mut daemon = Daemon::start_in(Some(&network), directory.path())?;
    network.inside(|| -> Result<()> {
        let token = daemon.token()?;
        describe(&token)?;
        let range = json!({ "dhcp": true, "dhcp_range_begin": RANGE.0, "dhcp_range_end": RANGE.1 });
        let change = json!({ "config": { "network": { "cluster": range } } });
        let change = Request::post("/config/network/cluster", &token, &change);
        Client::connect(PORT)?.exchange(&change, 204)?;
        create(&token, &mut Vec::new())
    })??;
    generator.ladder("perilune", &mut outcomes, &mut step)?;
    daemon.stop();
    match Kea::start(&network, directory.path())? {
        Some(mut kea) => {
            generator.ladder("kea", &mut outcomes, &mut step)?;
            kea.stop();
        }
        None => step("Kea is left out: install the package kea-dhcp4-server"),
    }
    show(&outcomes, as_json);
    Ok(())
}

/// The load generator, in a network of its own.
struct Generator {
    clients: Lab,
    /// A file with the hardware addresses of the nodes.
    macs: PathBuf,
}

impl Generator {
    /// Measures one server at every rate, with both kinds of machines.
    fn ladder(
        &self,
        server: &'static str,
        outcomes: &mut Vec<Outcome>,
        step: &mut impl FnMut(&str),
    ) -> Result<()> {
        let macs = self.macs.display().to_string();
        for (machines, who) in
            [("nodes", ["-M", macs.as_str()]), ("strangers", ["-b", "mac=00:0c:01:02:03:04"])]
        {
            for offered in RATES {
                step(&format!("{server}: {machines}, {offered} exchanges a second"));
                let text = self.run(offered, who)?;
                let (first, last) = text.split_once("REQUEST-ACK").unwrap_or((&text, ""));
                // Its own rate counts the last second, in which it only listens.
                let ended = number(last, "received packets:")? / TIME.as_secs_f64();
                let delays = (number(first, "avg delay:")?, number(last, "avg delay:")?);
                outcomes.push(Outcome { server, machines, offered, ended, delays });
            }
        }
        Ok(())
    }

    fn run(&self, rate: u32, who: [&str; 2]) -> Result<String> {
        let mut generator = self.clients.command(PROGRAM);
        generator
            .args(["-4", "-l", "nic0", "-r", &rate.to_string(), "-R", &NODES.to_string()])
            .args(["-p", &TIME.as_secs().to_string(), "-W", "1000000"])
            .args(who)
            .arg(CONTROLLER);
        // It fails when a single packet was lost, which the figures say.
        match run(&mut generator, &Limit::seconds(60)) {
            Ok(text) => Ok(text),
            Err(perilune_testkit::Error::Failed { output, .. }) => Ok(output),
            Err(error) => Err(error.into()),
        }
    }
}

/// A cable from `nic0` of the clients to the controller's bridge.
fn connect(network: &Lab, clients: &Lab) -> Result<()> {
    let ip = |lab: &Lab, words: &[&str]| {
        run(command("ip").args(["-n", lab.name()]).args(words), &Limit::seconds(20)).map(drop)
    };
    let cable = ["link", "add", "nic0", "netns", clients.name(), "type", "veth"];
    ip(network, &[&cable[..], &["peer", "name", "port0"]].concat())?;
    ip(network, &["link", "set", "port0", "master", BRIDGE, "up"])?;
    // The generator is a relay to the server, and needs an address to be answered at.
    ip(clients, &["address", "add", "10.141.254.1/16", "dev", "nic0"])?;
    ip(clients, &["link", "set", "nic0", "up"])?;
    Ok(())
}

/// The number that follows a label.
fn number(text: &str, label: &str) -> Result<f64> {
    let words = text.split_once(label).map(|(_, rest)| rest.split_whitespace());
    let word = words.and_then(|mut words| words.next()).unwrap_or_default();
    // Without a single answer there is no average.
    match word.parse() {
        Ok(number) => Ok(number),
        Err(_) if text.contains("received packets: 0") => Ok(f64::NAN),
        Err(error) => {
            Err(error).with_context(|| format!("{PROGRAM} says nothing of '{label}':\n{text}"))
        }
    }
}

fn show(outcomes: &[Outcome], as_json: bool) {
    if as_json {
        let all: Vec<Value> = outcomes
            .iter()
            .map(|outcome| {
                json!({
                    "server": outcome.server, "machines": outcome.machines, "offered": outcome.offered, "ended": outcome.ended,
                    "discover_to_offer_ms": outcome.delays.0, "request_to_ack_ms": outcome.delays.1,
                })
            })
            .collect();
        output::block(&json!(all).to_string());
        return;
    }
    output::block(&format!(
        "\n{:<10} {:<10} {:>10} {:>10} {:>20} {:>18}",
        "server", "machines", "offered /s", "ended /s", "DISCOVER-OFFER, ms", "REQUEST-ACK, ms"
    ));
    for Outcome { server, machines, offered, ended, delays } in outcomes {
        output::block(&format!(
            "{server:<10} {machines:<10} {offered:>10} {ended:>10.0} {:>20.2} {:>18.2}",
            delays.0, delays.1
        ));
    }
    for machines in ["nodes", "strangers"] {
        let of = |server: &str| {
            let all =
                outcomes.iter().filter(|one| one.machines == machines && one.server == server);
            let ended: Vec<f64> = all.map(|one| one.ended).collect();
            (ended.iter().copied().fold(0.0, f64::max), ended.last().copied().unwrap_or_default())
        };
        let ((peak, overloaded), (kea, _)) = (of("perilune"), of("kea"));
        let beside =
            if kea > 0.0 { format!(", {:.2} times Kea's", peak / kea) } else { String::new() };
        output::block(&format!(
            "{machines}: peak {peak:.0} /s{beside}; of it {:.2} at the highest rate",
            overloaded / peak.max(1.0)
        ));
    }
}
