//! What working with the configuration costs: one node at a time in clusters of several sizes, and changes that touch every node.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::load::{self, Client, Request, Times};
use super::{Daemon, PORT, describe, mac};
use crate::output::{self, Output};

/// How many clients ask at once.
const CLIENTS: [usize; 2] = [1, 64];
/// How many requests of a kind are timed, for one client and for many.
const REQUESTS: [usize; 2] = [500, 4000];
/// … and how many lists, which are as long as the cluster is large.
const LISTS: [usize; 2] = [30, 128];
/// How often a change that touches every node is timed.
const ROUNDS: usize = 5;

/// What a single change may take beyond one write of the disk, half of the time.
const SINGLE_CHANGE: f64 = 2.0;
/// What a change may take that touches every node.
const PROPAGATION: f64 = 1000.0;
/// How much more a large cluster's list may cost for each node, and showing one of its nodes, than in a small one.
const GROWTH: f64 = 2.0;

/// One kind of request, in a cluster of one size, by so many clients.
struct Figure {
    nodes: usize,
    clients: usize,
    what: &'static str,
    times: Times,
}

/// What is to hold, and whether it does.
struct Goal {
    what: String,
    value: f64,
    limit: f64,
    unit: &'static str,
}

/// Runs everything, with a new daemon for each size; `as_json` prints figures for programs.
pub(crate) fn run(program: &Path, sizes: &[usize], as_json: bool) -> Result<()> {
    let output = Output::new();
    let mut figures = Vec::new();
    let mut sync = None;
    for &nodes in sizes {
        if !as_json {
            output.step(&format!("{nodes} nodes"));
        }
        let directory = tempfile::tempdir()?;
        sync.get_or_insert(synchronous_writes(directory.path())?);
        let mut daemon = Daemon::start(program, directory.path())?;
        let cluster = Cluster { token: daemon.token()?, nodes };
        describe(&cluster.token)?;
        load::all(PORT, &cluster.creations(0..nodes), 64, 201)?;
        for (position, clients) in CLIENTS.into_iter().enumerate() {
            let count = |counts: [usize; 2]| counts.get(position).copied().unwrap_or_default();
            cluster.single(clients, count(REQUESTS), count(LISTS), &mut figures)?;
        }
        cluster.all_at_once(&mut figures)?;
        daemon.stop();
    }
    let Some(sync) = sync else { return Ok(()) };
    let goals = goals(&figures, &sync);
    if as_json {
        print_json(&figures, &sync, &goals);
    } else {
        print(&figures, &sync, &goals);
    }
    Ok(())
}

/// What one durable write of a page costs on the disk that the daemon's data is on.
fn synchronous_writes(directory: &Path) -> Result<Times> {
    let mut file = File::create(directory.join("pages"))?;
    let mut each = Vec::new();
    let started = Instant::now();
    for _ in 0..500 {
        let began = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        each.push(began.elapsed());
    }
    Ok(Times::new(&each, started.elapsed()))
}

/// A cluster under test.
struct Cluster {
    token: String,
    nodes: usize,
}

impl Cluster {
    fn post(&self, path: &str, resource: &str, name: &str, fields: &Value) -> Request {
        Request::post(path, &self.token, &json!({ "config": { resource: { name: fields } } }))
    }

    fn creations(&self, numbers: std::ops::Range<usize>) -> Vec<Request> {
        let create = |number: usize| {
            let name = name(number);
            let interface = json!({ "interface": "BOOTIF", "macaddress": mac(number) });
            let fields = json!({ "group": "compute", "interfaces": [interface] });
            self.post(&format!("/config/node/{name}"), "node", &name, &fields)
        };
        numbers.map(create).collect()
    }

    /// One node at a time. What is made is removed again: every measurement finds the cluster as large as it is said to be.
    fn single(
        &self,
        clients: usize,
        requests: usize,
        lists: usize,
        figures: &mut Vec<Figure>,
    ) -> Result<()> {
        let nodes = self.nodes;
        let mut measure = |what, requests: &[Request], expected| -> Result<()> {
            let times = load::timed(PORT, requests, clients, expected)?;
            figures.push(Figure { nodes, clients, what, times });
            Ok(())
        };
        let get = |path: String| Request::get_from(&path, &self.token, "");
        let list: Vec<_> = (0..lists).map(|_| get("/config/node".to_owned())).collect();
        measure("list", &list, 200)?;
        let some = |number: usize| name(number.wrapping_mul(7919) % nodes);
        let show = |number: usize| get(format!("/config/node/{}", some(number)));
        measure("show", &(0..requests).map(show).collect::<Vec<_>>(), 200)?;
        let change = |number: usize| {
            let (name, fields) =
                (some(number), json!({ "comment": format!("{clients} {number}") }));
            self.post(&format!("/config/node/{name}"), "node", &name, &fields)
        };
        measure("change", &(0..requests).map(change).collect::<Vec<_>>(), 204)?;
        let new = nodes..nodes + requests;
        measure("create", &self.creations(new.clone()), 201)?;
        let delete = |number: usize| get(format!("/config/node/{}/_delete", name(number)));
        measure("delete", &new.clone().map(delete).collect::<Vec<_>>(), 204)?;
        let clone = |number: usize| {
            let (source, fields) = (some(number), json!({ "newnodename": name(number) }));
            self.post(&format!("/config/node/{source}/_clone"), "node", &source, &fields)
        };
        measure("clone", &new.clone().map(clone).collect::<Vec<_>>(), 201)?;
        load::all(PORT, &new.map(delete).collect::<Vec<_>>(), 64, 204).map(drop)
    }

    /// Changes that touch every node, each seen to have reached the last one.
    fn all_at_once(&self, figures: &mut Vec<Figure>) -> Result<()> {
        let mut new_interface = Vec::new();
        let mut setting = Vec::new();
        let mut moves = Vec::new();
        let mut removal = Vec::new();
        let mut client = Client::connect(PORT)?;
        load::config(PORT, &self.token, "network", "data", &json!({ "network": "10.150.0.0/16" }))?;
        for round in 0..ROUNDS {
            let interface = json!({ "interface": "data0", "network": "data" });
            new_interface.push(time(&mut client, &self.group_interface(&interface))?);
            let mtu = 9000 + round;
            let interface = json!({ "interface": "data0", "mtu": mtu });
            setting.push(time(&mut client, &self.group_interface(&interface))?);
            self.last_node_has("mtu", &mtu.to_string())?;
            for range in ["10.160.0.0/16", "10.150.0.0/16"] {
                let fields = json!({ "network": range });
                let request = self.post("/config/network/data", "network", "data", &fields);
                moves.push(time(&mut client, &request)?);
                self.last_node_has("ipaddress", range.trim_end_matches("0.0/16"))?;
            }
            let path = "/config/group/compute/interfaces/data0/_delete";
            removal.push(time(&mut client, &Request::get_from(path, &self.token, ""))?);
        }
        let all = [
            ("group interface added, with addresses", new_interface),
            ("group interface changed", setting),
            ("network moved", moves),
            ("group interface removed", removal),
        ];
        figures.extend(all.map(|(what, each)| Figure {
            nodes: self.nodes,
            clients: 1,
            what,
            times: Times::new(&each, each.iter().sum()),
        }));
        Ok(())
    }

    fn group_interface(&self, interface: &Value) -> Request {
        let fields = json!({ "interfaces": [interface] });
        self.post("/config/group/compute/interfaces", "group", "compute", &fields)
    }

    fn last_node_has(&self, field: &str, expected: &str) -> Result<()> {
        let name = name(self.nodes.saturating_sub(1));
        let path = format!("/config/node/{name}/interfaces/data0");
        let answer: Value = serde_json::from_slice(&load::get(PORT, &path, &self.token)?)?;
        let interface = answer.pointer(&format!("/config/node/{name}/interfaces/0"));
        let value = interface.and_then(|interface| interface.get(field)).and_then(Value::as_str);
        let reached = value.is_some_and(|value| value.starts_with(expected));
        ensure!(reached, "the change did not reach {name}: {field} is {value:?}, not {expected}");
        Ok(())
    }
}

fn name(number: usize) -> String {
    format!("node{number:05}")
}

fn time(client: &mut Client, request: &Request) -> Result<Duration> {
    let started = Instant::now();
    client.exchange(request, 204)?;
    Ok(started.elapsed())
}

const SINGLE: [&str; 6] = ["list", "show", "change", "create", "delete", "clone"];

fn goals(figures: &[Figure], sync: &Times) -> Vec<Goal> {
    let mut goals = Vec::new();
    let median = |figure: &Figure| figure.times.percentile(50);
    for figure in figures.iter().filter(|figure| figure.clients == 1) {
        let is_single = SINGLE.contains(&figure.what);
        let reads = matches!(figure.what, "list" | "show");
        let (value, limit) = match (is_single, reads) {
            (true, true) => continue,
            (true, false) => (median(figure), SINGLE_CHANGE + sync.percentile(50)),
            (false, _) => (median(figure), PROPAGATION),
        };
        let what = format!("{}, {} nodes", figure.what, figure.nodes);
        goals.push(Goal { what, value, limit, unit: "ms" });
    }
    for (what, by_node) in [("list", true), ("show", false)] {
        let mut all = figures.iter().filter(|figure| figure.what == what && figure.clients == 1);
        let (Some(small), Some(large)) = (all.next(), all.next_back()) else { continue };
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let cost =
            |figure: &Figure| median(figure) / if by_node { figure.nodes as f64 } else { 1.0 };
        let each = if by_node { ", for each node" } else { "" };
        let what = format!("{what} of {} nodes beside {}{each}", large.nodes, small.nodes);
        goals.push(Goal { what, value: cost(large) / cost(small), limit: GROWTH, unit: "times" });
    }
    goals
}

fn print(figures: &[Figure], sync: &Times, goals: &[Goal]) {
    output::block(&format!(
        "\none durable write of 4 KiB: {:.2} ms half of the time, {:.2} ms 99 of 100\n\n\
         | nodes | clients | what | p50 ms | p99 ms | per second |\n| --- | --- | --- | --- | --- | --- |",
        sync.percentile(50),
        sync.percentile(99)
    ));
    for Figure { nodes, clients, what, times } in figures {
        output::block(&format!(
            "| {nodes} | {clients} | {what} | {:.2} | {:.2} | {:.0} |",
            times.percentile(50),
            times.percentile(99),
            times.per_second
        ));
    }
    output::block("");
    for Goal { what, value, limit, unit } in goals {
        let met = if value <= limit { "met" } else { "missed" };
        output::block(&format!("{what:<60} {value:>8.2} ≤ {limit:.2} {unit} ({met})"));
    }
}

fn print_json(figures: &[Figure], sync: &Times, goals: &[Goal]) {
    let times = |times: &Times| json!({ "p50": times.percentile(50), "p99": times.percentile(99), "per_second": times.per_second });
    let figures: Vec<_> = figures
        .iter()
        .map(|figure| {
            let Figure { nodes, clients, what, .. } = figure;
            json!({ "nodes": nodes, "clients": clients, "what": what, "times": times(&figure.times) })
        })
        .collect();
    let goals: Vec<_> = goals
        .iter()
        .map(|Goal { what, value, limit, unit }| {
            json!({ "what": what, "value": value, "limit": limit, "unit": unit, "met": value <= limit })
        })
        .collect();
    let all = json!({ "figures": figures, "synchronous_write": times(sync), "goals": goals });
    output::block(&all.to_string());
}
