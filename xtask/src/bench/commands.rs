//! What people wait for: commands as whole processes, and selectors in the daemon, in a cluster of many nodes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use perilune_testkit::process::command;
use serde_json::json;

use super::load::{self, Client, Request};
use super::{Daemon, PORT};
use crate::output::{self, Output};

/// As often is each command run; the fastest counts, since other work of the machine only makes it slower.
const RUNS: usize = 5;
/// As often is each selector asked for.
const ASKED: usize = 20;
/// Milliseconds that a selector may take.
const SELECTOR: f64 = 50.0;
/// Nodes in a table: one change has 50,000 requests at most, and a node in a rack is two.
const IN_TABLE: usize = 25_000;
/// Nodes in a rack, of ten racks in a row of machines.
const IN_RACK: usize = 100;

/// One figure, in milliseconds.
struct Figure {
    what: String,
    value: f64,
    /// What it cost the daemon.
    daemon: f64,
    goal: Option<f64>,
}

struct Site {
    program: PathBuf,
    configuration: PathBuf,
    directory: tempfile::TempDir,
    daemon: Daemon,
    nodes: usize,
}

/// Describes a cluster of so many nodes from a table, and measures with this program.
pub(crate) fn run(program: &Path, nodes: usize, as_json: bool) -> Result<()> {
    let output = Output::new();
    if !as_json {
        output.step(&format!("{nodes} nodes"));
    }
    let directory = tempfile::tempdir()?;
    let data = directory.path().join("data");
    let daemon = Daemon::start(program, &data)?;
    let configuration = data.join("luna.ini");
    let site = Site { program: program.to_owned(), configuration, directory, daemon, nodes };
    let figures = site.measure()?;
    show(&figures, as_json);
    Ok(())
}

impl Site {
    /// Milliseconds of a command, here and in the daemon.
    fn once(&self, words: &[&str]) -> Result<(f64, f64)> {
        let (begun, before) = (Instant::now(), self.daemon.processor_seconds()?);
        let output = command(&self.program)
            .arg("--config")
            .arg(&self.configuration)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?
            .wait_with_output()?;
        let took = begun.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "perilune {}: {said}", words.join(" "));
        let daemon = self.daemon.processor_seconds()? - before;
        Ok((milliseconds(took), daemon * 1e3))
    }

    /// The fastest of several runs of a command that changes nothing, or the same again and again.
    fn fastest(&self, words: &[&str], goal: Option<f64>) -> Result<Figure> {
        let mut best = (f64::MAX, f64::MAX);
        for _ in 0..RUNS {
            let (took, daemon) = self.once(words)?;
            best = (best.0.min(took), best.1.min(daemon));
        }
        let (value, daemon) = best;
        Ok(Figure { what: format!("perilune {}", words.join(" ")), value, daemon, goal })
    }

    fn measure(&self) -> Result<Vec<Figure>> {
        let racks = self.nodes.div_ceil(IN_RACK);
        self.once(&["group", "add", "compute"])?;
        let size = IN_RACK.to_string();
        self.once(&["rack", "add", &format!("r[1-{racks}]"), "--size", &size])?;
        let mut figures = Vec::new();
        for first in (1..=self.nodes).step_by(IN_TABLE) {
            let last = self.nodes.min(first + IN_TABLE - 1);
            let table = self.directory.path().join("nodes.csv");
            fs::write(&table, table_of(first, last))?;
            let table = table.display().to_string();
            let (value, daemon) = self.once(&["node", "import", &table, "--yes"])?;
            let what = format!("perilune node import (a table of nodes {first} to {last})");
            figures.push(Figure { what, value, daemon, goal: None });
        }
        let tenth = format!("node[00001-{:05}]", self.nodes.min(10_000));
        for (words, goal) in [
            (&["node", "list"][..], Some(500.0)),
            (&["node", "list", "-o", "json"], Some(3_000.0)),
            (&["node", "list", "-o", "csv", "--columns", "name,status,rack,labels"], None),
            (&["node", "list", "rack:r7"], None),
            (&["nodes", "*"], None),
            (&["nodes", "label:row=row1&!rack:r1&node*7"], None),
            (&["node", "show", "node00777"], None),
            (&["status"], None),
            (&["node", "change", &tenth, "--vendor", "Acme"], Some(1_000.0)),
        ] {
            figures.push(self.fastest(words, goal)?);
        }
        figures.extend(self.selectors()?);
        Ok(figures)
    }

    /// What the daemon takes from the request to its answer, for answers that are short.
    fn selectors(&self) -> Result<Vec<Figure>> {
        let token = self.daemon.token()?;
        let mut client = Client::connect(PORT)?;
        let mut figures = Vec::new();
        for selector in [
            "rack:r7",
            "label:row=row1&!rack:r1&node*77",
            "rack:r[1-9]&node*[1-3]",
            "node*1!(@compute!rack:r7)",
            "(@compute,label:row=row0)&node0000?",
        ] {
            let request = Request::post("/select/node", &token, &json!({ "selector": selector }));
            let before = self.daemon.processor_seconds()?;
            let mut best = Duration::MAX;
            for _ in 0..ASKED {
                let begun = Instant::now();
                client.exchange(&request, 200)?;
                best = best.min(begun.elapsed());
            }
            #[expect(clippy::cast_precision_loss, reason = "twenty")]
            let daemon = (self.daemon.processor_seconds()? - before) * 1e3 / ASKED as f64;
            let what = format!("selector {selector}");
            figures.push(Figure { what, value: milliseconds(best), daemon, goal: Some(SELECTOR) });
        }
        load::get(PORT, "/ping", "")?;
        Ok(figures)
    }
}

/// A table of nodes, a hundred in each rack.
fn table_of(first: usize, last: usize) -> String {
    let mut text = "name,group,mac,rack,position,label.row\n".to_owned();
    for number in first..=last {
        let (rack, place) = ((number - 1) / IN_RACK + 1, (number - 1) % IN_RACK + 1);
        let [_, high, middle, low] = u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
        // Writing to a text cannot fail.
        writeln!(
            text,
            "node{number:05},compute,02:00:00:{high:02x}:{middle:02x}:{low:02x},r{rack},{place},row{}",
            rack % 2
        )
        .ok();
    }
    text
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn show(figures: &[Figure], as_json: bool) {
    if as_json {
        let all: Vec<_> = figures
            .iter()
            .map(|Figure { what, value, daemon, goal }| {
                json!({ "what": what, "milliseconds": value, "milliseconds of the daemon": daemon, "goal": goal })
            })
            .collect();
        return output::block(&json!(all).to_string());
    }
    output::block(&format!(
        "\n{:<64} {:>9} {:>9}  goal",
        "what, the fastest of several times", "ms", "daemon"
    ));
    for Figure { what, value, daemon, goal } in figures {
        let goal = goal.map_or_else(String::new, |goal| {
            format!("≤ {goal:.0} ({})", if *value <= goal { "met" } else { "missed" })
        });
        output::block(&format!("{what:<64} {value:>9.1} {daemon:>9.1}  {goal}"));
    }
}
