//! What machines that boot are answered, in clusters of several sizes, and the memory that the daemon has taken when many have asked.

mod exchange;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::load::{self, Request, Times};
use super::{Daemon, PORT, describe, mac};
use crate::output::{self, Output};

/// How many requests of a kind are timed.
const REQUESTS: usize = 500;
/// How many clients ask at once when the daemon is put under load, and for how long with each kind of request.
const CLIENTS: usize = 64;
const TIME: Duration = Duration::from_secs(5);
/// Lists are as long as the cluster is large, so fewer ask for them.
const LISTERS: usize = 4;
/// What the menu may take, half of the time, however large the cluster is: milliseconds.
const MENU: f64 = 0.3;
/// What the daemon may have taken after the load, with the largest cluster: mebibytes.
const MEMORY: f64 = 150.0;

/// What was measured in a cluster of one size.
struct Outcome {
    nodes: usize,
    /// Each kind of request, one at a time.
    times: Vec<(&'static str, Times)>,
    /// Mebibytes when the nodes were made, and after the load.
    memory: [f64; 2],
}

/// Runs everything, with a new daemon for each size; `as_json` prints figures for programs.
pub(crate) fn run(program: &Path, sizes: &[usize], as_json: bool) -> Result<()> {
    let output = Output::new();
    let mut outcomes = Vec::new();
    for &nodes in sizes {
        if !as_json {
            output.step(&format!("{nodes} nodes"));
        }
        outcomes.push(measure(program, nodes)?);
    }
    if as_json {
        output::block(&json!(outcomes.iter().map(Outcome::json).collect::<Vec<_>>()).to_string());
        return Ok(());
    }
    output::block("\n| nodes | what | p50 ms | p99 ms |\n| --- | --- | --- | --- |");
    outcomes.iter().for_each(Outcome::print);
    Ok(())
}

fn measure(program: &Path, nodes: usize) -> Result<Outcome> {
    let directory = tempfile::tempdir()?;
    let mut daemon = Daemon::start(program, directory.path())?;
    let token = daemon.token()?;
    describe(&token)?;
    let post = |path: &str, name: &str, fields: serde_json::Value| {
        Request::post(path, &token, &json!({ "config": { "node": { name: fields } } }))
    };
    let create = |number: usize| {
        let name = name(number);
        // One in ten is free for a machine.
        let machine = (!number.is_multiple_of(10)).then(|| mac(number));
        let interface = json!({ "interface": "BOOTIF", "macaddress": machine });
        let fields = json!({ "group": "compute", "interfaces": [interface] });
        post(&format!("/config/node/{name}"), &name, fields)
    };
    load::all(PORT, &(0..nodes).map(create).collect::<Vec<_>>(), CLIENTS, 201)?;
    let created = daemon.memory_mebibytes()?;

    let get = |path: &str| Request::get_from(path, &token, "10.141.255.1");
    let menus = |count: usize| (0..count).map(|_| get("/boot")).collect::<Vec<_>>();
    let some = |number: usize| number.wrapping_mul(7919) % nodes;
    let scripts = |count: usize| {
        let path = |number| format!("/boot/search/mac/{}", mac(some(number)));
        (0..count).map(|number| get(&path(number))).collect::<Vec<_>>()
    };
    let shows = |count: usize| {
        let path = |number| format!("/config/node/{}", name(some(number)));
        (0..count).map(|number| get(&path(number))).collect::<Vec<_>>()
    };
    let change = |number: usize| {
        let name = name(some(number));
        let fields = json!({ "comment": format!("{number}") });
        post(&format!("/config/node/{name}"), &name, fields)
    };
    let one = |requests: &[Request]| load::timed(PORT, requests, 1, 200);
    let machines = (0..nodes).map(some).filter(|number| !number.is_multiple_of(10));
    let machines = machines.map(|number| (name(number), mac(number)));
    let [exchanges, firsts, plans] = exchange::measure(&token, machines)?;
    let times = vec![
        ("a key, /boot/ticket, and the token in clear", exchanges),
        ("/boot/plan for the first time, with the node's host keys", firsts),
        ("/boot/plan, and the plan in clear", plans),
        ("/boot", one(&menus(REQUESTS))?),
        ("/boot, after a change of a node each", after_changes(&get("/boot"), &change)?),
        ("/boot/search/mac", one(&scripts(REQUESTS))?),
    ];
    for requests in [menus(64), scripts(4096), shows(4096)] {
        load::repeat(PORT, &requests, CLIENTS, TIME)?;
    }
    load::repeat(PORT, &[get("/config/node")], LISTERS, TIME)?;
    load::all(PORT, &(0..20_000).map(change).collect::<Vec<_>>(), CLIENTS, 204)?;
    let loaded = daemon.memory_mebibytes()?;
    daemon.stop();
    Ok(Outcome { nodes, times, memory: [created, loaded] })
}

/// The time of a request that finds a cluster which nobody has asked about so far.
fn after_changes(request: &Request, change: &impl Fn(usize) -> Request) -> Result<Times> {
    let mut each = Vec::new();
    let mut client = load::Client::connect(PORT)?;
    for number in 0..REQUESTS {
        client.exchange(&change(number), 204)?;
        let sent = std::time::Instant::now();
        client.exchange(request, 200)?;
        each.push(sent.elapsed());
    }
    Ok(Times::new(&each, each.iter().sum()))
}

fn name(number: usize) -> String {
    format!("node{number:05}")
}

fn met(value: f64, limit: f64) -> &'static str {
    if value <= limit { "met" } else { "missed" }
}

impl Outcome {
    fn print(&self) {
        let Self { nodes, times, memory: [created, loaded] } = self;
        for (what, times) in times {
            let (half, most) = (times.percentile(50), times.percentile(99));
            let goal = if what.starts_with("/boot,") || *what == "/boot" {
                format!(" (goal {MENU}: {})", met(half, MENU))
            } else {
                String::new()
            };
            output::block(&format!("| {nodes} | {what} | {half:.2}{goal} | {most:.2} |"));
        }
        output::block(&format!(
            "| {nodes} | resident memory, MiB: made, after load | {created:.1} | {loaded:.1} (goal {MEMORY}: {}) |",
            met(*loaded, MEMORY)
        ));
    }

    fn json(&self) -> serde_json::Value {
        let times = self.times.iter().map(|(what, times)| {
            json!({ "what": what, "p50": times.percentile(50), "p99": times.percentile(99) })
        });
        json!({ "nodes": self.nodes, "times": times.collect::<Vec<_>>(), "memory": self.memory })
    }
}
