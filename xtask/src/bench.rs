//! How fast the daemon is, over loopback, with a cluster of 4,000 nodes. Clients and daemon share the machine's cores.

mod boot;
mod commands;
mod config;
mod controllers;
mod dhcp_clients;
mod kea;
mod load;
mod names;
mod torrent;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use perilune_testkit::Lab;
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{command, end};
use serde_json::{Value, json};

use crate::output::{self, Output};
pub(crate) use boot::run as run_boot;
pub(crate) use commands::run as run_commands;
pub(crate) use config::run as run_configuration;
pub(crate) use controllers::run as run_controllers;
pub(crate) use dhcp_clients::{Terms as DhcpTerms, measure as dhcp_clients};
pub(crate) use kea::measure as kea;
use load::{Client, Request};
pub(crate) use names::measure as names;
pub(crate) use torrent::{Terms as Torrents, run as run_torrents};

const NODES: usize = 4000;
const PORT: u16 = 7195;
const TIME: Duration = Duration::from_secs(4);
const CLIENTS: usize = 16;

/// One figure beside its goal.
struct Figure {
    what: &'static str,
    value: f64,
    unit: &'static str,
    goal: Option<(f64, bool)>,
    /// What one request costs the daemon, in microseconds of a processor: clients and other work change this less than the rate.
    cost: Option<f64>,
}

/// Runs everything; `json` prints figures for programs.
pub(crate) fn run(program: &Path, as_json: bool) -> Result<()> {
    let output = Output::new();
    let directory = tempfile::tempdir()?;
    let mut figures = Vec::new();
    let mut daemon = Daemon::start(program, directory.path())?;
    let token = daemon.token()?;
    describe(&token)?;
    if !as_json {
        output.step("Creating nodes");
    }
    create(&daemon, &token, &mut figures)?;
    let count = serde_json::from_slice::<Value>(&load::get(PORT, "/config/node", &token)?)?;
    let count =
        count.pointer("/config/node").and_then(Value::as_object).map_or(0, serde_json::Map::len);
    ensure!(count == NODES, "{count} nodes are there, not {NODES}");
    if !as_json {
        output.step("Reading");
    }
    read(&daemon, &token, &mut figures)?;
    figures.push(Figure {
        what: "resident memory",
        value: daemon.memory_mebibytes()?,
        unit: "MiB",
        goal: Some((100.0, false)),
        cost: None,
    });
    daemon.stop();
    let started = Instant::now();
    daemon = Daemon::start(program, directory.path())?;
    figures.push(Figure {
        what: "start to first answer",
        value: started.elapsed().as_secs_f64() * 1000.0,
        unit: "ms",
        goal: Some((200.0, false)),
        cost: None,
    });
    daemon.stop();
    show(&figures, as_json);
    Ok(())
}

fn describe(token: &str) -> Result<()> {
    let image = json!({ "kernelfile": "debian-1-vmlinuz-6.1", "initrdfile": "debian-1-initramfs-6.1", "imagefile": "debian-1.tar.zst" });
    load::config(PORT, token, "osimage", "debian", &image)?;
    load::config(PORT, token, "group", "compute", &json!({ "osimage": "debian" }))
}

fn mac(number: usize) -> String {
    format!("52:54:00:01:{:02x}:{:02x}", number / 256, number % 256)
}

/// The request that makes node `number`.
fn node(number: usize, token: &str) -> Request {
    let name = format!("node{number:04}");
    let address = format!("10.141.{}.{}", number / 250, number % 250 + 1);
    let interface =
        json!({ "interface": "BOOTIF", "macaddress": mac(number), "ipaddress": address });
    let fields = json!({ "group": "compute", "interfaces": [interface] });
    let body = json!({ "config": { "node": { name.as_str(): fields } } });
    Request::post(&format!("/config/node/{name}"), token, &body)
}

/// Nodes with addresses in order, a few made by one client and the others by many.
fn create(daemon: &Daemon, token: &str, figures: &mut Vec<Figure>) -> Result<()> {
    const ALONE: usize = 500;
    let request = |number| node(number, token);
    let first: Vec<Request> = (0..ALONE).map(request).collect();
    let what = "node creations, 1 client";
    figures.push(daemon.metered(what, None, || load::all(PORT, &first, 1, 201))?);
    let rest: Vec<Request> = (ALONE..NODES).map(request).collect();
    let what = "node creations, 64 clients";
    let goal = Some((5000.0, true));
    figures.push(daemon.metered(what, goal, || load::all(PORT, &rest, 64, 201))?);
    Ok(())
}

fn read(daemon: &Daemon, token: &str, figures: &mut Vec<Figure>) -> Result<()> {
    let address = |number: usize| format!("10.141.{}.{}", number / 250, number % 250 + 1);
    let search = |number: usize| {
        Request::get_from(&format!("/boot/search/mac/{}", mac(number)), "", &address(number))
    };
    let install =
        |number: usize| Request::get_from(&format!("/boot/install/node{number:04}"), token, "");
    let node =
        |number: usize| Request::get_from(&format!("/config/node/node{number:04}"), token, "");
    let mut measure = |what, request: &dyn Fn(usize) -> Request, goal| -> Result<()> {
        let requests: Vec<Request> = (0..NODES).map(request).collect();
        let repeat = || load::repeat(PORT, &requests, CLIENTS, TIME);
        figures.push(daemon.metered(what, goal, repeat)?);
        Ok(())
    };
    measure("/boot/search/mac (with ticket)", &search, Some((30_000.0, true)))?;
    measure("/boot/install", &install, None)?;
    measure("/config/node/{n}", &node, None)?;
    let mut client = Client::connect(PORT)?;
    let list = Request::get_from("/config/node", token, "");
    let mut times = Vec::new();
    for _ in 0..40 {
        let started = Instant::now();
        client.exchange(&list, 200)?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    figures.push(Figure {
        what: "list of 4,000 nodes, median",
        value: at(50),
        unit: "ms",
        goal: Some((50.0, false)),
        cost: None,
    });
    figures.push(Figure {
        what: "list of 4,000 nodes, 95 of 100",
        value: at(95),
        unit: "ms",
        goal: None,
        cost: None,
    });
    Ok(())
}

fn show(figures: &[Figure], as_json: bool) {
    if as_json {
        let all: Vec<Value> = figures
            .iter()
            .map(|figure| json!({ "what": figure.what, "value": figure.value, "unit": figure.unit, "microseconds of a processor": figure.cost, "goal": figure.goal.map(|(goal, _)| goal) }))
            .collect();
        output::block(&json!(all).to_string());
        return;
    }
    output::block("\nwhat                                   measured      µs each  goal");
    for Figure { what, value, unit, goal, cost } in figures {
        let goal = goal.map_or_else(String::new, |(goal, more)| {
            let met = if (*value >= goal) == more { "met" } else { "missed" };
            format!("{}{goal} {unit} ({met})", if more { "≥ " } else { "≤ " })
        });
        let cost = cost.map_or_else(String::new, |cost| format!("{cost:.1}"));
        output::block(&format!("{what:<36} {value:>9.1} {unit:<4} {cost:>8}  {goal}"));
    }
    output::block(
        "\nDHCP:    cargo xtask bench dhcp-clients (as root), and without the socket\n\
         \x20        cargo run --release -p perilune-dhcp --example exchange_bench\n\
         Packing: cargo run --release -p perilune-image --example pack_bench -- TREE DIRECTORY\n\
         BMCs:    cargo run --release -p perilune-bmc --example power_bench",
    );
}

fn wait_until_it_answers() -> Result<()> {
    let started = Instant::now();
    while load::get(PORT, "/ping", "").is_err() {
        ensure!(
            started.elapsed() < Duration::from_secs(20),
            "the daemon does not answer on port {PORT}"
        );
    }
    Ok(())
}

/// The daemon under test, in a process of its own.
struct Daemon {
    process: Child,
    configuration: std::path::PathBuf,
}

impl Daemon {
    fn start(program: &Path, data: &Path) -> Result<Self> {
        Self::start_in(None, program, data)
    }

    /// Starts it here, or in a network where it serves DHCP as well.
    fn start_in(network: Option<&Lab>, program: &Path, data: &Path) -> Result<Self> {
        let served: &[&str] = if network.is_some() {
            &["--log", "error", "--dhcp-interface", BRIDGE]
        } else {
            &["--log", "error"]
        };
        Self::spawn(program, network, data, served, None)
    }

    /// Starts a program here or in a network, with more of its options; what it says goes to `log`.
    fn spawn(
        program: &Path,
        network: Option<&Lab>,
        data: &Path,
        more: &[&str],
        log: Option<fs::File>,
    ) -> Result<Self> {
        let program = program.display().to_string();
        let mut serve = match network {
            Some(network) => network.command(&program),
            None => command(program),
        };
        serve
            .args([
                "serve",
                "--listen",
                &format!("127.0.0.1:{PORT}"),
                // The load speaks for machines elsewhere.
                "--proxy",
                "127.0.0.1",
                "--address",
                "10.141.255.254/16",
                "--data-dir",
            ])
            .arg(data)
            .args(more);
        if let Some(log) = log {
            serve.stderr(log);
        }
        let process = serve.stdout(Stdio::null()).spawn().context("the daemon does not start")?;
        let daemon = Self { process, configuration: data.join("luna.ini") };
        match network {
            Some(network) => network.inside(wait_until_it_answers)??,
            None => wait_until_it_answers()?,
        }
        Ok(daemon)
    }

    fn token(&self) -> Result<String> {
        let ini = fs::read_to_string(&self.configuration)?;
        let password =
            ini.lines().find_map(|line| line.strip_prefix("PASSWORD = ")).context("no password")?;
        let body = json!({ "username": "admin", "password": password });
        let answer = Client::connect(PORT)?.exchange(&Request::post("/token", "", &body), 201)?;
        let answer: Value = serde_json::from_slice(&answer)?;
        Ok(answer.get("token").and_then(Value::as_str).context("no token")?.to_owned())
    }

    fn memory_mebibytes(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes / 1024.0)
    }

    /// A rate that `work` finds out, with what one of its requests costs this daemon.
    fn metered(
        &self,
        what: &'static str,
        goal: Option<(f64, bool)>,
        work: impl FnOnce() -> Result<f64>,
    ) -> Result<Figure> {
        let (started, before) = (Instant::now(), self.processor_seconds()?);
        let value = work()?;
        let requests = value * started.elapsed().as_secs_f64();
        let cost = (self.processor_seconds()? - before) / requests * 1e6;
        Ok(Figure { what, value, unit: "/s", goal, cost: Some(cost) })
    }

    /// How much of a processor it has taken so far.
    fn processor_seconds(&self) -> Result<f64> {
        processor_seconds(&self.process)
    }

    fn stop(&mut self) {
        end(&mut self.process);
    }
}

/// How much of a processor a process has taken so far (proc(5), `/proc/pid/stat`, fields 14 and 15).
fn processor_seconds(process: &Child) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
    let (_, fields) = text.rsplit_once(')').context("no name in /proc/pid/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    let ticks = ticks.sum::<Result<f64, _>>()?;
    // USER_HZ of the kernel, whatever its own clock is.
    Ok(ticks / 100.0)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}
