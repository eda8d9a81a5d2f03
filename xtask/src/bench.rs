//! How fast the daemon is, over loopback, with a cluster of 4,000 nodes. Clients and daemon share the machine's cores.

mod boot;
mod config;
mod dhcp_clients;
mod load;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use perilune_testkit::Lab;
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{command, end};
use serde_json::{Value, json};

use crate::build;
use crate::output::{self, Output};
pub(crate) use boot::run as run_boot;
pub(crate) use config::run as run_configuration;
pub(crate) use dhcp_clients::measure as dhcp_clients;
use load::{Client, Request};

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
}

/// Runs everything; `json` prints figures for programs.
pub(crate) fn run(as_json: bool) -> Result<()> {
    let output = Output::new();
    let directory = tempfile::tempdir()?;
    let mut figures = Vec::new();
    let mut daemon = Daemon::start(directory.path())?;
    let token = daemon.token()?;
    describe(&token)?;
    if !as_json {
        output.step("Creating nodes");
    }
    create(&token, &mut figures)?;
    let count = serde_json::from_slice::<Value>(&load::get(PORT, "/config/node", &token)?)?;
    let count =
        count.pointer("/config/node").and_then(Value::as_object).map_or(0, serde_json::Map::len);
    ensure!(count == NODES, "{count} nodes are there, not {NODES}");
    if !as_json {
        output.step("Reading");
    }
    read(&token, &mut figures)?;
    figures.push(Figure {
        what: "resident memory",
        value: daemon.memory_mebibytes()?,
        unit: "MiB",
        goal: Some((100.0, false)),
    });
    daemon.stop();
    let started = Instant::now();
    daemon = Daemon::start(directory.path())?;
    figures.push(Figure {
        what: "start to first answer",
        value: started.elapsed().as_secs_f64() * 1000.0,
        unit: "ms",
        goal: Some((200.0, false)),
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

/// The address that node `number` gets: the first free one, in order, when one client asks.
fn create(token: &str, figures: &mut Vec<Figure>) -> Result<()> {
    const ALONE: usize = 500;
    let request = |number: usize| {
        let name = format!("node{number:04}");
        let address = format!("10.141.{}.{}", number / 250, number % 250 + 1);
        let interface =
            json!({ "interface": "BOOTIF", "macaddress": mac(number), "ipaddress": address });
        let fields = json!({ "group": "compute", "interfaces": [interface] });
        Request::post(
            &format!("/config/node/{name}"),
            token,
            &json!({ "config": { "node": { name.as_str(): fields } } }),
        )
    };
    let first: Vec<Request> = (0..ALONE).map(request).collect();
    let rate = load::all(PORT, &first, 1, 201)?;
    figures.push(Figure { what: "node creations, 1 client", value: rate, unit: "/s", goal: None });
    let rest: Vec<Request> = (ALONE..NODES).map(request).collect();
    let rate = load::all(PORT, &rest, 64, 201)?;
    figures.push(Figure {
        what: "node creations, 64 clients",
        value: rate,
        unit: "/s",
        goal: Some((5000.0, true)),
    });
    Ok(())
}

fn read(token: &str, figures: &mut Vec<Figure>) -> Result<()> {
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
        let value = load::repeat(PORT, &requests, CLIENTS, TIME)?;
        figures.push(Figure { what, value, unit: "/s", goal });
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
    });
    figures.push(Figure {
        what: "list of 4,000 nodes, 95 of 100",
        value: at(95),
        unit: "ms",
        goal: None,
    });
    Ok(())
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
    output::block("\nwhat                                   measured        goal");
    for Figure { what, value, unit, goal } in figures {
        let goal = goal.map_or_else(String::new, |(goal, more)| {
            let met = if (*value >= goal) == more { "met" } else { "missed" };
            format!("{}{goal} {unit} ({met})", if more { "≥ " } else { "≤ " })
        });
        output::block(&format!("{what:<36} {value:>9.1} {unit:<4} {goal}"));
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
    fn start(data: &Path) -> Result<Self> {
        Self::start_in(None, data)
    }

    /// Starts it here, or in a network where it serves DHCP as well.
    fn start_in(network: Option<&Lab>, data: &Path) -> Result<Self> {
        let program = build::programs()?.perilune.display().to_string();
        let mut serve = match network {
            Some(network) => network.command(&program),
            None => command(program),
        };
        serve
            .args([
                "serve",
                "--log",
                "error",
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
            .args(network.map(|_| ["--dhcp-interface", BRIDGE]).into_iter().flatten());
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

    fn stop(&mut self) {
        end(&mut self.process);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}
