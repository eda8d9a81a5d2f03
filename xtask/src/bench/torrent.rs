//! An image by BitTorrent behind a narrow uplink: how long the last of many machines takes, in times that one copy takes through it. Our own
//! seeder and aria2c in its place, for peers of both kinds.

mod site;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::output::{self, Output};
use site::{Site, Swarm};

/// Where the packages of the distribution have it.
pub(super) const ARIA2C: &str = "/usr/bin/aria2c";
/// The last one may take as many times what one copy takes.
const GOAL: f64 = 1.5;

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) program: PathBuf,
    pub(crate) peers: u16,
    /// Megabits in a second that leave the controller.
    pub(crate) rate: u32,
    /// Mebibytes of the image.
    pub(crate) size: u32,
    /// Without those that need aria2c.
    pub(crate) own_only: bool,
}

impl Terms {
    /// Seconds that one copy takes, without anything around it.
    pub(super) fn copy(&self) -> f64 {
        f64::from(self.size) * f64::from(1 << 20) * 8.0 / (f64::from(self.rate) * 1e6)
    }
}

/// Who fetches, or who gives first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Own,
    Aria2c,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Own => "our own",
            Self::Aria2c => "aria2c",
        }
    }
}

/// What became of one swarm.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) seeder: Kind,
    pub(super) peers: Kind,
    /// Seconds until each had the whole image, in order.
    pub(super) times: Vec<f64>,
    /// Copies that left the controller.
    pub(super) copies: f64,
    /// Seconds of a processor that the daemon took.
    pub(super) daemon: f64,
    /// The part of all processors that was busy.
    pub(super) busy: f64,
}

pub(crate) fn run(terms: &Terms, as_json: bool) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "network namespaces need root: run this as root");
    let output = Output::new();
    let mut swarms = vec![(Kind::Own, Kind::Own)];
    if !terms.own_only {
        ensure!(Path::new(ARIA2C).exists(), "{ARIA2C} is not there: install the package aria2");
        let others = [(Kind::Aria2c, Kind::Own), (Kind::Own, Kind::Aria2c)];
        swarms.extend(others.into_iter().chain([(Kind::Aria2c, Kind::Aria2c)]));
    }
    let swarm = Swarm::make(terms.peers)?;
    let mut outcomes = Vec::new();
    for (seeder, peers) in swarms {
        if !as_json {
            output.step(&format!("seeder: {}, peers: {}", seeder.word(), peers.word()));
        }
        let mut site = Site::start(terms, &swarm, seeder)?;
        let outcome = site.measure(terms, &swarm, peers)?;
        site.stop();
        if !as_json {
            output.line(&line(&outcome, terms));
        }
        outcomes.push(outcome);
    }
    show(&outcomes, terms, as_json);
    Ok(())
}

fn at(outcome: &Outcome, part: usize) -> f64 {
    let last = outcome.times.len().saturating_sub(1);
    outcome.times.get(last * part / 100).copied().unwrap_or(f64::NAN)
}

fn line(outcome: &Outcome, terms: &Terms) -> String {
    let times = |part| at(outcome, part) / terms.copy();
    format!(
        "{:<8} {:<8} {:>7.2} {:>7.2} {:>7.2} {:>8.2} {:>11.1} {:>6.0} %",
        outcome.seeder.word(),
        outcome.peers.word(),
        times(0),
        times(50),
        times(100),
        outcome.copies,
        outcome.daemon,
        outcome.busy * 100.0
    )
}

fn show(outcomes: &[Outcome], terms: &Terms, as_json: bool) {
    if as_json {
        let all: Vec<Value> = outcomes
            .iter()
            .map(|outcome| {
                json!({
                    "seeder": outcome.seeder.word(),
                    "peers": outcome.peers.word(),
                    "seconds of one copy": terms.copy(),
                    "seconds": outcome.times,
                    "copies that left": outcome.copies,
                    "processor seconds of the daemon": outcome.daemon,
                    "busy": outcome.busy,
                })
            })
            .collect();
        output::block(&json!(all).to_string());
        return;
    }
    let Terms { peers, rate, size, .. } = terms;
    output::block(&format!(
        "\n{peers} machines, {size} MiB through {rate} Mbit/s: one copy takes {:.1} s, all others in times of it; goal for the last: {GOAL}\n\
         seeder   peers      first  median    last   copies  processor s   busy",
        terms.copy()
    ));
    for outcome in outcomes {
        output::block(&line(outcome, terms));
    }
}
