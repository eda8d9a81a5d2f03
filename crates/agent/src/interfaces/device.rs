//! The interfaces of a plan, put in order: which device each one is, what it carries, and what belongs to it.

mod route;

use std::net::IpAddr;

use ipnet::IpNet;
use perilune_plan::{Interface, Plan};
use route::Route;

use crate::console::Console;
use crate::mac::MacAddress;

/// All that is written about a node's network.
pub(super) struct Network<'a> {
    pub(super) devices: Vec<Device<'a>>,
    pub(super) nameservers: &'a [IpAddr],
    pub(super) search: &'a [String],
}

/// One interface.
pub(super) struct Device<'a> {
    pub(super) interface: &'a Interface,
    pub(super) kind: Kind<'a>,
    pub(super) matched: Match,
    /// The port of InfiniBand that it is, where that is known.
    pub(super) guid: Option<[u8; 8]>,
    pub(super) addresses: Vec<IpNet>,
    /// Static routes of families that it has addresses of.
    pub(super) routes: Vec<Route>,
    /// The machine boots from it, or from a part of it; name servers are reached through it.
    pub(super) is_boot: bool,
    /// The bond that it is a part of.
    pub(super) bond: Option<String>,
    /// The names of the VLANs that it carries.
    pub(super) vlans: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Ethernet,
    Infiniband,
    Vlan { id: u16, parent: String },
    Bond { mode: &'a str, parts: Vec<String> },
}

/// How a device is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    Mac(MacAddress),
    /// By its name, which is the interface's.
    Name,
}

/// What the kernel allows.
const LONGEST_NAME: usize = 15;
/// The name of the boot interface, where it needs one and the cluster's is no name of a device.
const BOOT_NAME: &str = "boot0";
const DEFAULT_BOND_MODE: &str = "active-backup";
/// The modes of the kernel's bonding driver, in the order of their numbers.
const BOND_MODES: [&str; 7] = [
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "802.3ad",
    "balance-tlb",
    "balance-alb",
];

impl<'a> Network<'a> {
    pub(super) fn of(plan: &'a Plan, boot: MacAddress, console: &Console) -> Self {
        let mut devices: Vec<Device<'a>> = plan
            .interfaces
            .iter()
            .filter(|interface| is_name(&interface.name, console))
            .map(|interface| {
                Device::of(interface, interface.name == plan.boot_interface, boot, console)
            })
            .collect();
        let mut moved: Vec<(String, Vec<Route>)> = Vec::new();
        let belongings: Vec<(String, Kind<'a>)> = devices
            .iter()
            .map(|device| (device.system_name().to_owned(), device.kind.clone()))
            .collect();
        for device in &mut devices {
            // The bond of the card that the machine boots from is what the node is reached by.
            if let Kind::Bond { parts, .. } = &device.kind
                && parts.iter().any(|part| is_boot_name(part, plan))
            {
                device.is_boot = true;
            }
            let names = [device.interface.name.as_str(), device.system_name()].map(str::to_owned);
            for (other, kind) in &belongings {
                match kind {
                    Kind::Bond { parts, .. } if parts.iter().any(|part| names.contains(part)) => {
                        device.bond = Some(other.clone());
                        // The addresses, routes and name servers belong to the bond.
                        device.addresses.clear();
                        moved.push((other.clone(), std::mem::take(&mut device.routes)));
                        device.is_boot = false;
                    }
                    Kind::Vlan { parent, .. } if names.contains(parent) => {
                        device.vlans.push(other.clone());
                    }
                    _ => {}
                }
            }
        }
        for device in &mut devices {
            let name = device.system_name().to_owned();
            let own = moved.iter_mut().filter(|(bond, _)| *bond == name);
            device.routes.extend(own.flat_map(|(_, routes)| std::mem::take(routes)));
            device.keep_possible_routes(console);
        }
        Self { devices, nameservers: &plan.nameservers, search: &plan.search }
    }

    /// The name by which the system knows what the cluster calls `name`.
    pub(super) fn system_name<'n>(&'n self, name: &'n str) -> &'n str {
        let found = self.devices.iter().find(|device| device.interface.name == name);
        found.map_or(name, |device| device.system_name())
    }

    /// Parts of a bond that are not interfaces of the cluster.
    pub(super) fn unlisted_parts<'n>(&self, device: &'n Device<'_>) -> Vec<&'n str> {
        let Kind::Bond { parts, .. } = &device.kind else { return Vec::new() };
        let is_listed = |part: &str| {
            self.devices
                .iter()
                .any(|other| other.interface.name == part || other.system_name() == part)
        };
        parts.iter().map(String::as_str).filter(|part| is_word(part) && !is_listed(part)).collect()
    }
}

impl<'a> Device<'a> {
    fn of(interface: &'a Interface, is_boot: bool, boot: MacAddress, console: &Console) -> Self {
        let kind =
            match (interface.vlanid, &interface.vlan_parent, interface.bond_slaves.as_slice()) {
                (Some(id), Some(parent), _) if !parent.is_empty() => {
                    Kind::Vlan { id, parent: parent.clone() }
                }
                (_, _, parts) if !parts.is_empty() => {
                    let mode = interface.bond_mode.as_deref().unwrap_or_default();
                    Kind::Bond { mode: bond_mode(mode), parts: parts.to_vec() }
                }
                _ if interface.kind == "infiniband" => Kind::Infiniband,
                _ => Kind::Ethernet,
            };
        let is_hardware = matches!(kind, Kind::Ethernet | Kind::Infiniband);
        let own =
            interface.mac.as_deref().and_then(|mac| mac.parse().ok()).or(is_boot.then_some(boot));
        let own: Option<MacAddress> = own;
        let guid = own.and_then(|own| own.guid()).filter(|_| is_hardware);
        // A port is what it is, whatever kind its network is said to be.
        let kind = if guid.is_some() { Kind::Infiniband } else { kind };
        let matched = match own {
            // Those of InfiniBand go by the name that their port is given.
            Some(mac) if kind == Kind::Ethernet && is_hardware => Match::Mac(mac),
            _ => Match::Name,
        };
        let addresses = interface.addresses.iter().filter_map(|text| {
            let address = text.parse().ok();
            if address.is_none() {
                console.warning(&format!(
                    "{}: '{text}' is not an address with its prefix length",
                    interface.name
                ));
            }
            address
        });
        let addresses = addresses.collect();
        let routes = route::of(interface, console);
        let (bond, vlans) = (None, Vec::new());
        Self { interface, kind, matched, guid, addresses, routes, is_boot, bond, vlans }
    }

    /// The name that the device has where its configuration must name one.
    pub(super) fn system_name(&self) -> &str {
        if self.interface.name == "BOOTIF" { BOOT_NAME } else { &self.interface.name }
    }

    /// Whether it asks DHCP for an address of this family: a fixed one needs no other.
    pub(super) fn asks(&self, is_ipv6: bool) -> bool {
        self.interface.dhcp && self.bond.is_none() && self.addresses_of(is_ipv6).next().is_none()
    }

    /// Whether it has or gets any address of this family beside its link's own.
    pub(super) fn has_family(&self, is_ipv6: bool) -> bool {
        self.asks(is_ipv6) || self.addresses_of(is_ipv6).next().is_some()
    }

    /// Programs refuse a configuration with routes of a family that the device has no address of.
    fn keep_possible_routes(&mut self, console: &Console) {
        let (possible, others): (Vec<Route>, Vec<Route>) = std::mem::take(&mut self.routes)
            .into_iter()
            .partition(|route| self.has_family(route.is_ipv6()));
        self.routes = possible;
        for route in others {
            let (name, destination) = (&self.interface.name, route.destination);
            console.warning(&format!(
                "the route to {destination} is left out: {name} has no address of its family"
            ));
        }
    }

    pub(super) fn routes_of(&self, is_ipv6: bool) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(move |route| route.is_ipv6() == is_ipv6)
    }

    pub(super) fn gateway(&self, is_ipv6: bool) -> Option<IpAddr> {
        let has_address = self.addresses.iter().any(|net| net.addr().is_ipv6() == is_ipv6);
        let gateways = &self.interface.gateways;
        gateways
            .iter()
            .copied()
            .find(|gateway| gateway.is_ipv6() == is_ipv6)
            .filter(|_| has_address)
    }

    pub(super) fn addresses_of(&self, is_ipv6: bool) -> impl Iterator<Item = IpNet> {
        self.addresses.iter().copied().filter(move |net| net.addr().is_ipv6() == is_ipv6)
    }

    /// The cluster's free text for this interface, as lines.
    pub(super) fn options(&self) -> String {
        let text = self.interface.options.as_deref().unwrap_or_default().replace("\r\n", "\n");
        if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
    }
}

/// A bonding mode by its name or number, as its name.
fn bond_mode(mode: &str) -> &'static str {
    let numbered = mode.parse().ok().and_then(|number: usize| BOND_MODES.get(number));
    let named = BOND_MODES.iter().find(|known| **known == mode);
    numbered.or(named).copied().unwrap_or(DEFAULT_BOND_MODE)
}

/// Whether a name means the card that the machine boots from.
fn is_boot_name(name: &str, plan: &Plan) -> bool {
    name == plan.boot_interface || (name == BOOT_NAME && plan.boot_interface == "BOOTIF")
}

/// A name becomes a part of files' names and of lines.
fn is_name(name: &str, console: &Console) -> bool {
    let is_plain = is_word(name) && name.len() <= LONGEST_NAME;
    if !is_plain {
        console
            .warning(&format!("the interface '{name}' is left out: no device can have this name"));
    }
    is_plain
}

fn is_word(text: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    !text.is_empty() && !text.starts_with('.') && text.chars().all(is_plain)
}
