//! Machines with too little memory say so, and neither stop nor speak of a disk that nobody described.

use anyhow::{Context, Result, ensure};
use perilune_testkit::Machine;
use perilune_testkit::machine::Description;
use perilune_testkit::process::wait_for;

use super::node::Node;
use crate::follow::Follower;
use crate::scenario;

const MEBIBYTES: [u32; 2] = [512, 1000];
/// The end of what is said.
const ENOUGH: &str = "trying again in";

pub(super) fn test(bench: &Follower<'_>) -> Result<()> {
    for (number, mebibytes) in (61..).zip(MEBIBYTES) {
        let node = Node { bench, member: scenario::in_memory(number) };
        bench.perilune.add(&node.member)?;
        let site = bench.perilune.site;
        let description =
            Description { memory_mebibytes: mebibytes, ..bench.description(&node.member, None) };
        bench.event(&node.member, &format!("switched on with {mebibytes} MiB"));
        let machine = Machine::start(&site.lab, &description, site.directory.path())?;
        node.explained(&machine, see_through(&node, &machine))?;
        machine.power_off();
    }
    Ok(())
}

fn see_through(node: &Node<'_>, machine: &Machine) -> Result<()> {
    let Node { bench, member } = node;
    let said = || Some(machine.console()).filter(|console| console.contains(ENOUGH));
    let console =
        wait_for(&bench.limit(), said)?.context("it does not say that it cannot go on")?;
    let reason = console.lines().rev().find(|line| line.contains("memory"));
    let reason = reason.context("its memory is not named")?;
    ensure!(reason.contains("MiB") || reason.contains("GiB"), "no number is named: {reason}");
    ensure!(!console.contains("Kernel panic"), "its kernel has stopped");
    ensure!(!console.to_lowercase().contains("disk layout"), "a disk is spoken of");
    let state = bench.api.progress(&member.name)?.state;
    ensure!(state.as_deref() == Some("install.error"), "the controller was told {state:?}");
    bench.event(member, reason.trim());
    Ok(())
}
