//! What one command for a thousand BMCs costs, beside the same work done by `ipmitool` in parallel processes.
//!
//! `cargo run --release -p perilune-bmc --example power_bench [BMCS [DEAD% [SLOW%]]]`
//!
//! The BMCs are simulated in this process, each with an address of its own in 127.0.0.0/8, and take two milliseconds for an
//! answer; slow ones take 300. Dead ones have a port and never answer.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use perilune_bmc::ipmi::Suite;
use perilune_bmc::{Action, Credentials, Engine, Limits, Target};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use fake::{Behaviour, Fake, PASSWORD, USER};

#[path = "../tests/fake/ipmi.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "it is made for tests, which use all of it"
)]
mod fake;

/// As many as the engine speaks to by itself.
const PROCESSES: usize = 256;
const QUICK: Duration = Duration::from_millis(2);
const SLOW: Duration = Duration::from_millis(300);
const RAMP: f64 = 200.0;
const PORT: u16 = 6230;

struct Park {
    slow: BTreeSet<String>,
    targets: Vec<Target>,
    fakes: Vec<Fake>,
    _tasks: JoinSet<()>,
}

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let bmcs = numbers.next().unwrap_or(1000);
    let dead = bmcs * numbers.next().unwrap_or(10) / 100;
    let slow = bmcs * numbers.next().unwrap_or(5) / 100;
    println!("{bmcs} BMCs, {dead} dead, {slow} slow; {} at once", Limits::default().concurrent);

    let park = Park::start(bmcs, dead, slow).await;
    let empty = memory();
    let engine = Engine::new(Vec::new());
    let status =
        measure("status, suite 17", &engine, &park, Action::PowerStatus, Limits::default()).await;
    println!(
        "  memory at the most {:.1} MB more than before: {:.1} kB a BMC, both its ends",
        peak() - empty,
        (peak() - empty) * 1000.0 / count(bmcs)
    );
    let engine = Engine::new(Vec::new());
    let ramp = Limits { starts_per_second: Some(RAMP), ..Limits::default() };
    let took = measure("on, 200 a second, verified", &engine, &park, Action::PowerOn, ramp).await;
    println!("  the ramp alone takes {:.2} s", count(bmcs) / RAMP);
    println!("  after the last start {:.2} s", took.as_secs_f64() - count(bmcs) / RAMP);

    if Command::new("ipmitool").arg("-V").output().await.is_err() {
        println!("ipmitool is not installed: no comparison");
        return;
    }
    let theirs = by_ipmitool(&park).await;
    let ratio = theirs.as_secs_f64() / status.as_secs_f64();
    println!(
        "ipmitool, {PROCESSES} processes at once: {:.2} s, {ratio:.1} times as long",
        theirs.as_secs_f64()
    );
}

impl Park {
    async fn start(bmcs: usize, dead: usize, slow: usize) -> Self {
        let mut tasks = JoinSet::new();
        let (mut targets, mut fakes, mut slow_ones) = (Vec::new(), Vec::new(), BTreeSet::new());
        for number in 0..bmcs {
            // Spread among the others, as they are in life.
            let share = number * 1009 % bmcs;
            let behaviour = match share {
                share if share < dead => Behaviour::Hangs,
                share if share < dead + slow => Behaviour::Late(SLOW),
                _ => Behaviour::Late(QUICK),
            };
            let offset = u32::try_from(number + 1).expect("far fewer than there are addresses");
            let address = Ipv4Addr::from_bits(Ipv4Addr::new(127, 9, 0, 0).to_bits() + offset);
            let address = SocketAddr::from((address, PORT));
            fakes.push(
                Fake::start_at(&mut tasks, address, &[Suite::Three, Suite::Seventeen], behaviour)
                    .await,
            );
            let credentials = Credentials { user: USER.to_owned(), password: PASSWORD.to_owned() };
            let mut target = Target::new(&format!("node{number:04}"), address.ip(), credentials);
            target.ipmi.port = PORT;
            if behaviour == Behaviour::Late(SLOW) {
                slow_ones.insert(target.name.clone());
            }
            targets.push(target);
        }
        Self { slow: slow_ones, targets, fakes, _tasks: tasks }
    }

    fn packets(&self) -> u64 {
        self.fakes.iter().map(|fake| fake.machine().packets).sum()
    }
}

async fn measure(
    name: &str,
    engine: &Engine,
    park: &Park,
    action: Action,
    limits: Limits,
) -> Duration {
    let (sender, mut receiver) = mpsc::channel(64);
    let before = (engine.traffic(), park.packets());
    let began = Instant::now();
    let run = engine.run(park.targets.clone(), action, limits, CancellationToken::new(), sender);
    let collect = async {
        let mut good = Vec::new();
        let mut bad = Vec::new();
        while let Some(outcome) = receiver.recv().await {
            match outcome.result {
                Ok(_) => good.push((began.elapsed(), park.slow.contains(&outcome.name))),
                Err(_) => bad.push(outcome),
            }
        }
        (good, bad)
    };
    let ((), (good, bad)) = tokio::join!(run, collect);
    let took = began.elapsed();
    let last = |slow: bool| {
        let ends = good.iter().filter(|(_, is_slow)| *is_slow == slow).map(|(at, _)| *at);
        ends.max().unwrap_or_default().as_secs_f64()
    };
    let traffic = engine.traffic();
    let (sent, received) = (traffic.sent - before.0.sent, traffic.received - before.0.received);
    println!("{name}: {:.2} s in all", took.as_secs_f64());
    let (quick, slow) = (last(false), last(true));
    println!(
        "  {} answered: all quick ones by {quick:.2} s, the slow ones by {slow:.2} s",
        good.len()
    );
    println!(
        "  {} did not, {:.2} s each at the most",
        bad.len(),
        bad.iter().map(|outcome| outcome.elapsed.as_secs_f64()).fold(0.0, f64::max)
    );
    if let Some(error) = bad.first().and_then(|outcome| outcome.result.as_ref().err()) {
        println!("  the first of them: {error}");
    }
    println!(
        "  packets: {sent} sent, {received} received; {:.2} for each that answered",
        packets_each(sent, received, bad.len(), good.len())
    );
    println!("  lost on the way: {}", sent.saturating_sub(park.packets() - before.1));
    took
}

/// Both ways, without those that went to dead ones: six to each.
fn packets_each(sent: u64, received: u64, dead: usize, answered: usize) -> f64 {
    let to_dead = u64::try_from(dead).unwrap_or_default() * 6;
    let both = u32::try_from((sent + received).saturating_sub(to_dead)).unwrap_or_default();
    f64::from(both) / count(answered)
}

async fn by_ipmitool(park: &Park) -> Duration {
    let began = Instant::now();
    let mut running = JoinSet::new();
    let mut answered = 0;
    for target in &park.targets {
        if running.len() >= PROCESSES && matches!(running.join_next().await, Some(Ok(true))) {
            answered += 1;
        }
        let mut command = Command::new("ipmitool");
        let (host, port) = (target.address.to_string(), PORT.to_string());
        command.args([
            "-I", "lanplus", "-C", "17", "-U", USER, "-P", PASSWORD, "-H", &host, "-p", &port,
        ]);
        // As patient with dead ones as the engine is: about four seconds.
        command.args(["-N", "1", "-R", "4", "chassis", "power", "status"]);
        running.spawn(
            async move { command.output().await.is_ok_and(|output| output.status.success()) },
        );
    }
    answered += running.join_all().await.into_iter().filter(|good| *good).count();
    println!("ipmitool had an answer from {answered}");
    began.elapsed()
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Megabytes that this process has, and the most that it has had.
fn memory() -> f64 {
    status("VmRSS:")
}

fn peak() -> f64 {
    status("VmHWM:")
}

fn status(field: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    let kilobytes = line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1000.0
}
