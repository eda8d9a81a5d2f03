//! What requests about interfaces say.

use perilune_model::interface::{LinkRequest, NotANumbering, Numbering, of_group, of_node};
use perilune_model::{MacAddress, Name, NotAMacAddress, Patch};

use crate::fields::Fields;

/// What the interfaces of a request are.
pub(crate) const INTERFACES: &str = "An interface, such as BMC,network=ipmi";

/// Free text.
pub(crate) fn comment(fields: &mut Fields<'_>) -> Patch<String> {
    fields.help("A note").encoded().text("comment")
}

/// Interfaces of a node, in a request that is about nothing else.
pub fn node_interfaces(fields: &mut Fields<'_>) -> Vec<of_node::Request> {
    interfaces(fields, node_interface)
}

/// Interfaces of a group, likewise.
pub fn group_interfaces(fields: &mut Fields<'_>) -> Vec<of_group::Request> {
    interfaces(fields, group_interface)
}

pub(crate) fn interfaces<'a, T>(fields: &mut Fields<'a>, read: fn(&mut Fields<'a>) -> T) -> Vec<T> {
    fields.ignore(&["name"]);
    fields.require("interfaces", "give a list of interfaces");
    fields.objects("interfaces", read).unwrap_or_default()
}

/// The request of a node's interface.
pub fn node_interface(fields: &mut Fields<'_>) -> of_node::Request {
    // What answers say of DHCP, and who sends an answer back sends, too.
    fields.ignore(&["comment"]);
    of_node::Request {
        interface: interface_name(fields),
        new_name: fields.new_name("newinterfacename", Name::interface),
        network: network(fields),
        ipaddress: match fields
            .help("Its IPv4 or IPv6 address (nodes only)")
            .or("ip")
            .address("ipaddress")
        {
            Patch::Keep => None,
            Patch::Set(address) => Some(address),
            Patch::Clear => {
                fields.refuse("ipaddress", "it is empty; give an address, or remove the interface");
                None
            }
        },
        macaddress: hardware_address(fields.help("Its MAC address (nodes only)")),
        dhcp: dhcp(fields),
        force: fields.flag("force"),
        link: link(fields),
    }
}

/// The hardware address of an interface.
pub(crate) fn hardware_address(fields: &mut Fields<'_>) -> Patch<MacAddress> {
    fields.or("mac").converted("macaddress", |text| {
        let address: MacAddress =
            text.parse().map_err(|error: NotAMacAddress| error.to_string())?;
        address.of_one_machine().map_err(|error| error.to_string())
    })
}

/// The request of a group's interface.
pub fn group_interface(fields: &mut Fields<'_>) -> of_group::Request {
    fields.ignore(&["macaddress", "ipaddress", "force", "comment"]);
    of_group::Request {
        interface: interface_name(fields),
        new_name: fields.new_name("newinterfacename", Name::interface),
        network: network(fields),
        dhcp: dhcp(fields),
        numbering: numbering(fields.help(
            "How nodes get their addresses: first, first+100, like BOOTIF, like BOOTIF+100 (groups only)",
        )),
        link: link(fields),
    }
}

/// How addresses are made.
pub(crate) fn numbering(fields: &mut Fields<'_>) -> Patch<Numbering> {
    fields.converted("addressing", |text| {
        text.parse().map_err(|error: NotANumbering| error.to_string())
    })
}

fn interface_name(fields: &mut Fields<'_>) -> Name {
    fields.require("interface", "say which interface this is about, such as BOOTIF");
    fields.new_name("interface", Name::interface).unwrap_or_default()
}

fn network(fields: &mut Fields<'_>) -> Option<Name> {
    fields
        .help("The network it is in; an address is chosen if none is given")
        .of("network")
        .new_name("network", Name::domain)
}

fn dhcp(fields: &mut Fields<'_>) -> Option<bool> {
    decided(fields.help("Ask for an address instead of having a fixed one"), "dhcp")
}

fn decided(fields: &mut Fields<'_>, field: &str) -> Option<bool> {
    match fields.boolean(field) {
        Patch::Keep => None,
        Patch::Set(value) => Some(value),
        Patch::Clear => {
            fields.refuse(field, "it must be true or false");
            None
        }
    }
}

fn link(fields: &mut Fields<'_>) -> LinkRequest {
    LinkRequest {
        mtu: fields.help("68 to 65535").number("mtu"),
        vlanid: fields.help("VLAN number").number("vlanid"),
        vlan_parent: fields.help("The interface that carries the VLAN").text("vlan_parent"),
        bond_mode: fields.help("balance-rr, active-backup, 802.3ad, …").text("bond_mode"),
        bond_slaves: fields.help("Interfaces of the bond, separated by commas").list("bond_slaves"),
        options: fields
            .help("Lines for the network configuration of the image")
            .encoded()
            .text("options"),
    }
}
