//! A site whose own DHCP server goes on: ISC dhcpd and Kea, by IPv4 or by IPv6 alone. The daemon writes their files, serves what machines
//! fetch, by IPv6 sends machines to them by its router advertisements, and machines that are started by them are the nodes that were
//! described.

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

/// What machines ask their server by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// One server, and the machine that it starts.
struct Server {
    family: Family,
    unit: &'static str,
    member: Member,
    /// How it knows the machine when it boots again, where that is looked at.
    knows: Option<&'static str>,
}

pub(super) fn run(programs: &Programs, image: &Image, output: &Output, stop: &Stop) -> Result<()> {
    let server = |unit, member| Server { family: Family::V4, unit, member, knows: None };
    let servers = [
        server("dhcpd", scenario::in_memory(51)),
        server("kea-dhcp4", scenario::in_memory_by_own_firmware(52)),
        server("dhcpd", scenario::in_memory_by_http(55)),
        server("kea-dhcp4", scenario::in_memory_by_http(56)),
    ];
    boot_by_all(&servers, (programs, image), output, stop)
}

pub(super) fn run_by_ipv6(
    programs: &Programs,
    image: &Image,
    output: &Output,
    stop: &Stop,
) -> Result<()> {
    let member = |number, address| scenario::in_memory_by_own_firmware(number).at(address);
    let kea = Server {
        family: Family::V6,
        unit: "kea-dhcp6",
        member: member(53, "fd00:141::53").with_a_makers_card(),
        knows: Some("00:16:3e:00:00:35"),
    };
    // It does not see the card of a machine that shows its number, until the machine has told the number to the daemon.
    let dhcpd = Server {
        family: Family::V6,
        unit: "dhcpd6",
        member: member(54, "fd00:141::54"),
        knows: Some("00:04:4c:49:52:50:4e:55:00:45:80:00:00:00:00:00:00:36"),
    };
    boot_by_all(&[kea, dhcpd], (programs, image), output, stop)
}

fn boot_by_all(
    servers: &[Server],
    made: (&Programs, &Image),
    output: &Output,
    stop: &Stop,
) -> Result<()> {
    servers.iter().try_for_each(|server| {
        output.step(&format!("{}, {}", server.unit, server.member.name));
        boot_by(server, made, output, stop)
    })
}

impl Server {
    /// The key of its service in the configuration, and its name on the command line.
    fn service(&self) -> (&'static str, &'static str) {
        match self.family {
            Family::V4 => ("DHCP", "dhcp"),
            Family::V6 => ("DHCP6", "dhcp6"),
        }
    }
}

fn boot_by(
    server: &Server,
    (programs, image): (&Programs, &Image),
    output: &Output,
    stop: &Stop,
) -> Result<()> {
    let (site, mut daemon) = match server.family {
        Family::V4 => {
            let site = Site::create()?;
            let daemon = Daemon::start(&site, programs, output, stop)?;
            (site, daemon)
        }
        Family::V6 => {
            let site = Site::create_at(&[&ipv6::with_prefix()])?;
            let daemon = Daemon::start_at(&[CONTROLLER], &site, programs, output, stop)?;
            (site, daemon)
        }
    };
    let described = {
        let perilune = CommandLine { site: &site, daemon: &daemon, output, stop };
        describe(&perilune, image, server)
    };
    let key =
        described.map_err(|error| lifecycle::explain_failure(&site, &daemon, output, error))?;
    let directory = site.path("servers");
    let (own, name) = server.service();
    let configuration = services::in_directory(&directory, &[(own, server.unit)])?;
    daemon.leave_dhcp(&configuration, &site, stop)?;
    let perilune = CommandLine { site: &site, daemon: &daemon, output, stop };
    let test = || -> Result<()> {
        perilune.perilune(&["service", "restart", name])?;
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
    if server.family == Family::V4 {
        return lifecycle::describe(perilune, image, std::slice::from_ref(&server.member));
    }
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
    perilune.perilune(&["service", "status", server.service().1]).map(drop)
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
    // The daemon has served since it was started anew, without DHCP: who else gave the address?
    let log = bench.perilune.daemon.log();
    let answer = if server.family == Family::V4 { "answer=\"ack\"" } else { "by DHCPv6" };
    ensure!(!log.contains(answer), "the daemon answered DHCP as well");
    bench.event(member, &format!("runs, started by {}", server.unit));
    if server.family == Family::V6 {
        ensure!(!machine.console().contains("10.141."), "IPv4 was used");
    }
    let Some(knows) = server.knows else { return Ok(()) };
    named(bench.perilune, server, knows)?;
    node.reset(machine, &first, Boot::Network)?;
    bench.event(member, &format!("runs again; {} knows it by {knows}", server.unit));
    Ok(())
}
