//! A node that was installed starts from its disk with Secure Boot, by the keys that machines are sold with.

use anyhow::{Context, Result, ensure};
use perilune_testkit::Machine;
use perilune_testkit::machine::{Description, Firmware};
use perilune_testkit::process::wait_for;

use super::node::Node;
use crate::follow::{Boot, Follower};
use crate::scenario;

/// The last byte of the variable is its value.
const IS_ON: &str =
    "od -An -t u1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// What GRUB says of a kernel that nobody has signed.
const REFUSED: &str = "bad shim signature";

pub(super) fn test(bench: &Follower<'_>) -> Result<()> {
    let node = Node { bench, member: scenario::on_disk(31, Firmware::UefiWithoutRom) };
    node.describe()?;
    let machine = node.start()?;
    let installed = node.installed(None).and_then(|boot| {
        node.ssh("sync")?;
        Ok(boot)
    });
    let before = node.explained(&machine, installed)?;
    machine.power_off();
    // The same disk. By its own list firmware starts it before the network, whose boot program is signed by nobody.
    let site = bench.perilune.site;
    let description =
        Description { firmware: Firmware::UefiSecure, ..bench.description(&node.member, None) };
    bench.event(&node.member, "switched on with Secure Boot");
    // Each time switched on anew: this firmware, emulated in software, does not come back from a reset.
    let switch_on = |see: &dyn Fn(&Machine) -> Result<()>| -> Result<()> {
        let machine = Machine::start(&site.lab, &description, site.directory.path())?;
        node.explained(&machine, see(&machine))?;
        machine.power_off();
        Ok(())
    };
    switch_on(&|_machine| runs(&node, &before))?;
    switch_on(&|machine| refuses(&node, machine))
}

fn runs(node: &Node<'_>, before: &str) -> Result<()> {
    let Node { bench, member } = node;
    let facts = bench.wait_for_node(member, &member.address(), Some(before))?;
    facts.check(member, &member.address(), Boot::Disk)?;
    let state = node.ssh(IS_ON)?;
    ensure!(state.trim().ends_with('1'), "the firmware says that Secure Boot is off: {state}");
    bench.event(member, "runs from its disk with Secure Boot");
    // The proof that it is: a kernel of which one byte is another.
    node.ssh(
        "size=$(stat -c %s /boot/perilune/vmlinuz); \
         printf X | dd of=/boot/perilune/vmlinuz bs=1 seek=$((size / 2)) conv=notrunc; sync",
    )?;
    Ok(())
}

fn refuses(node: &Node<'_>, machine: &Machine) -> Result<()> {
    let Node { bench, member } = node;
    let refused = || machine.console().contains(REFUSED).then_some(());
    wait_for(&bench.limit(), refused)?.context("a kernel that was changed is started")?;
    bench.event(member, "a kernel that was changed is refused");
    Ok(())
}
