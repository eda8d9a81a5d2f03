//! A site that is kept: set up, described, backed up; then the machine is lost, and another one with another address takes its place, with the
//! same nodes, secrets and identities.

mod boot;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::run as run_command;
use perilune_testkit::{Limit, Stop, machine};

use crate::api::Api;
use crate::build::Programs;
use crate::cluster::CommandLine;
use crate::daemon::{self, Daemon};
use crate::follow::Follower;
use crate::image::{self, Image};
use crate::lifecycle;
use crate::output::{self, Output};
use crate::report::Timeline;
use crate::scenario::{self, Member};
use crate::site::{CONTROLLER, Site};

/// The address of the machine that takes over.
const SUCCESSOR: &str = "10.141.255.253";
/// Seconds that one command may take: a backup has the packed image.
const LIMIT_SECONDS: u64 = 300;
/// Where the secret is written to on nodes.
const SECRET_FILE: &str = "/etc/munge/munge.key";
/// What must be the same on a node of before and of after: its identity, and its secret.
const KEPT_ON_NODES: &str = "cat /etc/machine-id /etc/ssh/ssh_host_*_key.pub; stat -c '%a %U' /etc/munge/munge.key; sha256sum /etc/munge/munge.key";

/// What must be as it was.
struct Kept {
    document: String,
    on_node: String,
    boot: String,
    /// The key that opens the nodes.
    key: String,
    backup: PathBuf,
}

/// What boots as the node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Whoever does in a network namespace what the agent does, as a test of each change.
    Short,
    /// A virtual machine.
    Whole,
}

struct Run<'a> {
    site: &'a Site,
    output: &'a Output,
    stop: &'a Stop,
    member: Member,
    extent: Extent,
}

pub(crate) fn run(programs: &Programs, extent: Extent, stop: &Stop) -> Result<()> {
    let output = Output::new();
    output.step("An operating system image from the distribution's packages");
    let image = image::make(image::Kind::Usual, stop)?;
    let site = Site::create()?;
    daemon::install_programs(&site, programs)?;
    let member = scenario::in_memory(1);
    let run = Run { site: &site, output: &output, stop, member, extent };
    let kept = run.first(&image)?;
    run.second(&kept)?;
    output.step("Done: the site is as it was, at another address");
    Ok(())
}

impl Run<'_> {
    /// Runs `perilune` with a data directory, beside a daemon or before there is one.
    fn perilune(&self, words: &[&str]) -> Result<String> {
        let arguments: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        self.output.command("perilune", &arguments);
        let mut command = self.site.lab.command(&daemon::program(self.site));
        command.args(&arguments).env("HOME", self.site.path("home"));
        let said = run_command(&mut command, &Limit::seconds(LIMIT_SECONDS).unless(self.stop))?;
        output::block(said.trim_end());
        Ok(said)
    }

    fn serve(&self, data: PathBuf) -> Result<Daemon> {
        Daemon::serve(self.site, data, self.output, self.stop)
    }

    /// Everything with a daemon; a failure tells the end of its log.
    fn with<T: Send>(
        &self,
        daemon: &Daemon,
        action: impl FnOnce(&CommandLine<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        let Self { site, output, stop, .. } = self;
        let perilune = CommandLine { site, daemon, output, stop };
        let done = site.lab.inside(|| action(&perilune)).context("no thread in the lab").flatten();
        done.map_err(|error| lifecycle::explain_failure(site, daemon, output, error))
    }

    fn first(&self, image: &Image) -> Result<Kept> {
        self.output.step("A controller is set up, described, and installs a node");
        let data = self.site.path("data");
        let place = data.display().to_string();
        let address = format!("{CONTROLLER}/16");
        self.perilune(&[
            "setup",
            "--data-dir",
            &place,
            "--interface",
            BRIDGE,
            "--address",
            &address,
            "--name",
            "keep",
            "--dhcp-range",
            "none",
            "--yes",
        ])?;
        crate::boot_programs::provide(&data.join("tftp"))?;
        let daemon = self.serve(data.clone())?;
        let kept = self.with(&daemon, |perilune| {
            let key = lifecycle::describe(perilune, image, &[])?;
            self.describe_more(perilune)?;
            perilune.add(&self.member)?;
            let (boot, on_node) = self.boots(perilune, &key, (CONTROLLER, None))?;
            let backup = self.site.path("backup.tar.zst");
            let file = backup.display().to_string();
            perilune.perilune(&["backup", &file, "--with-images"])?;
            let document = perilune.quietly(&["export", "--secrets", "-o", "json"])?;
            Ok(Kept { document, on_node, boot, key, backup })
        })?;
        drop(daemon);
        self.output.step("The machine is lost");
        fs::remove_dir_all(&data)?;
        self.site.move_controller(CONTROLLER, SUCCESSOR)?;
        Ok(kept)
    }

    /// What a backup must have beside nodes and images.
    fn describe_more(&self, perilune: &CommandLine<'_>) -> Result<()> {
        let bytes: Vec<u8> = (0..=255).cycle().take(1024).collect();
        let file = self.site.path("munge.key");
        fs::write(&file, bytes)?;
        let content = format!("@{}", file.display());
        let secret = ["secret", "set", "cluster", "munge", "--content", &content];
        let place = ["--path", SECRET_FILE, "--owner", "root:root", "--mode", "400"];
        perilune.perilune(&[secret.as_slice(), &place].concat())?;
        let file = self.site.path("password");
        fs::write(&file, "not that of anybody else\n")?;
        let password = format!("@{}", file.display());
        perilune.perilune(&[
            "user",
            "add",
            "ann",
            "--role",
            "operator",
            "--password",
            &password,
        ])?;
        Ok(())
    }

    fn second(&self, kept: &Kept) -> Result<()> {
        self.output.step("Another machine is made of the backup");
        let data = self.site.path("restored");
        let (file, place) = (kept.backup.display().to_string(), data.display().to_string());
        self.perilune(&["backup", "--verify", &file])?;
        self.perilune(&["restore", &file, "--data-dir", &place])?;
        let daemon = self.serve(data)?;
        self.with(&daemon, |perilune| {
            let status = perilune.perilune(&["status"])?;
            let told = format!("at {CONTROLLER}, which is not an address of this host");
            ensure!(status.contains(&told), "the status does not tell of the former address");
            let address = format!("{SUCCESSOR}/16");
            let change = ["setup", "--data-dir", &place, "--address", &address, "--yes"];
            perilune.perilune(&change)?;
            let status = perilune.perilune(&["status"])?;
            ensure!(!status.contains("not an address of this host"), "the address does not fit");
            let document = perilune.quietly(&["export", "--secrets", "-o", "json"])?;
            let expected = kept.document.replace(CONTROLLER, SUCCESSOR);
            ensure!(document == expected, "not as it was:\n{document}\nexpected:\n{expected}");
            let users = perilune.perilune(&["user", "list"])?;
            ensure!(users.contains("ann"), "a user is lost: {users}");
            let before = (SUCCESSOR, Some(kept.boot.as_str()));
            let (_, on_node) = self.boots(perilune, &kept.key, before)?;
            let was = &kept.on_node;
            ensure!(on_node == *was, "the node is another:\n{on_node}\nit was:\n{was}");
            Ok(())
        })
    }

    /// Switches the node on, with this controller and in another boot than `before`, and off again; answers the boot and what must stay.
    fn boots(
        &self,
        perilune: &CommandLine<'_>,
        key: &str,
        (controller, before): (&str, Option<&str>),
    ) -> Result<(String, String)> {
        if self.extent == Extent::Short {
            let kept = boot::through(self.site, &self.member, controller)?;
            ensure!(kept.contains(SECRET_FILE), "the plan lacks the secret: {kept}");
            self.output.line("the node has its identity and its secret");
            return Ok((String::new(), kept));
        }
        let api = Api::login(&perilune.daemon.configuration())?;
        let accelerator = machine::accelerator();
        let follower = Follower { perilune, api: &api, accelerator, key };
        let member = &self.member;
        let powered = follower.bring_up(member, &mut Timeline::new())?;
        let facts = follower.wait_for_node(member, &member.address(), before)?;
        let on_node = follower.ssh(&member.address(), KEPT_ON_NODES)?;
        ensure!(on_node.contains("400 root"), "the secret is not as it was given: {on_node}");
        follower.event(member, "has its identity and its secret; switched off");
        powered.machine.power_off();
        Ok((facts.boot, on_node))
    }
}
