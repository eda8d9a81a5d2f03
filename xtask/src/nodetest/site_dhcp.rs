//! A site whose own DHCP server goes on: ISC dhcpd, then Kea. The daemon writes their files, and machines that are started by them are the
//! nodes that were described.

use std::fs;

use anyhow::{Result, ensure};
use perilune_testkit::process::wait_for;
use perilune_testkit::{Limit, Stop, services};

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

/// How long the daemon may take to write files and to start a server.
const LIMIT_SECONDS: u64 = 60;

/// One server, and the machine that it starts.
struct Server {
    unit: &'static str,
    member: Member,
}

pub(super) fn run(programs: &Programs, image: &Image, output: &Output, stop: &Stop) -> Result<()> {
    let server = |unit, member| Server { unit, member };
    for server in [
        server("dhcpd", scenario::in_memory(51)),
        server("kea-dhcp4", scenario::in_memory_by_own_firmware(52)),
        server("dhcpd", scenario::in_memory_by_http(55)),
        server("kea-dhcp4", scenario::in_memory_by_http(56)),
    ] {
        output.step(server.unit);
        boot_by(&server, (programs, image), output, stop)?;
    }
    Ok(())
}

fn boot_by(
    server: &Server,
    (programs, image): (&Programs, &Image),
    output: &Output,
    stop: &Stop,
) -> Result<()> {
    let site = Site::create()?;
    let mut daemon = Daemon::start(&site, programs, output, stop)?;
    let described = {
        let perilune = CommandLine { site: &site, daemon: &daemon, output, stop };
        lifecycle::describe(&perilune, image, std::slice::from_ref(&server.member))
    };
    let key =
        described.map_err(|error| lifecycle::explain_failure(&site, &daemon, output, error))?;
    let directory = site.path("servers");
    let configuration = services::in_directory(&directory, &[("DHCP", server.unit)])?;
    daemon.leave_dhcp(&configuration, &site, stop)?;
    let perilune = CommandLine { site: &site, daemon: &daemon, output, stop };
    let test = || -> Result<()> {
        serves(&perilune, server)?;
        on_site(&perilune, &key, |bench| boot(bench, server))
    };
    test().map_err(|error| lifecycle::explain_failure(&site, &daemon, output, error))
}

/// Waits until the server runs with the files of the cluster.
fn serves(perilune: &CommandLine<'_>, server: &Server) -> Result<()> {
    perilune.perilune(&["service", "restart", "dhcp"])?;
    let file = perilune.site.path("servers").join(format!("{}.conf", server.unit));
    let mac = server.member.mac_address.as_str();
    let is_written = || {
        let text = fs::read_to_string(&file).unwrap_or_default().to_lowercase();
        text.contains(mac).then_some(())
    };
    let limit = Limit::seconds(LIMIT_SECONDS).unless(perilune.stop);
    ensure!(wait_for(&limit, is_written)?.is_some(), "{} does not name {mac}", file.display());
    perilune.perilune(&["service", "status", "dhcp"]).map(drop)
}

fn boot(bench: &Follower<'_>, server: &Server) -> Result<()> {
    let node = Node { bench, member: server.member.clone() };
    let machine = node.start()?;
    let seen = running(&node, server);
    node.explained(&machine, seen)?;
    machine.power_off();
    Ok(())
}

fn running(node: &Node<'_>, server: &Server) -> Result<()> {
    let Node { bench, member } = node;
    bench.follow_install(member, &mut Timeline::new())?;
    let address = member.address();
    let facts = bench.wait_for_node(member, &address, None)?;
    facts.check(member, &address, Boot::Network)?;
    // The daemon has served since it was started anew, without DHCP: who else gave the address?
    let log = bench.perilune.daemon.log();
    ensure!(!log.contains("answer=\"ack\""), "the daemon answered DHCP as well");
    bench.event(member, &format!("runs, started by {}", server.unit));
    Ok(())
}
