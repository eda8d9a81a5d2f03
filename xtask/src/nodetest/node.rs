//! A node that is installed to a disk, and started anew.

use anyhow::{Context, Result};
use perilune_testkit::Machine;
use perilune_testkit::process::wait_for;

use crate::follow::{Boot, Follower};
use crate::report::Timeline;
use crate::scenario::{Member, Root};

/// Both kinds of firmware find their partition, so that one layout is for machines of either.
const LAYOUT: &str = r#"{"disks":[{"serial":"NODE","partitions":[
    {"filesystem":"bios","size":"1M"},
    {"filesystem":"esp","size":"256M","mount":"/boot/efi"},
    {"filesystem":"ext4","mount":"/"}]}]}"#;

pub(super) struct Node<'a> {
    pub(super) bench: &'a Follower<'a>,
    pub(super) member: Member,
}

impl Node<'_> {
    /// Describes it: where it has a disk, installed once, to the disk that has its name.
    pub(super) fn describe(&self) -> Result<()> {
        let perilune = self.bench.perilune;
        perilune.add(&self.member)?;
        if self.member.root == Root::Ram {
            return Ok(());
        }
        let layout = LAYOUT.replace("NODE", &self.member.name);
        let change = ["node", "change", &self.member.name, "--install-policy", "once"];
        perilune.perilune(&[change.as_slice(), &["--disklayout", &layout]].concat())?;
        Ok(())
    }

    /// Switches it on, with the disks that it has by itself.
    pub(super) fn start(&self) -> Result<Machine> {
        let site = self.bench.perilune.site;
        let description = self.bench.description(&self.member, None);
        self.bench.event(&self.member, &format!("switched on: {:?}", self.member.firmware));
        Ok(Machine::start(&site.lab, &description, site.directory.path())?)
    }

    /// Adds the end of the console to a failure.
    pub(super) fn explained<T>(&self, machine: &Machine, result: Result<T>) -> Result<T> {
        result.with_context(|| {
            let console = crate::daemon::tail(&machine.console(), 40);
            let Member { name, firmware, .. } = &self.member;
            format!("{name} ({firmware:?}). The end of its console:\n{console}")
        })
    }

    /// Sees an installation through; answers the boot.
    pub(super) fn installed(&self, before: Option<&str>) -> Result<String> {
        let Self { bench, member } = self;
        self.begun()?;
        bench.follow_install(member, &mut Timeline::new())?;
        let facts = bench.wait_for_node(member, &member.address(), before)?;
        facts.check(member, &member.address(), Boot::Network)?;
        Ok(facts.boot)
    }

    /// Until an installation has begun: before, the last state is that of the former.
    fn begun(&self) -> Result<()> {
        let Self { bench, member } = self;
        let begun = || {
            let state = bench.api.progress(&member.name).ok()?.state?;
            (state != "install.success").then_some(())
        };
        wait_for(&bench.limit(), begun)?.context("no installation begins")
    }

    /// Presses the reset button, and waits for another boot.
    pub(super) fn reset(&self, machine: &Machine, before: &str, boot: Boot) -> Result<String> {
        let Self { bench, member } = self;
        bench.ssh(&member.address(), "sync")?;
        machine.reset()?;
        let facts = bench.wait_for_node(member, &member.address(), Some(before))?;
        facts.check(member, &member.address(), boot)?;
        Ok(facts.boot)
    }

    pub(super) fn ssh(&self, script: &str) -> Result<String> {
        self.bench.ssh(&self.member.address(), script)
    }
}
