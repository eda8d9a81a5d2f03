//! Two machines that are installed at the same time fetch their image by BitTorrent, one into memory and one to its disk, while the
//! daemon is killed once.

use anyhow::{Result, ensure};
use perilune_testkit::machine::Firmware;
use perilune_testkit::{Machine, Stop};

use super::node::Node;
use super::on_site;
use crate::build::Programs;
use crate::cluster::CommandLine;
use crate::daemon::Daemon;
use crate::follow::{Boot, Follower};
use crate::image::Image;
use crate::lifecycle;
use crate::output::Output;
use crate::report::Timeline;
use crate::scenario::{self, Member};
use crate::site::Site;

/// What an agent says when all has come by pieces, and when it has not.
const BY_PIECES: &str = "from other nodes";
const OTHERWISE: [&str; 2] = ["is not fetched from other nodes", "does not come from other nodes"];

pub(super) fn run(programs: &Programs, image: &Image, output: &Output, stop: &Stop) -> Result<()> {
    let site = Site::create()?;
    let daemon = Daemon::start(&site, programs, output, stop)?;
    let perilune = CommandLine { site: &site, daemon: &daemon, output, stop };
    let test = || -> Result<()> {
        daemon.configure("[TORRENT]\nENABLED = yes\n", &site, stop)?;
        let members = [scenario::in_memory(55), scenario::on_disk(56, Firmware::Bios)];
        let key = lifecycle::describe(&perilune, image, &members)?;
        for group in ["ram", "disk"] {
            perilune.perilune(&["group", "change", group, "--provision-method", "torrent"])?;
        }
        on_site(&perilune, &key, |bench| boot(bench, &members))
    };
    test().map_err(|error| lifecycle::explain_failure(&site, &daemon, output, error))
}

fn boot(bench: &Follower<'_>, members: &[Member]) -> Result<()> {
    let nodes = members.iter().map(|member| Node { bench, member: member.clone() });
    let running = nodes.map(|node| Ok((node.start()?, node))).collect::<Result<Vec<_>>>()?;
    for (machine, node) in &running {
        node.explained(machine, by_pieces(node, machine))?;
    }
    Ok(())
}

fn by_pieces(node: &Node<'_>, machine: &Machine) -> Result<()> {
    let Node { bench, member } = node;
    // The other one may be done already, too.
    bench.follow_install(member, &mut Timeline::new())?;
    let facts = bench.wait_for_node(member, &member.address(), None)?;
    facts.check(member, &member.address(), Boot::Network)?;
    // A serial console breaks lines anywhere.
    let console = machine.console().replace(['\r', '\n'], "");
    for words in OTHERWISE {
        ensure!(!console.contains(words), "its image {words}");
    }
    ensure!(console.contains(BY_PIECES), "its console does not say where its image came from");
    bench.event(member, "runs, and its image came by pieces");
    Ok(())
}
