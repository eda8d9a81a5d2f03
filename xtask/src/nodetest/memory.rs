//! Machines with too little memory say so, and neither stop nor speak of a disk that nobody described; one with just enough runs.

use anyhow::{Context, Result, ensure};
use perilune_testkit::Machine;
use perilune_testkit::machine::Description;
use perilune_testkit::process::wait_for;

use super::node::Node;
use crate::follow::Follower;
use crate::scenario;

/// What machines have, and whether that is enough: the image needs 830 MiB, and the firmware and the kernel take some.
const MACHINES: [(u32, bool); 3] = [(512, false), (800, false), (1000, true)];
/// The end of what is said.
const ENOUGH: &str = "trying again in";

pub(super) fn test(bench: &Follower<'_>) -> Result<()> {
    for (number, (mebibytes, is_enough)) in (61..).zip(MACHINES) {
        let node = Node { bench, member: scenario::in_memory(number) };
        bench.perilune.add(&node.member)?;
        let site = bench.perilune.site;
        let description =
            Description { memory_mebibytes: mebibytes, ..bench.description(&node.member, None) };
        bench.event(&node.member, &format!("switched on with {mebibytes} MiB"));
        let machine = Machine::start(&site.lab, &description, site.directory.path())?;
        let seen = if is_enough { runs(&node) } else { is_told(&node, &machine) };
        node.explained(&machine, seen)?;
        machine.power_off();
    }
    Ok(())
}

fn runs(node: &Node<'_>) -> Result<()> {
    node.installed(None)?;
    node.bench.event(&node.member, "runs from memory");
    Ok(())
}

fn is_told(node: &Node<'_>, machine: &Machine) -> Result<()> {
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
