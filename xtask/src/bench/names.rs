//! Names: answers in a second beside those of BIND and NSD, which have the same names and run in the same minutes on the same cores; how soon a change of
//! 10,000 nodes is answered, here and by a BIND that is secondary; and a zone of 30,000 records read by `dig`.

mod others;

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use perilune_testkit::process::run;
use perilune_testkit::{Lab, Limit};
use serde_json::{Value, json};

use super::dhcp_clients::{median, networks};
use super::load::{self, Client, Request};
use super::{Daemon, PORT, describe, mac};
use crate::output::{self, Output};
use others::Server;

const GENERATOR: &str = "/usr/bin/dnsperf";
const DIG: &str = "/usr/bin/dig";
const CONTROLLER: &str = "10.141.255.254";
/// Where the generator is, and a secondary server may be.
const CLIENTS: &str = "10.141.254.1";
const NODES: usize = 10_000;
/// Beside the nodes' own addresses, so that a zone has 30,000 records.
const HOSTS: usize = 20_000;
/// Each server is asked for so long at a time, and all in turn, so often: what else runs on the machine disturbs all alike.
const TIME: Duration = Duration::from_secs(4);
const ROUNDS: usize = 5;
/// How often a change is timed.
const CHANGES: usize = 7;

/// A figure beside its goal.
struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    /// At least, or at most.
    goal: Option<(f64, bool)>,
}

/// Measures all.
pub(crate) fn measure(daemon: &Path, as_json: bool) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "network namespaces need root: run this as root");
    for (program, package) in
        [(GENERATOR, "dnsperf"), (DIG, "bind9-dnsutils"), (others::BIND, "bind9")]
    {
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
    step("A cluster of 10,000 nodes");
    let directory = tempfile::tempdir()?;
    let (network, clients) = networks("names")?;
    let mut site = Site::start(daemon, directory.path(), (network, clients))?;
    let mut figures = Vec::new();
    step("A zone of 30,000 records");
    let zone = site.transfer(&mut figures)?;
    step("Answers in a second");
    site.rates(directory.path(), &zone, &mut figures)?;
    step("Changes of 10,000 nodes");
    site.changes(&mut figures)?;
    step("A BIND that is secondary");
    site.secondary(directory.path(), &mut figures)?;
    site.daemon.stop();
    show(&figures, as_json);
    Ok(())
}

struct Site {
    daemon: Daemon,
    token: String,
    network: Lab,
    clients: Lab,
}

impl Site {
    fn start(program: &Path, directory: &Path, (network, clients): (Lab, Lab)) -> Result<Self> {
        let mut daemon = Daemon::start_in(Some(&network), program, directory)?;
        daemon.stop();
        let configuration = directory.join("luna.ini");
        let text = fs::read_to_string(&configuration)?;
        fs::write(&configuration, format!("{text}\n[DNS]\nSECONDARIES = {CLIENTS}\n"))?;
        let daemon = Daemon::start_in(Some(&network), program, directory)?;
        let token = network.inside(|| daemon.token())??;
        let site = Self { daemon, token, network, clients };
        site.network.inside(|| site.describe())??;
        Ok(site)
    }

    fn describe(&self) -> Result<()> {
        describe(&self.token)?;
        let second = json!({ "network": "10.160.0.0/16" });
        load::config(PORT, &self.token, "network", "second", &second)?;
        let creations: Vec<Request> = (0..NODES).map(|number| self.creation(number)).collect();
        load::all(PORT, &creations, 64, 201)?;
        for first in (0..HOSTS).step_by(1000) {
            let hosts: Vec<Value> = (first..first + 1000)
                .map(|number| json!({ "host": format!("host{number:05}"), "ipaddress": address(90, number) }))
                .collect();
            let body = json!({ "config": { "dns": { "cluster": hosts } } });
            let request = Request::post("/config/dns/cluster", &self.token, &body);
            Client::connect(PORT)?.exchange(&request, 201)?;
        }
        Ok(())
    }

    fn creation(&self, number: usize) -> Request {
        let name = name(number);
        let first = json!({ "interface": "BOOTIF", "macaddress": mac(number), "ipaddress": address(0, number) });
        let second = json!({ "interface": "eth1", "network": "second" });
        let fields = json!({ "group": "compute", "interfaces": [first, second] });
        let body = json!({ "config": { "node": { name.as_str(): fields } } });
        Request::post(&format!("/config/node/{name}"), &self.token, &body)
    }

    fn change(&self, path: &str, kind: &str, name: &str, fields: &Value) -> Result<()> {
        let body = json!({ "config": { kind: { name: fields } } });
        let request = Request::post(path, &self.token, &body);
        Client::connect(PORT)?.exchange(&request, 204).map(drop)
    }

    /// The zone as `dig` reads it, as a zone file.
    fn transfer(&self, figures: &mut Vec<Figure>) -> Result<String> {
        let server = format!("@{CONTROLLER}");
        let mut times = Vec::new();
        let mut zone = String::new();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let mut dig = self.clients.command(DIG);
            dig.args([&server, "cluster", "AXFR", "+noall", "+answer", "+onesoa"]);
            zone = run(&mut dig, &Limit::seconds(60))?;
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        let records = zone.lines().count();
        ensure!(
            records >= 30_000,
            "the zone has {records} records only:\n{}",
            zone.get(..500).unwrap_or(&zone)
        );
        let what = format!("AXFR of {records} records, by dig");
        figures.push(Figure { what, value: median(times.into_iter()), unit: "ms", goal: None });
        Ok(zone)
    }

    /// Answers in a second of each server.
    fn rates(&self, directory: &Path, zone: &str, figures: &mut Vec<Figure>) -> Result<()> {
        let questions = directory.join("questions");
        fs::write(&questions, questions_of_clients())?;
        let file = directory.join("zone");
        fs::write(&file, zone)?;
        let mut servers = vec![("perilune", None, None)];
        let (bind_network, bind_clients) = networks("bind")?;
        let bind = Server::bind(&bind_network, directory, &file)?;
        servers.push(("BIND", Some(&bind_clients), Some(bind)));
        let (nsd_network, nsd_clients) = networks("nsd")?;
        if let Some(nsd) = Server::nsd(&nsd_network, directory, &file)? {
            servers.push(("NSD", Some(&nsd_clients), Some(nsd)));
        }
        let mut rates: Vec<Vec<f64>> = servers.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            for ((_, clients, _), rates) in servers.iter().zip(&mut rates) {
                rates.push(rate(clients.unwrap_or(&self.clients), &questions)?);
            }
        }
        let middle = |rates: &Vec<f64>| median(rates.iter().copied());
        let bind = rates.get(1).map_or(f64::NAN, middle);
        for ((server, _, _), rates) in servers.iter().zip(&rates) {
            let value = middle(rates);
            let what = format!("answers by UDP, {server}");
            figures.push(Figure { what, value, unit: "/s", goal: None });
            if *server == "perilune" {
                let what = "the same, in parts of BIND's".to_owned();
                figures.push(Figure {
                    what,
                    value: value / bind,
                    unit: "",
                    goal: Some((1.0, true)),
                });
            }
        }
        Ok(())
    }

    /// How long after its confirmation a change of all nodes is answered: their second network goes elsewhere, and all addresses with it.
    fn changes(&self, figures: &mut Vec<Figure>) -> Result<()> {
        let name = format!("{}.second", name(NODES - 1));
        let mut times = Vec::new();
        for round in 0..CHANGES {
            let block = 161 + round % 2;
            let range = json!({ "network": format!("10.{block}.0.0/16") });
            self.network
                .inside(|| self.change("/config/network/second", "network", "second", &range))??;
            let begun = Instant::now();
            let of_block = |address: Ipv4Addr| usize::from(address.octets()[1]) == block;
            self.clients.inside(|| until(CONTROLLER, &name, of_block))??;
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        let what = "a change of 10,000 nodes, until it is answered".to_owned();
        figures.push(Figure {
            what,
            value: median(times.into_iter()),
            unit: "ms",
            goal: Some((50.0, false)),
        });
        Ok(())
    }

    /// How long it takes until a BIND that is secondary has a change.
    fn secondary(&self, directory: &Path, figures: &mut Vec<Figure>) -> Result<()> {
        let _bind = Server::secondary(&self.clients, directory, CONTROLLER)?;
        let name = format!("{}.cluster", name(0));
        self.clients.inside(|| until(CLIENTS, &name, |_| true))??;
        let mut times = Vec::new();
        for round in 0..CHANGES {
            let last = u8::try_from(round + 1)?;
            let host = json!([{ "host": "moving", "ipaddress": format!("10.141.253.{last}") }]);
            let body = json!({ "config": { "dns": { "cluster": host } } });
            let request = Request::post("/config/dns/cluster", &self.token, &body);
            let begun = Instant::now();
            self.network.inside(|| Client::connect(PORT)?.exchange(&request, 201).map(drop))??;
            let is_new = |address: Ipv4Addr| address.octets() == [10, 141, 253, last];
            self.clients.inside(|| until(CLIENTS, "moving.cluster", is_new))??;
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        let what =
            "a change in a zone of 30,000 records, until a BIND secondary answers it".to_owned();
        figures.push(Figure {
            what,
            value: median(times.into_iter()),
            unit: "ms",
            goal: Some((2000.0, false)),
        });
        Ok(())
    }
}

fn name(number: usize) -> String {
    format!("node{number:05}")
}

/// Of so many in a row from a block on.
fn address(block: usize, number: usize) -> String {
    format!("10.141.{}.{}", block + number / 250, number % 250 + 1)
}

/// What clients ask: mostly addresses that there are, some that there are not, and names that are gone.
fn questions_of_clients() -> String {
    let mut text = String::new();
    for number in 0..NODES {
        let number = number * 7919 % NODES;
        let line = match number % 10 {
            0 => format!("{}.cluster AAAA", name(number)),
            1 => format!("gone{number:05}.cluster A"),
            _ => format!("{}.cluster A", name(number)),
        };
        // Writing to a text does not fail.
        writeln!(text, "{line}").unwrap_or_default();
    }
    text
}

/// Answers in a second that the generator counts.
fn rate(clients: &Lab, questions: &Path) -> Result<f64> {
    let seconds = TIME.as_secs().to_string();
    let mut generator = clients.command(GENERATOR);
    generator
        .args(["-s", CONTROLLER, "-l", &seconds, "-c", "16", "-T", "1", "-q", "200", "-d"])
        .arg(questions);
    let text = run(&mut generator, &Limit::seconds(60))?;
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Queries per second:"));
    rate.and_then(|rate| rate.trim().parse().ok())
        .with_context(|| format!("{GENERATOR} says no rate:\n{text}"))
}

/// Asks for an address until it is as wanted.
fn until(server: &str, name: &str, is_wanted: impl Fn(Ipv4Addr) -> bool) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((server.parse::<IpAddr>()?, 53))?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    let question = question(name)?;
    let begun = Instant::now();
    let mut answer = [0; 1500];
    loop {
        ensure!(
            begun.elapsed() < Duration::from_mins(1),
            "{server} does not answer as it should for {name}"
        );
        if socket.send(&question).is_err() {
            continue;
        }
        let Ok(length) = socket.recv(&mut answer) else { continue };
        let count = answer.get(7).copied().unwrap_or_default();
        // The address is at the end of an answer with one record and nothing behind it.
        let found = answer.get(..length).and_then(<[u8]>::last_chunk::<4>).filter(|_| count == 1);
        if found.is_some_and(|octets| is_wanted(Ipv4Addr::from(*octets))) {
            return Ok(());
        }
    }
}

fn question(name: &str) -> Result<Vec<u8>> {
    let mut question = vec![0x70, 0x65, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len())?);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    Ok(question)
}

fn show(figures: &[Figure], as_json: bool) {
    if as_json {
        let all: Vec<Value> = figures
            .iter()
            .map(|figure| json!({ "what": figure.what, "value": figure.value, "unit": figure.unit, "goal": figure.goal.map(|(goal, _)| goal) }))
            .collect();
        output::block(&json!(all).to_string());
        return;
    }
    output::block("\n| what | measured | goal |\n| --- | --- | --- |");
    for Figure { what, value, unit, goal } in figures {
        let goal = goal.map_or_else(String::new, |(goal, more)| {
            let met = if (*value >= goal) == more { "met" } else { "missed" };
            format!("{} {goal} {unit} ({met})", if more { "≥" } else { "≤" })
        });
        output::block(&format!("| {what} | {value:.1} {unit} | {goal} |"));
    }
}
