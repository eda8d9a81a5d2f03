//! A site with IPv6 alone whose own DHCP server gives the addresses: Kea, then ISC dhcpd. The daemon writes their files, sends machines to
//! them by its router advertisements, and serves what they fetch.

use std::fs;

use anyhow::{Result, ensure};
use perilune_testkit::process::wait_for;
use perilune_testkit::{Limit, Machine, Stop, services};

use super::ipv6::{self, CONTROLLER};
use super::node::Node;
use super::on_site;
use crate::build::Programs;
use crate::cluster::CommandLine;
use crate::daemon::Daemon;
use crate::follow::{Boot, Follower};
use crate::image::Image;
use crate::lifecycle;
use crate::output::Output;
use crate::scenario::{self, Member};
use crate::site::Site;

/// How long the daemon may take to write files, and to have a server read them.
const LIMIT_SECONDS: u64 = 60;
/// Firmware asks several times at once under several names, for which no server but ours has one address: the others are of the range.
const RANGE: [&str; 6] = [
    "--dhcp-nodes-only",
    "no",
    "--dhcp-range-begin",
    "fd00:141::1000",
    "--dhcp-range-end",
    "fd00:141::1fff",
];

/// One server, and the machine that it starts.
struct Server {
    unit: &'static str,
    member: Member,
    /// How it knows the machine when it boots again.
    knows: &'static str,
}

pub(super) fn run(programs: &Programs, image: &Image, output: &Output, stop: &Stop) -> Result<()> {
    let member = |number, address| scenario::in_memory_by_own_firmware(number).at(address);
    let kea = Server {
        unit: "kea-dhcp6",
        member: member(53, "fd00:141::53").with_a_makers_card(),
        knows: "00:16:3e:00:00:35",
    };
    // It does not see the card of a machine that shows its number, until the machine has told the number to the daemon.
    let dhcpd = Server {
        unit: "dhcpd6",
        member: member(54, "fd00:141::54"),
        knows: "00:04:4c:49:52:50:4e:55:00:45:80:00:00:00:00:00:00:36",
    };
    for server in [kea, dhcpd] {
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
    let site = Site::create_at(&[&ipv6::with_prefix()])?;
    let mut daemon = Daemon::start_at(&[CONTROLLER], &site, programs, output, stop)?;
    let described = {
        let perilune = CommandLine { site: &site, daemon: &daemon, output, stop };
        describe(&perilune, image, server)
    };
    let key =
        described.map_err(|error| lifecycle::explain_failure(&site, &daemon, output, error))?;
    let directory = site.path("servers");
    let configuration = services::in_directory(&directory, &[("DHCP6", server.unit)])?;
    daemon.leave_dhcp(&configuration, &site, stop)?;
    let perilune = CommandLine { site: &site, daemon: &daemon, output, stop };
    let test = || -> Result<()> {
        perilune.perilune(&["service", "restart", "dhcp6"])?;
        named(&perilune, server, &server.member.mac_address)?;
        on_site(&perilune, &key, |bench| boot(bench, server))
    };
    test().map_err(|error| {
        let log = fs::read_to_string(directory.join(format!("{}.log", server.unit)));
        let log = crate::daemon::tail(&log.unwrap_or_default(), 40);
        let error = error.context(format!("{}:\n{log}", server.unit));
        lifecycle::explain_failure(&site, &daemon, output, error)
    })
}

fn describe(perilune: &CommandLine<'_>, image: &Image, server: &Server) -> Result<String> {
    let key = ipv6::describe(perilune, image)?;
    perilune.perilune(&[&["network", "change", "cluster"], &RANGE[..]].concat())?;
    perilune.add(&server.member)?;
    Ok(key)
}

/// Waits until the server's file names a machine so.
fn named(perilune: &CommandLine<'_>, server: &Server, by: &str) -> Result<()> {
    let file = perilune.site.path("servers").join(format!("{}.conf", server.unit));
    let is_written = || {
        let text = fs::read_to_string(&file).unwrap_or_default().to_lowercase();
        text.contains(by).then_some(())
    };
    let limit = Limit::seconds(LIMIT_SECONDS).unless(perilune.stop);
    ensure!(wait_for(&limit, is_written)?.is_some(), "{} does not name {by}", file.display());
    perilune.perilune(&["service", "status", "dhcp6"]).map(drop)
}

fn boot(bench: &Follower<'_>, server: &Server) -> Result<()> {
    let node = Node { bench, member: server.member.clone() };
    let machine = node.start()?;
    let seen = running(&node, &machine, server);
    node.explained(&machine, seen)?;
    machine.power_off();
    Ok(())
}

fn running(node: &Node<'_>, machine: &Machine, server: &Server) -> Result<()> {
    let Node { bench, member } = node;
    let first = node.installed(None)?;
    let log = bench.perilune.daemon.log();
    ensure!(!log.contains("by DHCPv6"), "the daemon answered DHCPv6 as well");
    ensure!(!machine.console().contains("10.141."), "IPv4 was used");
    bench.event(member, &format!("runs, started by {}", server.unit));
    named(bench.perilune, server, server.knows)?;
    node.reset(machine, &first, Boot::Network)?;
    bench.event(member, &format!("runs again; {} knows it by {}", server.unit, server.knows));
    Ok(())
}
