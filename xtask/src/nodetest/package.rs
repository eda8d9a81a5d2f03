//! The package for Debian on a running machine: installed, set up, working on trees by its worker, attacked, upgraded, removed and purged.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use perilune_testkit::machine::Description;
use perilune_testkit::{Machine, Stop};

use super::node::Node;
use crate::dist::{self, Speed};
use crate::follow::{Boot, Follower};
use crate::report::Timeline;
use crate::scenario;

/// The system and what is installed in it are in memory.
const MEMORY_MEBIBYTES: u32 = 4096;
const VERSIONS: [&str; 2] = ["0.1.0", "0.1.1"];
/// On an emulated processor; the package is unpacked, and its daemon begins.
const LIMIT_SECONDS: u64 = 300;

/// What is done, and the script that does it. Each ends with failure at whatever is not as it should be.
const STEPS: [(&str, &str); 9] = [
    ("installed, it serves nothing", include_str!("package/install.sh")),
    ("set up and started, it runs as its own user", include_str!("package/start.sh")),
    (
        "its worker packs and copies trees that the daemon cannot read",
        include_str!("package/trees.sh"),
    ),
    ("neither others nor the daemon lead the worker elsewhere", include_str!("package/attack.sh")),
    (
        "an upgrade starts the new program, and keeps what the site changed",
        include_str!("package/upgrade.sh"),
    ),
    ("what a daemon that ran as root has left becomes the user's", include_str!("package/root.sh")),
    ("a backup is restored by root and is the daemon's", include_str!("package/restore.sh")),
    ("removed, it is stopped and leaves what the site has", include_str!("package/remove.sh")),
    ("purged, it says where that is", include_str!("package/purge.sh")),
];

/// The packages are made before there is a lab.
static PACKAGES: OnceLock<[PathBuf; 2]> = OnceLock::new();

pub(super) fn prepare(stop: &Stop) -> Result<()> {
    let made = |version| dist::make(Speed::Built, Some(version), stop).map(|made| made.deb);
    let [first, second] = VERSIONS;
    let packages = [made(first)?, made(second)?];
    PACKAGES.set(packages).ok();
    Ok(())
}

pub(super) fn test(bench: &Follower<'_>) -> Result<()> {
    let node = Node { bench, member: scenario::in_memory(71) };
    bench.perilune.add(&node.member)?;
    let site = bench.perilune.site;
    let description =
        Description { memory_mebibytes: MEMORY_MEBIBYTES, ..bench.description(&node.member, None) };
    let machine = Machine::start(&site.lab, &description, site.directory.path())?;
    node.explained(&machine, see_through(&node))?;
    machine.power_off();
    Ok(())
}

fn see_through(node: &Node<'_>) -> Result<()> {
    let Node { bench, member } = node;
    let address = member.address();
    bench.follow_install(member, &mut Timeline::new())?;
    let facts = bench.wait_for_node(member, &address, None)?;
    facts.check(member, &address, Boot::Network)?;
    for (package, place) in PACKAGES.get().context("no packages")?.iter().zip(["old", "new"]) {
        bench.copy(&address, package, &format!("/root/{place}.deb"))?;
    }
    for (what, script) in STEPS {
        let script = format!("exec 2>&1; set -eux\n{script}\n: all of it was done");
        let said = bench.ssh_within(&address, &script, LIMIT_SECONDS).context(what)?;
        ensure!(said.contains("all of it was done"), "{what}: {said}");
        bench.event(member, what);
    }
    Ok(())
}
