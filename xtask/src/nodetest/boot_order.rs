//! The firmware's own list: one entry of ours, where the site wants it, however often the node is installed.

use anyhow::{Context, Result, ensure};
use perilune_testkit::Machine;
use perilune_testkit::machine::{Description, Firmware};

use super::node::Node;
use crate::follow::{Boot, Follower};
use crate::scenario;

pub(super) fn test(bench: &Follower<'_>) -> Result<()> {
    let node = Node { bench, member: scenario::on_disk(41, Firmware::UefiWithoutRom) };
    node.describe()?;
    let name = node.member.name.as_str();
    // By this policy a boot from the network is an installation: what starts first is seen.
    let change = ["node", "change", name, "--install-policy", "always"];
    bench.perilune.perilune(&[change.as_slice(), &["--boot-order", "disk"]].concat())?;
    let site = bench.perilune.site;
    let description = Description { network_first: false, ..bench.description(&node.member, None) };
    bench.event(&node.member, "switched on; the firmware's own list counts");
    let machine = Machine::start(&site.lab, &description, site.directory.path())?;
    node.explained(&machine, see_through(&node, &machine))?;
    machine.power_off();
    Ok(())
}

fn see_through(node: &Node<'_>, machine: &Machine) -> Result<()> {
    let Node { bench, member } = node;
    let first = node.installed(None)?;
    let list = List::of(node)?;
    ensure!(list.ours.len() == 1 && list.order.first() == list.ours.first(), "{list:?}");
    let second = node.reset(machine, &first, Boot::Disk)?;
    bench.event(member, "the disk comes first");

    let change = ["node", "change", &member.name, "--boot-order", "network"];
    bench.perilune.perilune(&change)?;
    // Once, from where it comes next.
    let network = list.network.first().context("the firmware has no entry of the network")?;
    node.ssh(&format!("efibootmgr --quiet --bootnext {network}; sync"))?;
    machine.reset()?;
    let third = node.installed(Some(&second))?;
    let again = List::of(node)?;
    ensure!(again.ours == list.ours, "another entry was made: {again:?}");
    let place = |number: &String| again.order.iter().position(|other| other == number);
    let ours = again.ours.first().and_then(place);
    ensure!(ours.is_some() && again.network.iter().all(|other| place(other) < ours), "{again:?}");
    bench.ssh(&member.address(), "touch /root/of-the-former-installation; sync")?;
    machine.reset()?;
    node.installed(Some(&third))?;
    bench.event(member, "the network comes first, and the entry is the same");
    Ok(())
}

/// What `efibootmgr` shows.
#[derive(Debug, Default, PartialEq, Eq)]
struct List {
    order: Vec<String>,
    ours: Vec<String>,
    network: Vec<String>,
}

impl List {
    fn of(node: &Node<'_>) -> Result<Self> {
        Ok(Self::parse(&node.ssh("efibootmgr -v")?))
    }

    fn parse(text: &str) -> Self {
        let mut list = Self::default();
        for line in text.lines() {
            if let Some(order) = line.strip_prefix("BootOrder: ") {
                list.order = order.trim().split(',').map(str::to_owned).collect();
            }
            let Some((number, rest)) =
                line.strip_prefix("Boot").and_then(|line| line.split_once("* "))
            else {
                continue;
            };
            if rest.starts_with("Perilune") {
                list.ours.push(number.to_owned());
            } else if rest.contains("/MAC(") {
                list.network.push(number.to_owned());
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_firmware_is_read() {
        let text = "BootCurrent: 0003\nTimeout: 0 seconds\nBootOrder: 0004,0003\n\
            Boot0003* UEFI PXEv4 (MAC:525400000029)\tPciRoot(0x0)/Pci(0x2,0x0)/MAC(525400000029,1)/IPv4(0.0.0.0)N.....YM\n\
            Boot0004* Perilune\tHD(2,GPT,x,0x1000,0x80000)/File(\\EFI\\BOOT\\BOOTX64.EFI)\n";
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let expected = List {
            order: words(&["0004", "0003"]),
            ours: words(&["0004"]),
            network: words(&["0003"]),
        };
        assert_eq!(List::parse(text), expected);
    }
}
