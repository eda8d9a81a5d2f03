//! What is done with the repository beyond building it: `cargo xtask demo`, `cargo xtask vmtest`.

mod api;
mod attack;
mod bench;
mod bmctest;
mod book;
mod boot_programs;
mod build;
mod chaos;
mod cluster;
mod daemon;
mod day;
mod dependencies;
mod dist;
mod firmwaretest;
mod follow;
mod image;
mod keep;
mod lifecycle;
mod nodetest;
mod output;
mod recipes;
mod report;
mod scenario;
mod site;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use perilune_testkit::Stop;

use crate::build::Programs;

/// Tasks of the Perilune repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// From blank machines to a running cluster, in a network namespace of this host
    Demo(Demo),
    /// The same with fewer machines, as a test
    Vmtest(Vmtest),
    /// A machine that only its BMC switches on and off, as a test
    Bmctest(Vmtest),
    /// Every kind of firmware up to its boot script, as a test
    Firmwaretest(Firmwaretest),
    /// A controller is attacked by strangers, users and neighbours: who gets what, and what does not work any more
    Attack(Attack),
    /// What installed nodes must do, one machine test for each subject; takes long
    Nodetest(Nodetest),
    /// The package for Debian on a running machine: installed, attacked, upgraded, removed; as `nodetest package`
    Packagetest(Vmtest),
    /// The day of an administrator with 1,000 nodes, typed at the command line with the slips that people make
    Day(Day),
    /// A site is set up, backed up and lost, and comes back on another machine with another address; its nodes boot there
    Keep(Keep),
    /// Three controllers on a database with a standby: cut off, stopped, killed and failed over while changes are made; nothing may be lost
    Chaos(Chaos),
    /// What docs/controllers.md tells sites to put around their controllers, run as it is written there
    Recipes(Recipes),
    /// How fast the daemon is, with a cluster of 4,000 nodes
    Bench(Bench),
    /// Licences, second versions and banned crates, by the rules of xtask/dependencies.txt
    Dependencies,
    /// The pages of docs as one static book, in target/book
    Docs,
    /// A .deb, an .rpm and a tarball, in target/dist
    Dist(Dist),
    /// Only make the operating system image that the machines run
    Image,
}

/// Which programs are tried.
#[derive(Args)]
struct Wanted {
    /// The programs are built already
    #[arg(long, hide = true)]
    built: bool,
    /// Try `perilune` and `perilune-agent` of this directory, and build nothing
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "built")]
    programs: Option<PathBuf>,
}

impl Wanted {
    fn is_built(&self) -> bool {
        self.built || self.programs.is_some()
    }

    fn find(&self) -> Result<Programs> {
        self.programs.as_deref().map_or_else(build::programs, build::programs_of)
    }
}

#[derive(Args)]
struct Demo {
    /// Leave the cluster up at the end, and say how to look at it
    #[arg(long)]
    keep: bool,
    /// End clusters that were left up, and tidy up after runs that were killed
    #[arg(long, conflicts_with_all = ["keep", "built", "programs"])]
    down: bool,
    #[command(flatten)]
    programs: Wanted,
}

#[derive(Args)]
struct Chaos {
    /// How many faults
    #[arg(long, default_value_t = 40)]
    faults: u32,
}

#[derive(Args)]
struct Recipes {
    /// Only these
    recipes: Vec<recipes::Recipe>,
}

#[derive(Args)]
struct Bench {
    /// What to measure; without it, the daemon as a whole
    #[command(subcommand)]
    what: Option<Measured>,
    /// Print figures for programs
    #[arg(long, global = true)]
    json: bool,
    /// The programs are built already
    #[arg(long, hide = true, global = true)]
    built: bool,
    /// This program, and not one that is built for it
    #[arg(long, value_name = "FILE", global = true)]
    program: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Measured {
    /// DHCP, with a load generator in a network namespace: needs root and the package kea-admin
    DhcpClients(bench::DhcpTerms),
    /// A Kea that the daemon tells of 10,000 nodes while machines ask it: needs root and the packages kea-dhcp4-server and kea-admin
    Kea,
    /// Names, beside BIND and NSD: needs root and the packages dnsperf, bind9 and bind9-dnsutils
    Names,
    /// Boot menus and scripts, and the memory that the daemon takes after a load
    Boot {
        /// How many nodes the cluster has, one run for each
        #[arg(long, value_delimiter = ',', default_value = "4000,50000")]
        nodes: Vec<usize>,
    },
    /// Three controllers on a PostgreSQL with a synchronous standby, beside one on SQLite: needs the package postgresql-15
    Controllers {
        /// How many nodes are made in each
        #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(2000..=60_000))]
        nodes: u32,
    },
    /// Commands as whole processes, and selectors, in a cluster of many nodes
    Commands {
        /// How many nodes the cluster has
        #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1000..=50_000))]
        nodes: u32,
    },
    /// An image by BitTorrent through a narrow uplink, by our seeder and by aria2c: needs root and the package aria2
    Torrent {
        /// How many machines fetch it
        #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=200))]
        peers: u16,
        /// How many megabits leave the controller in a second
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rate: u32,
        /// How many mebibytes the image has
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
        size: u32,
        /// Only our seeder, and peers of our own
        #[arg(long)]
        own_only: bool,
    },
    /// List, show, create, change, clone and delete nodes, and changes that touch every node
    Config {
        /// How many nodes the cluster has, one run for each
        #[arg(long, value_delimiter = ',', default_value = "100,1000,10000")]
        nodes: Vec<usize>,
    },
}

#[derive(Args)]
struct Vmtest {
    #[command(flatten)]
    programs: Wanted,
}

#[derive(Args)]
struct Keep {
    /// Without virtual machines, as a test of each change
    #[arg(long)]
    short: bool,
    #[command(flatten)]
    programs: Wanted,
}

#[derive(Args)]
struct Day {
    /// This program, and not one that is built for it
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

#[derive(Args)]
struct Dist {
    /// Another version than that of Cargo.toml
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Make them twice, and fail unless both times are the same, byte for byte
    #[arg(long)]
    twice: bool,
    /// The programs are built already, whatever they are; for tests
    #[arg(long, hide = true)]
    built: bool,
}

#[derive(Args)]
struct Attack {
    /// Everything once, and small floods, as a test of each change
    #[arg(long)]
    short: bool,
    #[command(flatten)]
    programs: Wanted,
}

#[derive(Args)]
struct Nodetest {
    /// Only these subjects
    subjects: Vec<nodetest::Subject>,
    /// Only one machine whose controllers are killed, as a test of each change
    #[arg(long, conflicts_with = "subjects")]
    short: bool,
    #[command(flatten)]
    programs: Wanted,
}

#[derive(Args)]
struct Firmwaretest {
    /// iPXE for UEFI on arm64, where the distribution does not have it installed
    #[arg(long, value_name = "FILE")]
    arm64_ipxe: Option<PathBuf>,
    #[command(flatten)]
    programs: Wanted,
}

/// The program that is measured.
fn measured(program: Option<&Path>) -> Result<PathBuf> {
    match program {
        Some(program) => Ok(std::path::absolute(program)?),
        None => Ok(build::programs()?.perilune),
    }
}

fn main() -> ExitCode {
    match perform(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn perform(arguments: &Arguments) -> Result<()> {
    if let Some(done) = without_root(&arguments.task) {
        return done;
    }
    let wanted = arguments.task.wanted();
    if wanted.is_some_and(|wanted| !wanted.is_built()) {
        build::release()?;
    }
    if let Task::Bench(bench) = &arguments.task {
        if !bench.built && bench.program.is_none() {
            build::release()?;
        }
        let program = measured(bench.program.as_deref())?;
        return match &bench.what {
            None => bench::run(&program, bench.json),
            Some(Measured::DhcpClients(terms)) => bench::dhcp_clients(&program, terms, bench.json),
            Some(Measured::Kea) => bench::kea(&program, bench.json),
            Some(Measured::Names) => bench::names(&program, bench.json),
            Some(Measured::Boot { nodes }) => bench::run_boot(&program, nodes, bench.json),
            Some(Measured::Controllers { nodes }) => {
                bench::run_controllers(&program, usize::try_from(*nodes)?, bench.json)
            }
            Some(Measured::Commands { nodes }) => {
                bench::run_commands(&program, usize::try_from(*nodes)?, bench.json)
            }
            Some(Measured::Torrent { peers, rate, size, own_only }) => {
                let (peers, rate, size, own_only) = (*peers, *rate, *size, *own_only);
                let terms = bench::Torrents { program, peers, rate, size, own_only };
                bench::run_torrents(&terms, bench.json)
            }
            Some(Measured::Config { nodes }) => {
                bench::run_configuration(&program, nodes, bench.json)
            }
        };
    }
    if !rustix::process::geteuid().is_root() {
        return become_root(wanted);
    }
    let stop = Stop::default();
    stop_on_signals(&stop)?;
    match (&arguments.task, wanted) {
        (Task::Demo(Demo { down: true, .. }), _) => site::take_down(),
        (Task::Image, _) => image::make(image::Kind::Usual, &stop).map(drop),
        (task, Some(wanted)) => try_out(task, &wanted.find()?, &stop),
        // Done by now.
        (_, None) => Ok(()),
    }
}

/// Tasks that run the programs on machines.
fn try_out(task: &Task, programs: &Programs, stop: &Stop) -> Result<()> {
    match task {
        Task::Demo(demo) => lifecycle::run(programs, &scenario::demo(), demo.keep, stop),
        Task::Vmtest(_) => lifecycle::run(programs, &scenario::vmtest(), false, stop),
        Task::Bmctest(_) => bmctest::run(programs, stop),
        Task::Keep(keep) => {
            let extent = if keep.short { keep::Extent::Short } else { keep::Extent::Whole };
            keep::run(programs, extent, stop)
        }
        Task::Firmwaretest(test) => firmwaretest::run(programs, test.arm64_ipxe.as_deref(), stop),
        Task::Attack(attack) => {
            let extent = if attack.short { attack::Extent::Short } else { attack::Extent::Whole };
            attack::run(programs, extent, stop)
        }
        Task::Nodetest(test) if test.short => nodetest::run_short(programs, stop),
        Task::Nodetest(test) => nodetest::run(programs, &test.subjects, stop),
        Task::Packagetest(_) => nodetest::run(programs, &[nodetest::Subject::Package], stop),
        Task::Bench(_)
        | Task::Chaos(_)
        | Task::Recipes(_)
        | Task::Day(_)
        | Task::Dependencies
        | Task::Docs
        | Task::Dist(_)
        | Task::Image => Ok(()),
    }
}

impl Task {
    /// Which programs it runs on machines, where it does.
    fn wanted(&self) -> Option<&Wanted> {
        match self {
            Self::Demo(Demo { down: true, .. })
            | Self::Image
            | Self::Bench(_)
            | Self::Chaos(_)
            | Self::Recipes(_)
            | Self::Day(_)
            | Self::Dependencies
            | Self::Docs
            | Self::Dist(_) => None,
            Self::Demo(demo) => Some(&demo.programs),
            Self::Vmtest(test) | Self::Bmctest(test) | Self::Packagetest(test) => {
                Some(&test.programs)
            }
            Self::Keep(keep) => Some(&keep.programs),
            Self::Firmwaretest(test) => Some(&test.programs),
            Self::Attack(attack) => Some(&attack.programs),
            Self::Nodetest(test) => Some(&test.programs),
        }
    }
}

/// Tasks that only read the tree and write below `target`.
fn without_root(task: &Task) -> Option<Result<()>> {
    match task {
        Task::Dependencies => Some(dependencies::run()),
        Task::Docs => Some(book::run()),
        Task::Chaos(chaos) => Some(chaos::run(chaos.faults)),
        Task::Recipes(wanted) => Some(recipes::run(&wanted.recipes)),
        Task::Day(day) => Some(walk(day)),
        Task::Dist(dist) => {
            let speed = if dist.built { dist::Speed::Built } else { dist::Speed::Release };
            let stop = Stop::default();
            let stopping = stop_on_signals(&stop);
            let version = dist.version.as_deref();
            Some(stopping.and_then(|()| {
                if dist.twice {
                    dist::make_twice(speed, version, &stop)
                } else {
                    dist::make(speed, version, &stop).map(drop)
                }
            }))
        }
        _ => None,
    }
}

/// The day needs a daemon over loopback, and no right beyond that.
fn walk(day: &Day) -> Result<()> {
    let stop = Stop::default();
    stop_on_signals(&stop)?;
    let program = match &day.program {
        Some(program) => program.clone(),
        None => {
            build::release()?;
            build::programs()?.perilune
        }
    };
    day::run(&std::path::absolute(program)?, &stop)
}

/// Network namespaces and images of an operating system need root; building does not, and is done by now.
#[expect(
    clippy::disallowed_methods,
    reason = "sudo may ask for a password: it needs the terminal, and waits for us"
)]
fn become_root(wanted: Option<&Wanted>) -> Result<()> {
    let mut sudo = std::process::Command::new("sudo");
    sudo.arg("--").arg(std::env::current_exe()?).args(std::env::args_os().skip(1));
    sudo.args(wanted.is_some_and(|wanted| !wanted.is_built()).then_some("--built"));
    let status = sudo.status().context("this needs root, and sudo is not there: run it as root")?;
    anyhow::ensure!(status.success(), "the part that runs as root failed ({status})");
    Ok(())
}

/// The first Ctrl-C asks everything to end in order. What follows is bounded in time, so a second one is not needed.
fn stop_on_signals(stop: &Stop) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let stop = stop.clone();
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        stop.request();
        // Dropping the runtime would give the signals no one to be received by; keep it for the rest of the run.
        runtime.block_on(std::future::pending::<()>());
    });
    Ok(())
}
