//! DHCP exchanges of a real load generator with the daemon, over a virtual cable between two network namespaces, and with Kea in its place.

mod kea;

use std::path::Path;
use std::time::Duration;
use std::{fmt, fs};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{command, run};
use perilune_testkit::{Lab, Limit};
use serde_json::{Value, json};

use super::load::{Client, Request};
use super::{Daemon, NODES, PORT, create, describe, mac};
use crate::output::{self, Output};
use kea::Kea;

const PROGRAM: &str = "/usr/sbin/perfdhcp";
pub(super) const CONTROLLER: &str = "10.141.255.254";
/// Of these addresses strangers get theirs.
const RANGE: (&str, &str) = ("10.141.192.0", "10.141.219.255");
/// Exchanges that are begun in a second: a few, then more than generator and servers can do on two cores.
const RATES: [u32; 7] = [2_000, 5_000, 10_000, 14_000, 20_000, 28_000, 40_000];
/// Each server is asked for so long at a time, and both in turn, so often: what else runs on the machine disturbs both alike.
const TIME: Duration = Duration::from_secs(4);
const ROUNDS: u8 = 5;

/// What is measured. All of it takes a quarter of an hour.
#[derive(Args)]
pub(crate) struct Terms {
    /// Which machines ask; both kinds, one after the other, without this
    #[arg(long, value_enum)]
    machines: Option<Machines>,
    /// How often each rate is offered to each server
    #[arg(long, default_value_t = ROUNDS, value_parser = clap::value_parser!(u8).range(1..=50))]
    rounds: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Machines {
    /// Machines of the cluster, whose address is fixed
    Nodes,
    /// Others, whose leases are stored before they are told
    Strangers,
}

impl Machines {
    fn word(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Strangers => "strangers",
        }
    }
}

/// What became of the exchanges of some runs, each figure the middle one.
struct Outcome {
    server: &'static str,
    machines: &'static str,
    /// Begun in a second.
    offered: u32,
    /// Ended in a second.
    ended: f64,
    /// From DISCOVER to OFFER and from REQUEST to ACK, in milliseconds on average.
    delays: (f64, f64),
    /// What an exchange that ended cost the server, in microseconds of a processor.
    cost: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, machines, offered, ended, delays, cost } = self;
        write!(
            f,
            "{server:<10} {machines:<10} {offered:>10} {ended:>10.0} {:>20.2} {:>18.2} {cost:>14.1}",
            delays.0, delays.1
        )
    }
}

/// What became of the exchanges of one run.
struct Run {
    ended: f64,
    delays: (f64, f64),
    cost: f64,
}

/// A server in a network of its own, and the clients that ask it.
struct Site {
    server: &'static str,
    /// Before the networks, so that it ends before they go.
    process: Server,
    clients: Lab,
    /// The server runs in it.
    _network: Lab,
}

enum Server {
    Perilune(Daemon),
    Kea(Kea),
}

impl Server {
    fn processor_seconds(&self) -> Result<f64> {
        match self {
            Self::Perilune(daemon) => daemon.processor_seconds(),
            Self::Kea(kea) => kea.processor_seconds(),
        }
    }
}

/// Exchanges of 4,000 machines that are nodes, and of 4,000 that are not and whose leases are stored before they are told.
pub(crate) fn measure(program: &Path, terms: &Terms, as_json: bool) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "network namespaces need root: run this as root");
    ensure!(Path::new(PROGRAM).exists(), "{PROGRAM} is not there: install the package kea-admin");
    let output = Output::new();
    let directory = tempfile::tempdir()?;
    let step = |text: &str| {
        if !as_json {
            output.step(text);
        }
    };
    let macs = directory.path().join("macs");
    fs::write(&macs, (0..NODES).map(|number| mac(number) + "\n").collect::<String>())?;
    let mut sites = vec![perilune(program, directory.path())?];
    match kea(directory.path())? {
        Some(kea) => sites.push(kea),
        None => step("Kea is left out: install the package kea-dhcp4-server"),
    }
    let macs = macs.display().to_string();
    let mut outcomes = Vec::new();
    for machines in [Machines::Nodes, Machines::Strangers] {
        if terms.machines.is_some_and(|wanted| wanted != machines) {
            continue;
        }
        let who = match machines {
            Machines::Nodes => ["-M", macs.as_str()],
            Machines::Strangers => ["-b", "mac=00:0c:01:02:03:04"],
        };
        for offered in RATES {
            let found = rounds(&sites, terms.rounds, (machines, offered), who)?;
            for outcome in &found {
                step(&outcome.to_string());
            }
            outcomes.extend(found);
        }
    }
    for site in &mut sites {
        match &mut site.process {
            Server::Perilune(daemon) => daemon.stop(),
            Server::Kea(kea) => kea.stop(),
        }
    }
    show(&outcomes, as_json);
    Ok(())
}

/// Offers a rate to all servers in turn, some times.
fn rounds(
    sites: &[Site],
    count: u8,
    (machines, offered): (Machines, u32),
    who: [&str; 2],
) -> Result<Vec<Outcome>> {
    let mut runs: Vec<Vec<Run>> = sites.iter().map(|_| Vec::new()).collect();
    for _ in 0..count {
        for (site, runs) in sites.iter().zip(&mut runs) {
            runs.push(site.run(offered, who)?);
        }
    }
    let outcome = |(site, runs): (&Site, Vec<Run>)| {
        let middle = |read: fn(&Run) -> f64| median(runs.iter().map(read));
        Outcome {
            server: site.server,
            machines: machines.word(),
            offered,
            ended: middle(|run| run.ended),
            delays: (middle(|run| run.delays.0), middle(|run| run.delays.1)),
            cost: middle(|run| run.cost),
        }
    };
    Ok(sites.iter().zip(runs).map(outcome).collect())
}

/// The middle one of some figures.
pub(super) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

pub(super) fn networks(server: &str) -> Result<(Lab, Lab)> {
    let name = format!("bench-{}-{server}", std::process::id());
    let network = Lab::create(&name, &["10.141.255.254/16"])?;
    let clients = Lab::create(&format!("{name}-clients"), &[])?;
    connect(&network, &clients)?;
    Ok((network, clients))
}

fn perilune(program: &Path, directory: &Path) -> Result<Site> {
    let (network, clients) = networks("perilune")?;
    let daemon = Daemon::start_in(Some(&network), program, directory)?;
    network.inside(|| -> Result<()> {
        let token = daemon.token()?;
        describe(&token)?;
        let range = json!({ "dhcp": true, "dhcp_range_begin": RANGE.0, "dhcp_range_end": RANGE.1 });
        let change = json!({ "config": { "network": { "cluster": range } } });
        let change = Request::post("/config/network/cluster", &token, &change);
        Client::connect(PORT)?.exchange(&change, 204)?;
        create(&daemon, &token, &mut Vec::new())
    })??;
    Ok(Site { server: "perilune", process: Server::Perilune(daemon), clients, _network: network })
}

fn kea(directory: &Path) -> Result<Option<Site>> {
    let (network, clients) = networks("kea")?;
    let kea = Kea::start(&network, directory)?;
    Ok(kea.map(|kea| Site { server: "kea", process: Server::Kea(kea), clients, _network: network }))
}

impl Site {
    fn run(&self, rate: u32, who: [&str; 2]) -> Result<Run> {
        let mut generator = self.clients.command(PROGRAM);
        generator
            .args(["-4", "-l", "nic0", "-r", &rate.to_string(), "-R", &NODES.to_string()])
            .args(["-p", &TIME.as_secs().to_string(), "-W", "1000000"])
            .args(who)
            .arg(CONTROLLER);
        let before = self.process.processor_seconds()?;
        // It fails when a single packet was lost, which the figures say.
        let text = match run(&mut generator, &Limit::seconds(60)) {
            Ok(text) => text,
            Err(perilune_testkit::Error::Failed { output, .. }) => output,
            Err(error) => return Err(error.into()),
        };
        let (first, last) = text.split_once("REQUEST-ACK").unwrap_or((&text, ""));
        // Its own rate counts the last second, in which it only listens.
        let ended = number(last, "received packets:")? / TIME.as_secs_f64();
        let delays = (number(first, "avg delay:")?, number(last, "avg delay:")?);
        let all = ended * TIME.as_secs_f64();
        let cost = (self.process.processor_seconds()? - before) / all * 1e6;
        Ok(Run { ended, delays, cost })
    }
}

/// A cable from `nic0` of the clients to the controller's bridge.
pub(super) fn connect(network: &Lab, clients: &Lab) -> Result<()> {
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
                    "processor_us": outcome.cost,
                })
            })
            .collect();
        output::block(&json!(all).to_string());
        return;
    }
    output::block(&format!(
        "\n{:<10} {:<10} {:>10} {:>10} {:>20} {:>18} {:>14}",
        "server",
        "machines",
        "offered /s",
        "ended /s",
        "DISCOVER-OFFER, ms",
        "REQUEST-ACK, ms",
        "processor, us"
    ));
    for outcome in outcomes {
        output::block(&outcome.to_string());
    }
    for machines in ["nodes", "strangers"] {
        if outcomes.iter().all(|outcome| outcome.machines != machines) {
            continue;
        }
        let of = |server: &str| {
            let all =
                || outcomes.iter().filter(|one| one.machines == machines && one.server == server);
            let peak = all().map(|one| one.ended).fold(0.0, f64::max);
            let twice = all().find(|one| f64::from(one.offered) >= 2.0 * peak);
            (peak, twice.or(all().next_back()).map_or(0.0, |one| one.ended))
        };
        let ((peak, overloaded), (kea, _)) = (of("perilune"), of("kea"));
        let beside =
            if kea > 0.0 { format!(", {:.2} times Kea's", peak / kea) } else { String::new() };
        output::block(&format!(
            "{machines}: peak {peak:.0} /s{beside}; of it {:.2} at twice as much",
            overloaded / peak.max(1.0)
        ));
    }
}
