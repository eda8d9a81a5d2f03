//! The cable is out for a while in each phase of a boot, and then back: the node goes on by itself.

use anyhow::{Context, Result};
use perilune_testkit::process::wait_for;
use perilune_testkit::{Limit, Machine};

use super::node::Node;
use crate::follow::{Boot, Follower};
use crate::report::Timeline;
use crate::scenario;

/// What a console says when a phase has begun.
const PHASES: [(&str, &str); 3] = [
    ("before the first address", "Perilune 0."),
    ("before the plan", "== Plan"),
    ("in the download", "== Image"),
];
/// Longer than a try of DHCP, and than the first pauses.
const SECONDS: u64 = 150;

pub(super) fn test(bench: &Follower<'_>) -> Result<()> {
    for (number, (phase, mark)) in (51..).zip(PHASES) {
        let node = Node { bench, member: scenario::in_memory(number) };
        bench.perilune.add(&node.member)?;
        let machine = node.start()?;
        node.explained(&machine, see_through(&node, &machine, phase, mark))?;
        machine.power_off();
    }
    Ok(())
}

fn see_through(node: &Node<'_>, machine: &Machine, phase: &str, mark: &str) -> Result<()> {
    let Node { bench, member } = node;
    let said = || machine.console().contains(mark).then_some(());
    wait_for(&bench.limit(), said)?.with_context(|| format!("{mark:?} is not said"))?;
    machine.connect(false)?;
    bench.event(member, &format!("the cable is out {phase}"));
    // Nothing is waited for but time: the machine must be left alone for as long.
    wait_for(&Limit::seconds(SECONDS).unless(bench.perilune.stop), || None::<()>)?;
    machine.connect(true)?;
    bench.event(member, "the cable is back");
    bench.follow_install(member, &mut Timeline::new())?;
    let facts = bench.wait_for_node(member, &member.address(), None)?;
    facts.check(member, &member.address(), Boot::Network)
}
