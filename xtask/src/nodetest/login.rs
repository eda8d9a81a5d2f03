//! How long machines that run from memory take from the power button until somebody can log in: one at a time, and nothing else runs. For
//! a comparison, one version after the other on the same host.

use std::time::Instant;

use anyhow::Result;

use super::node::Node;
use crate::follow::Follower;
use crate::output;
use crate::scenario;

const MACHINES: std::ops::RangeInclusive<u8> = 66..=68;

pub(super) fn test(bench: &Follower<'_>) -> Result<()> {
    let mut all = Vec::new();
    for number in MACHINES {
        let node = Node { bench, member: scenario::in_memory(number) };
        bench.perilune.add(&node.member)?;
        let begun = Instant::now();
        let machine = node.start()?;
        node.explained(&machine, node.installed(None))?;
        let seconds = begun.elapsed().as_secs_f64();
        bench.event(&node.member, &format!("lets somebody log in after {seconds:.1} s"));
        all.push(seconds);
        machine.power_off();
    }
    all.sort_by(f64::total_cmp);
    let middle = all.get(all.len() / 2).copied().unwrap_or_default();
    output::block(&format!("logged in after {middle:.1} s (the middle one of {})", all.len()));
    Ok(())
}
