//! Sites with IPv6: without IPv4, where UEFI's own firmware asks DHCPv6 and fetches iPXE by TFTP, and a node runs from memory and another is
//! installed to its disk; and beside IPv4, where a node has both.

use anyhow::{Context as _, Result, ensure};
use perilune_testkit::machine::Firmware;
use perilune_testkit::{Machine, Stop};

use super::node::Node;
use super::on_site;
use crate::build::Programs;
use crate::cluster::CommandLine;
use crate::daemon::{self, Daemon};
use crate::follow::{Boot, Follower};
use crate::image::Image;
use crate::lifecycle;
use crate::output::Output;
use crate::scenario::{self, Member, Root};
use crate::site::{self, Site};

pub(super) const CONTROLLER: &str = "fd00:141::fe";
const NETWORK: &str = "fd00:141::/64";
/// Of the nodes that have it alone.
const ALONE: [&str; 2] = ["fd00:141::47", "fd00:141::48"];
/// Of the node that has an IPv4 address, too.
const BESIDE: &str = "fd00:141::49";

pub(super) fn run(programs: &Programs, image: &Image, output: &Output, stop: &Stop) -> Result<()> {
    let site = Site::create_at(&[&with_prefix()])?;
    let daemon = Daemon::start_at(&[CONTROLLER], &site, programs, output, stop)?;
    let perilune = CommandLine { site: &site, daemon: &daemon, output, stop };
    let test = || -> Result<()> {
        let key = describe(&perilune, image)?;
        let members = [
            scenario::in_memory_by_own_firmware(47),
            scenario::on_disk(48, Firmware::UefiWithoutRom),
        ];
        let members = members.into_iter().zip(ALONE).map(|(member, address)| member.at(address));
        on_site(&perilune, &key, |bench| {
            members.clone().try_for_each(|member| boot_alone(bench, member))
        })
    };
    test().map_err(|error| lifecycle::explain_failure(&site, &daemon, output, error))
}

/// The same machine on a site that has both.
pub(super) fn run_beside_ipv4(
    programs: &Programs,
    image: &Image,
    output: &Output,
    stop: &Stop,
) -> Result<()> {
    let site = Site::create_at(&[site::CONTROLLER_WITH_PREFIX, &with_prefix()])?;
    let both = [site::CONTROLLER, CONTROLLER];
    let daemon = Daemon::start_at(&both, &site, programs, output, stop)?;
    let perilune = CommandLine { site: &site, daemon: &daemon, output, stop };
    let test = || -> Result<()> {
        let key = lifecycle::describe(&perilune, image, &[])?;
        perilune.perilune(&["network", "change", "cluster", "--network", NETWORK])?;
        perilune.perilune(&["controller", "list"])?;
        on_site(&perilune, &key, boot_with_both)
    };
    test().map_err(|error| lifecycle::explain_failure(&site, &daemon, output, error))
}

pub(super) fn with_prefix() -> String {
    format!("{CONTROLLER}/64")
}

/// Describes a cluster with IPv6 alone. Answers the file of the key that nodes let in.
pub(super) fn describe(perilune: &CommandLine<'_>, image: &Image) -> Result<String> {
    let network = ["network", "add", "cluster", "--network", NETWORK];
    perilune.perilune(&[&network[..], &["--dhcp-nodes-only", "yes", "--dhcp", "yes"]].concat())?;
    let controller = ["--controller", CONTROLLER, "--controller-network", "cluster"];
    perilune.perilune(&[&["cluster", "change"], &controller[..]].concat())?;
    let (key, public_key) = lifecycle::make_key(perilune.site)?;
    perilune.describe_image(image, &public_key)?;
    Ok(key)
}

fn boot_alone(bench: &Follower<'_>, member: Member) -> Result<()> {
    let node = Node { bench, member };
    node.describe()?;
    let machine = node.start()?;
    let seen = running(&node, &machine);
    node.explained(&machine, seen)?;
    machine.power_off();
    Ok(())
}

fn running(node: &Node<'_>, machine: &Machine) -> Result<()> {
    let Node { bench, member } = node;
    let first = node.installed(None)?;
    let (log, console) = (bench.perilune.daemon.log(), machine.console());
    ensure!(log.contains("DHCPv6") && log.contains(&member.address()), "DHCPv6 did not serve it");
    ensure!(!log.contains("answer=\"ack\"") && !console.contains("10.141."), "IPv4 was used");
    bench.event(member, "runs, and nobody has an IPv4 address");
    if member.root == Root::Disk {
        node.reset(machine, &first, Boot::Disk)?;
        bench.event(member, "runs from its own disk");
    }
    Ok(())
}

fn boot_with_both(bench: &Follower<'_>) -> Result<()> {
    let node = Node { bench, member: scenario::in_memory_by_own_firmware(49) };
    bench.perilune.add(&node.member)?;
    let second = format!("BOOTIF,ipaddress={BESIDE}");
    bench.perilune.perilune(&["node", "change", &node.member.name, "--interface", &second])?;
    let machine = node.start()?;
    let seen = has_both(&node);
    node.explained(&machine, seen)?;
    machine.power_off();
    Ok(())
}

fn has_both(node: &Node<'_>) -> Result<()> {
    let Node { bench, member } = node;
    node.installed(None)?;
    let by_ipv6 = bench.wait_for_node(member, BESIDE, None)?;
    by_ipv6.check(member, BESIDE, Boot::Network)?;
    // Each family reaches the controller.
    for address in [site::CONTROLLER, CONTROLLER] {
        let port = daemon::PORT;
        node.ssh(&format!("timeout 20 bash -c '</dev/tcp/{address}/{port}'"))
            .with_context(|| format!("{address} is not reached"))?;
    }
    let routes = node.ssh("ip -4 route; ip -6 route")?;
    ensure!(routes.contains("10.141.0.0/16") && routes.contains(NETWORK), "routes: {routes}");
    bench.event(member, "runs with an address of each family");
    Ok(())
}
