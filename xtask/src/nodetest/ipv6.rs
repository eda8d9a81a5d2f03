//! A site without IPv4: UEFI's own firmware asks DHCPv6, fetches iPXE by TFTP, and the node runs, all by IPv6.

use anyhow::{Context, Result, ensure};
use perilune_testkit::{Machine, Stop, machine};

use super::node::Node;
use crate::api::Api;
use crate::build::Programs;
use crate::cluster::CommandLine;
use crate::daemon::Daemon;
use crate::follow::{Boot, Follower};
use crate::image::Image;
use crate::lifecycle;
use crate::output::Output;
use crate::report::Timeline;
use crate::scenario;
use crate::site::Site;

const CONTROLLER: &str = "fd00:141::fe";
const NETWORK: &str = "fd00:141::/64";
const ADDRESS: &str = "fd00:141::47";

pub(super) fn run(programs: &Programs, image: &Image, output: &Output, stop: &Stop) -> Result<()> {
    let site = Site::create_at(&format!("{CONTROLLER}/64"))?;
    let daemon = Daemon::start_at(&format!("[{CONTROLLER}]"), &site, programs, output, stop)?;
    let perilune = CommandLine { site: &site, daemon: &daemon, output, stop };
    let test = || -> Result<()> {
        let key = describe(&perilune, image)?;
        let accelerator = machine::accelerator();
        let tested = site.lab.inside(|| {
            let api = Api::login(&daemon.configuration())?;
            boot(&Follower { perilune: &perilune, api: &api, accelerator, key: &key })
        });
        tested.context("no thread in the lab").flatten()
    };
    test().map_err(|error| lifecycle::explain_failure(&site, &daemon, output, error))
}

fn describe(perilune: &CommandLine<'_>, image: &Image) -> Result<String> {
    let network = ["network", "add", "cluster", "--network", NETWORK];
    perilune.perilune(&[&network[..], &["--dhcp-nodes-only", "yes", "--dhcp", "yes"]].concat())?;
    let controller = ["--controller", CONTROLLER, "--controller-network", "cluster"];
    perilune.perilune(&[&["cluster", "change"], &controller[..]].concat())?;
    let (key, public_key) = lifecycle::make_key(perilune.site)?;
    perilune.describe_image(image, &public_key)?;
    Ok(key)
}

fn boot(bench: &Follower<'_>) -> Result<()> {
    let member = scenario::in_memory_by_own_firmware(47);
    let (name, mac) = (member.name.as_str(), member.mac_address.as_str());
    let words = ["node", "add", name, "--group", member.group(), "--mac", mac, "--ip", ADDRESS];
    bench.perilune.perilune(&words)?;
    let node = Node { bench, member };
    let machine = node.start()?;
    let seen = running(&node, &machine);
    node.explained(&machine, seen)?;
    machine.power_off();
    Ok(())
}

fn running(node: &Node<'_>, machine: &Machine) -> Result<()> {
    let Node { bench, member } = node;
    bench.follow_install(member, &mut Timeline::new())?;
    let facts = bench.wait_for_node(member, ADDRESS, None)?;
    facts.check(member, ADDRESS, Boot::Network)?;
    let (log, console) = (bench.perilune.daemon.log(), machine.console());
    ensure!(log.contains("DHCPv6") && log.contains(ADDRESS), "it was not served by DHCPv6");
    ensure!(!log.contains("answer=\"ack\"") && !console.contains("10.141."), "IPv4 was used");
    bench.event(member, "runs, and nobody has an IPv4 address");
    Ok(())
}
