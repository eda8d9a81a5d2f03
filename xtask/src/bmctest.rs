//! A machine that has no power button but its BMC: switched on, reset, cycled, shut down and switched off by `perilune power`,
//! and seen to do it; beside a machine whose BMC is dead.

use anyhow::{Context, Result, bail, ensure};
use perilune_testkit::process::wait_for;
use perilune_testkit::{Bmc, Error, Limit, Stop, chassis, machine};

use crate::api::Api;
use crate::build::Programs;
use crate::cluster::CommandLine;
use crate::daemon::Daemon;
use crate::follow::{Boot, Follower};
use crate::image::{self, Image};
use crate::lifecycle;
use crate::output::Output;
use crate::report::Timeline;
use crate::scenario::{self, Member};
use crate::site::Site;

/// Where nobody answers.
const DEAD_BMC: &str = "BMC,network=bmcs,ipaddress=10.148.0.2";
/// An operating system that is asked to shut down needs no longer.
const SHUTDOWN_SECONDS: u64 = 180;
const BOTH: &str = "node[001-002]";

pub(crate) fn run(programs: &Programs, stop: &Stop) -> Result<()> {
    let output = Output::new();
    output.step("An operating system image from the distribution's packages");
    let image = image::make(image::Kind::Usual, stop)?;
    output.step("The daemon, in a network namespace of its own");
    let site = Site::create()?;
    let daemon = Daemon::start(&site, programs, &output, stop)?;
    let perilune = CommandLine { site: &site, daemon: &daemon, output: &output, stop };
    let result = control(&perilune, &image);
    result.map_err(|error| lifecycle::explain_failure(&site, &daemon, &output, error))?;
    output.step("Done: the machine did what its BMC was told");
    Ok(())
}

fn control(perilune: &CommandLine<'_>, image: &Image) -> Result<()> {
    let member = scenario::with_bmc();
    perilune.output.step("The cluster, described");
    let key = lifecycle::describe(perilune, image, std::slice::from_ref(&member))?;
    let dead = ["node", "add", "node002", "--group", member.group()];
    let dead_bmc = ["--bmcsetup", "factory", "--interface", DEAD_BMC];
    perilune.perilune(&[dead.as_slice(), &dead_bmc].concat())?;

    let (site, accelerator) = (perilune.site, machine::accelerator());
    perilune.output.step(&format!("A machine and its BMC, {accelerator:?} virtualization"));
    let api = site.lab.inside(|| Api::login(&perilune.daemon.configuration()))??;
    let follower = Follower { perilune, api: &api, accelerator, key: &key };
    let bmc = site.lab.inside(|| follower.bmc(None))??;
    let description = follower.description(&member, None);
    let over = Stop::default();
    std::thread::scope(|scope| {
        let player = scope.spawn(|| {
            let directory = site.directory.path();
            let played = chassis::play(&bmc, &site.lab, &description, directory, &over);
            // Nobody needs to wait for a machine that cannot be had.
            played.inspect_err(|_| perilune.stop.request())
        });
        let operator = Operator { follower: &follower, member: &member, bmc: &bmc };
        let result = site.lab.inside(|| operator.press_every_button());
        over.request();
        let played = player.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Where the machine could not be played, all else is a consequence.
        played.context("the machine does not follow its BMC")?;
        result.context("no thread in the lab").flatten()
    })
}

/// Who has the command line, and nothing else.
struct Operator<'a> {
    follower: &'a Follower<'a>,
    member: &'a Member,
    bmc: &'a Bmc,
}

impl Operator<'_> {
    fn press_every_button(&self) -> Result<()> {
        self.one_of_two_answers("off")?;
        self.power("on")?;
        let first = self.runs(None)?;
        self.one_of_two_answers("on")?;
        self.ask_for_everything()?;

        self.power("reset")?;
        let second = self.runs(Some(&first))?;
        self.power("soft")?;
        self.is_off_by_itself()?;

        self.power("on")?;
        self.reaches("install.discovered")?;
        self.power("cycle")?;
        ensure!(self.bmc.is_powered(), "after a power cycle it is off");
        self.runs(Some(&second))?;
        self.power("off")?;
        self.one_of_two_answers("off")?;
        let answer = self.follower.ssh(&self.member.address(), "true");
        ensure!(answer.is_err(), "{} still answers", self.member.name);
        Ok(())
    }

    /// The daemon shows what was done as the node's state, until the node says more itself.
    fn power(&self, action: &str) -> Result<()> {
        let name = &self.member.name;
        self.follower.perilune.perilune(&["power", action, name])?;
        if action != "on" {
            let state = self.follower.api.progress(name)?.state;
            ensure!(state == Some(format!("power {action}")), "{name} is in {state:?}");
        }
        Ok(())
    }

    /// The one without a BMC that answers is named and does not hide the other.
    fn one_of_two_answers(&self, power: &str) -> Result<()> {
        let result = self.follower.perilune.perilune(&["power", "status", BOTH]);
        let error = result.err().context("a dead BMC is no success")?;
        let Some(Error::Failed { status, output, .. }) = error.downcast_ref() else {
            return Err(error);
        };
        ensure!(status.code() == Some(1), "the exit code is {status}");
        for line in [format!("node001: {power}"), "node002: ".to_owned()] {
            ensure!(output.contains(&line), "{line:?} is not in:\n{output}");
        }
        Ok(())
    }

    fn ask_for_everything(&self) -> Result<()> {
        let name = self.member.name.as_str();
        for (command, expected) in [
            (["identify", "on", name].as_slice(), "light on"),
            (&["identify", "off", name], "light off"),
            (&["sel", "list", name], name),
            (&["sel", "clear", name], "cleared"),
            (&["sensors", name], "CPU Temp"),
            (&["inventory", name], "serial number"),
        ] {
            let text = self.follower.perilune.perilune(command)?;
            ensure!(text.contains(expected), "{expected:?} is not in:\n{text}");
        }
        Ok(())
    }

    /// It boots from the network, installs, and is the node that was described, in a boot of its own.
    fn runs(&self, before: Option<&str>) -> Result<String> {
        let mut timeline = Timeline::new();
        self.follower.follow_install(self.member, &mut timeline)?;
        let address = self.member.address();
        let facts = self.follower.wait_for_node(self.member, &address, before)?;
        facts.check(self.member, &address, Boot::Network)?;
        self.follower.event(self.member, "runs");
        Ok(facts.boot)
    }

    fn reaches(&self, state: &str) -> Result<()> {
        let reached = || {
            let now = self.follower.api.progress(&self.member.name).ok()?;
            (now.state.as_deref() == Some(state)).then_some(())
        };
        if wait_for(&self.follower.limit(), reached)?.is_none() {
            bail!("{} does not reach {state}", self.member.name);
        }
        self.follower.event(self.member, state);
        Ok(())
    }

    fn is_off_by_itself(&self) -> Result<()> {
        let limit = Limit::seconds(SHUTDOWN_SECONDS).unless(self.follower.perilune.stop);
        let off = || (!self.bmc.is_powered()).then_some(());
        if wait_for(&limit, off)?.is_none() {
            bail!("{} was asked to shut down and did not", self.member.name);
        }
        self.follower.event(self.member, "shut down");
        self.one_of_two_answers("off")
    }
}
