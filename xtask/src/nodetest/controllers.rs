//! Two controllers on one database, and machines with blank disks that are installed while the controllers are killed: the one that a machine talks
//! to, in each phase in turn. It stays away until the other one is killed, so that the machine must have gone on there; nobody touches it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use perilune_testkit::machine::Firmware;
use perilune_testkit::process::{command, run as run_command, wait_for};
use perilune_testkit::{Limit, Machine, Postgres, Proxy, Stop, postgres};
use serde_json::Value;

use super::node::Node;
use super::on_site;
use crate::api::Api;
use crate::build::Programs;
use crate::cluster::CommandLine;
use crate::daemon::{self, Daemon};
use crate::follow::{Boot, Follower};
use crate::image::Image;
use crate::lifecycle;
use crate::output::Output;
use crate::scenario::{self, Member};
use crate::site::{CONTROLLER, Site};

/// The first is called as the controller of a new cluster is.
const FIRST: &str = "controller";
const SECOND: &str = "controller2";
const SECOND_ADDRESS: &str = "10.141.255.253";
/// Where each controller finds the database, on its own loopback.
const DATABASE_PORT: u16 = 5432;
/// How long a controller may take to start, or to have the files of an image.
const LIMIT_SECONDS: u64 = 120;
/// How often it is looked whether a phase has begun: some are short.
const LOOK: Duration = Duration::from_millis(100);

/// What tells that a phase has begun.
#[derive(Clone, Copy)]
enum Mark {
    /// The machine says this.
    Said(&'static str),
    /// It has a part of its image.
    Underway,
}

/// In which phases the controller is killed that a machine talks to.
type Phases = [(&'static str, Mark); 3];

const MACHINES: [(u8, Firmware, Phases); 2] = [
    (
        81,
        Firmware::Bios,
        [
            ("after DHCP", Mark::Said("Next server: ")),
            ("in the middle of the image", Mark::Underway),
            ("before the success, with the boot loader", Mark::Said("== Boot loader")),
        ],
    ),
    (
        82,
        Firmware::UefiWithoutRom,
        [
            ("after the script", Mark::Said("Perilune: this machine is ")),
            ("before the plan", Mark::Said("== Network")),
            ("after the image", Mark::Said("== Name and network")),
        ],
    ),
];

/// One of them, on a host of its own.
struct Controller {
    name: &'static str,
    address: &'static str,
    runs: AtomicBool,
    api: Api,
    daemon: Daemon,
    _way: Proxy,
    site: Site,
}

/// Both, and the database.
struct Pair {
    controllers: [Controller; 2],
    _database: Postgres,
}

pub(super) fn run(programs: &Programs, image: &Image, output: &Output, stop: &Stop) -> Result<()> {
    run_with(&MACHINES, (programs, image), output, stop)
}

/// The least of it: one machine.
pub(super) fn run_short(
    programs: &Programs,
    image: &Image,
    output: &Output,
    stop: &Stop,
) -> Result<()> {
    let [_, last] = &MACHINES;
    run_with(std::slice::from_ref(last), (programs, image), output, stop)
}

fn run_with(
    machines: &[(u8, Firmware, Phases)],
    (programs, image): (&Programs, &Image),
    output: &Output,
    stop: &Stop,
) -> Result<()> {
    let pair = Pair::start(programs, output, stop)?;
    let [first, second] = &pair.controllers;
    let perilune = CommandLine { site: &first.site, daemon: &first.daemon, output, stop };
    let test = || -> Result<()> {
        let key = lifecycle::describe(&perilune, image, &[])?;
        // As an administrator copies them.
        let plugins = (first.daemon.plugins(), second.daemon.plugins());
        let mut copy = command("cp");
        run_command(copy.arg("-rT").arg(plugins.0).arg(plugins.1), &Limit::seconds(60))?;
        on_site(&perilune, &key, |bench| {
            pair.wait_for_files(bench)?;
            machines.iter().try_for_each(|(number, firmware, phases)| {
                install(&pair, bench, scenario::on_disk(*number, *firmware), *phases)
            })
        })
    };
    test().map_err(|error| {
        let error = error.context(format!("{SECOND}:\n{}", second.daemon.log_tail()));
        fs::copy(second.daemon.log_file(), first.site.path("second.log")).ok();
        lifecycle::explain_failure(&first.site, &first.daemon, output, error)
    })
}

fn install(pair: &Pair, bench: &Follower<'_>, member: Member, phases: Phases) -> Result<()> {
    let node = Node { bench, member };
    pair.start_all(bench)?;
    node.describe()?;
    let machine = node.start()?;
    let seen = phases.iter().try_for_each(|(phase, mark)| {
        pair.reached(&node, &machine, *mark).with_context(|| format!("{phase} does not come"))?;
        pair.start_all(bench)?;
        let controller = pair.spoken_to(&node, &machine)?;
        controller.kill()?;
        bench.event(&node.member, &format!("{} is killed {phase}", controller.name));
        Ok(())
    });
    let seen = seen.and_then(|()| pair.runs(&node, &machine));
    node.explained(&machine, seen)?;
    machine.power_off();
    Ok(())
}

impl Pair {
    fn start(programs: &Programs, output: &Output, stop: &Stop) -> Result<Self> {
        output.step("Two controllers on one database");
        let mut database = Postgres::start().context("PostgreSQL is not there")?;
        let name = database.fresh();
        let first = Site::create()?;
        let second = first.neighbour(SECOND_ADDRESS)?;
        let begin = |site: Site, (name, address): (&'static str, &'static str), way: Proxy| {
            let daemon = Daemon::start_at(&[address], &site, programs, output, stop)?;
            let api = site.lab.inside(|| Api::login(&daemon.configuration()))??;
            let runs = AtomicBool::new(true);
            anyhow::Ok(Controller { name, address, runs, api, daemon, _way: way, site })
        };
        let way = way(&first, &database)?;
        daemon::install_programs(&first, programs)?;
        let data = first.path("data");
        let url = Postgres::url(&name, DATABASE_PORT);
        let mut init = first.lab.command(&daemon::program(&first));
        init.args(["database", "init", "--database", &url, "--data-dir"]).arg(&data);
        init.env("HOME", first.path("home")).env_remove("PERILUNE_CONFIG");
        run_command(&mut init, &Limit::seconds(LIMIT_SECONDS).unless(stop))?;
        let own = format!(
            "\n[DATABASE]\nENGINE = postgresql\nHOSTS = 127.0.0.1:{DATABASE_PORT}\nNAME = {name}\nUSER = {}\nCONTROLLER = {FIRST}\n",
            postgres::USER
        );
        let ini = data.join("luna.ini");
        fs::write(&ini, fs::read_to_string(&ini)? + &own)?;
        let first = begin(first, (FIRST, CONTROLLER), way)?;
        let way = self::way(&second, &database)?;
        join(&first, &second, programs, output, stop)?;
        let second = begin(second, (SECOND, SECOND_ADDRESS), way)?;
        Ok(Self { controllers: [first, second], _database: database })
    }

    /// Waits until both have all files of the image, so that a machine may fetch them from either.
    fn wait_for_files(&self, bench: &Follower<'_>) -> Result<()> {
        let have_all = || {
            let known = bench.api.get("/controller").ok()?;
            let all = known.get("controllers").and_then(Value::as_array)?;
            let lack = |one: &&Value| one.get("lacks") != Some(&Value::Array(Vec::new()));
            (all.len() == self.controllers.len() && !all.iter().any(|one| lack(&one))).then_some(())
        };
        let limit = Limit::seconds(LIMIT_SECONDS).unless(bench.perilune.stop);
        wait_for(&limit, have_all)?.context("a controller lacks files of the image")
    }

    /// Starts those that were killed, and waits until each is ready.
    fn start_all(&self, bench: &Follower<'_>) -> Result<()> {
        let stop = bench.perilune.stop;
        for controller in &self.controllers {
            if controller.runs.load(Ordering::Relaxed) {
                continue;
            }
            controller.daemon.start_again(&controller.site, stop)?;
            let is_ready = || controller.asked(|api| api.get("/ha/ready")).ok().map(drop);
            let limit = Limit::seconds(LIMIT_SECONDS).unless(stop);
            wait_for(&limit, is_ready)?
                .with_context(|| format!("{} is not ready", controller.name))?;
            controller.runs.store(true, Ordering::Relaxed);
            bench.perilune.output.line(&format!("{} runs again", controller.name));
        }
        Ok(())
    }

    fn running(&self) -> impl Iterator<Item = &Controller> {
        self.controllers.iter().filter(|one| one.runs.load(Ordering::Relaxed))
    }

    /// Waits until the phase of this mark has begun.
    fn reached(&self, node: &Node<'_>, machine: &Machine, mark: Mark) -> Result<()> {
        let has_begun = || match mark {
            Mark::Said(words) => said(machine).contains(words),
            Mark::Underway => self.running().any(|controller| {
                let progress = controller.asked(|api| api.progress(&node.member.name));
                progress.is_ok_and(|progress| progress.is_underway())
            }),
        };
        let limit = node.bench.limit().every(LOOK);
        wait_for(&limit, || has_begun().then_some(()))?.context("the mark of a phase")
    }

    /// The controller that a machine talks to: the one that has heard from it last, or that it is about to ask.
    fn spoken_to(&self, node: &Node<'_>, machine: &Machine) -> Result<&Controller> {
        let address = node.member.address();
        let heard = || {
            let heard = self.running().filter_map(|one| Some((one.heard(&address)?, one)));
            heard.min_by_key(|(ago, _)| *ago).map(|(_, one)| one)
        };
        if let Some(controller) = wait_for(&Limit::seconds(2).every(LOOK), heard)? {
            return Ok(controller);
        }
        let said = said(machine);
        let named = |controller: &&Controller| {
            let places = ["Next server: ", "luna.url=https://"];
            let named = places.map(|place| said.rfind(&format!("{place}{}", controller.address)));
            named.into_iter().flatten().max()
        };
        let named = self.running().max_by_key(named).filter(|one| named(one).is_some());
        named.with_context(|| format!("{address} talks to no controller"))
    }

    /// Sees the installation through with the controller that is left.
    fn runs(&self, node: &Node<'_>, machine: &Machine) -> Result<()> {
        let Node { bench, member } = node;
        let succeeded = || {
            let mut states = self.running().map(|one| one.asked(|api| api.progress(&member.name)));
            let state = states.next()?.ok()?.state?;
            (state == "install.success" || state == "install.error").then_some(state)
        };
        let state =
            wait_for(&bench.limit(), succeeded)?.context("the installation does not end")?;
        let facts = bench.wait_for_node(member, &member.address(), None)?;
        facts.check(member, &member.address(), Boot::Network)?;
        ensure!(state == "install.success", "it runs, and its state is {state}");
        let said = said(machine);
        if let Some(at) = said.find("FAILED: ") {
            bail!("it had to begin anew: {}", said.get(at..).unwrap_or_default());
        }
        // The one that was away knows it as well.
        self.start_all(bench)?;
        for controller in &self.controllers {
            let known = controller.asked(|api| api.progress(&member.name))?.state;
            ensure!(
                known.as_deref() == Some("install.success"),
                "{} says {known:?}",
                controller.name
            );
        }
        bench.event(member, "runs, and both controllers know it");
        Ok(())
    }
}

impl Controller {
    /// As a power cut does.
    fn kill(&self) -> Result<()> {
        self.daemon.kill()?;
        self.runs.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Asks this one, in its own network.
    fn asked<T: Send>(&self, ask: impl FnOnce(&Api) -> Result<T> + Send) -> Result<T> {
        self.site.lab.inside(|| ask(&self.api)).context("no thread in the lab").flatten()
    }

    /// How many milliseconds ago a machine was heard that has a connection.
    fn heard(&self, machine: &str) -> Option<u64> {
        let mut sockets = self.site.lab.command("ss");
        sockets.args(["-Htin", "state", "established", "dst", machine]);
        let shown = run_command(&mut sockets, &Limit::seconds(10)).ok()?;
        let words = shown.split_whitespace();
        words.filter_map(|word| word.strip_prefix("lastrcv:")?.parse().ok()).min()
    }
}

/// All that a machine has said; a serial console breaks lines anywhere.
fn said(machine: &Machine) -> String {
    machine.console().replace(['\r', '\n'], "")
}

/// The way of a controller to the database.
fn way(site: &Site, database: &Postgres) -> Result<Proxy> {
    let listener = site.lab.inside(|| TcpListener::bind(("127.0.0.1", DATABASE_PORT)))??;
    Ok(Proxy::on(listener, database.port()))
}

/// The second controller joins the first, with what administrators type.
fn join(
    first: &Controller,
    second: &Site,
    programs: &Programs,
    output: &Output,
    stop: &Stop,
) -> Result<()> {
    let perilune = CommandLine { site: &first.site, daemon: &first.daemon, output, stop };
    let invitation = perilune.quietly(&["controller", "invite", "-o", "json"])?;
    let invitation: Value = serde_json::from_str(&invitation)?;
    let text = |key: &str| {
        let text = invitation.get(key).and_then(Value::as_str);
        text.with_context(|| format!("the invitation has no {key}"))
    };
    daemon::install_programs(second, programs)?;
    let code = with_code(second.directory.path(), text("code")?)?;
    let url = text("url")?;
    let data = second.path("data").display().to_string();
    let words = ["controller", "join", url, "--name", SECOND, "--data-dir", &data];
    output.command("perilune", &words.map(str::to_owned));
    let mut join = second.lab.command(&daemon::program(second));
    join.args(words).env("HOME", second.path("home")).env_remove("PERILUNE_CONFIG");
    join.stdin(fs::File::open(code)?);
    run_command(&mut join, &Limit::seconds(LIMIT_SECONDS).unless(stop))?;
    Ok(())
}

fn with_code(directory: &Path, code: &str) -> Result<PathBuf> {
    let file = directory.join("code");
    fs::write(&file, format!("{code}\n"))?;
    Ok(file)
}
