//! Requests out of a few names, addresses and numbers, so that they collide often; picked by bytes, so that a failure shrinks.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use perilune_model::interface::{LinkRequest, Numbering, of_group, of_node};
use perilune_model::plugins::Installed;
use perilune_model::provisioning::TagChoice;
use perilune_model::{MacAddress, Name, Patch, label, provisioning};

pub(crate) const METHODS: [&str; 2] = ["http", "torrent"];
const ROLES: [&str; 2] = ["default", "default,bond"];
const NODES: [&str; 4] = ["node001", "node002", "node003", "node004"];
const GROUPS: [&str; 3] = ["compute", "login", "gpu"];
const NETWORKS: [&str; 4] = ["cluster", "ib", "cluster", "storage"];
const INTERFACES: [&str; 5] = ["BOOTIF", "BMC", "eth0", "eth0.7", "bond0"];
const RANGES: [&str; 9] = [
    "10.141.0.0/24",
    "10.149.0.0/24",
    "10.150.0.0/29",
    "10.141.0.128/25",
    "10.160.0.0/16",
    "192.0.2.0/31",
    "fd00:141::/64",
    "fd00:149::/125",
    "fd00:160::/64",
];
const ADDRESSES: [&str; 16] = [
    "10.141.0.1",
    "10.141.0.2",
    "10.141.0.129",
    "10.141.0.255",
    "10.149.0.1",
    "10.149.0.9",
    "10.150.0.0",
    "10.150.0.1",
    "10.150.0.6",
    "10.160.0.1",
    "192.0.2.1",
    "198.51.100.7",
    "fd00:141::1",
    "fd00:141::2",
    "fd00:149::3",
    "fd00:160::1",
];

/// The plugins that requests name here.
pub(crate) fn installed() -> Installed {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Installed {
        provision_methods: names(&METHODS),
        roles: names(&["default", "bond"]),
        scripts: BTreeSet::new(),
    }
}

/// Bytes that decide; after the last one, the first of everything is picked.
pub(crate) struct Choice<'a>(pub(crate) std::slice::Iter<'a, u8>);

impl Choice<'_> {
    pub(crate) fn number(&mut self) -> u8 {
        self.0.next().copied().unwrap_or_default()
    }

    pub(crate) fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::from(self.number()) % all.len()].clone()
    }

    pub(crate) fn yes(&mut self) -> bool {
        self.number() % 2 == 1
    }

    /// One of eight says so: what is asked of many things at once is mostly refused, and teaches little.
    pub(crate) fn rarely(&mut self) -> bool {
        self.number() % 8 == 7
    }

    pub(crate) fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.yes() { Some(value(self)) } else { None }
    }

    /// Three of four times.
    pub(crate) fn likely<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match self.number() % 4 {
            0 => None,
            _ => Some(value(self)),
        }
    }

    pub(crate) fn patch<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Patch<T> {
        match self.number() % 12 {
            0..=8 => Patch::Keep,
            9 | 10 => Patch::Set(value(self)),
            _ => Patch::Clear,
        }
    }

    /// Labels to set and to remove; mostly none.
    pub(crate) fn labels(&mut self) -> label::Request {
        let mut request = label::Request::default();
        request.clear = self.rarely();
        if self.rarely() {
            let (key, value) = (self.of(&["canary", "tier"]), self.of(&["yes", "gpu-1.0", ""]));
            request.set(key, value).unwrap();
        }
        request
    }

    fn name(&mut self, all: &[&str]) -> Name {
        Name::trusted(self.of(all))
    }

    /// A name for something new, which is often free.
    pub(crate) fn fresh(&mut self, usual: impl FnOnce(&mut Self) -> Name) -> Name {
        match self.number() % 4 {
            0 => usual(self),
            number => Name::trusted(&format!("new{number}")),
        }
    }

    pub(crate) fn node(&mut self) -> Name {
        self.name(&NODES)
    }

    pub(crate) fn group(&mut self) -> Name {
        self.name(&GROUPS)
    }

    pub(crate) fn network(&mut self) -> Name {
        self.name(&NETWORKS)
    }

    pub(crate) fn interface(&mut self) -> Name {
        self.name(&INTERFACES)
    }

    pub(crate) fn image(&mut self) -> Name {
        self.name(&["debian", "rocky"])
    }

    /// A tag, a secret, a file, a host: parts of objects.
    pub(crate) fn part(&mut self) -> Name {
        self.name(&["one", "two", "three"])
    }

    /// BMC setups, switches, other devices, clouds, racks, users.
    pub(crate) fn other(&mut self) -> Name {
        self.name(&["first", "second", "third"])
    }

    pub(crate) fn controller(&mut self) -> Name {
        self.name(&["controller", "first"])
    }

    pub(crate) fn text(&mut self) -> String {
        self.of(&["", "a", "it's \"é\"\n\u{1f980}", "{{ node }}; DROP TABLE object"]).to_owned()
    }

    /// One that a request may give a secret.
    pub(crate) fn path(&mut self) -> String {
        self.of(&["/a", "/etc/é {{ node }}; DROP", "/..a/\u{1f980}"]).to_owned()
    }

    pub(crate) fn address(&mut self) -> IpAddr {
        self.of(&ADDRESSES).parse().unwrap()
    }

    pub(crate) fn range(&mut self) -> IpNet {
        self.of(&RANGES).parse().unwrap()
    }

    pub(crate) fn mac(&mut self) -> MacAddress {
        MacAddress::ethernet([0x52, 0x54, 0, 0, 0, self.number() % 4])
    }

    pub(crate) fn provisioning(&mut self) -> provisioning::Request {
        let mut request = provisioning::Request {
            osimage: self.patch(Self::image),
            osimagetag: self.patch(Self::part).map(TagChoice::from),
            bmcsetup: self.patch(Self::other),
            setupbmc: self.patch(Self::yes),
            netboot: self.patch(Self::yes),
            ..provisioning::Request::default()
        };
        if self.rarely() {
            request.roles = self.patch(|choice| choice.of(&ROLES).to_owned().into());
            request.provision_method = self.patch(|choice| choice.of(&METHODS).to_owned().into());
            request.postscript = self.patch(Self::text);
        }
        request
    }

    pub(crate) fn link(&mut self) -> LinkRequest {
        match self.number() % 8 {
            0..=4 => return LinkRequest::default(),
            5 => {
                let (vlanid, vlan_parent) = (Patch::Set(7), Patch::Set("eth0".to_owned()));
                return LinkRequest { vlanid, vlan_parent, ..LinkRequest::default() };
            }
            6 => {
                let bond_slaves = Patch::Set(vec!["eth0".to_owned(), "eth1".to_owned()]);
                let bond_mode = Patch::Set("802.3ad".to_owned());
                return LinkRequest { bond_mode, bond_slaves, ..LinkRequest::default() };
            }
            _ => {}
        }
        let slaves: [&[&str]; 3] = [&[], &["eth0"], &["eth0", "eth1"]];
        LinkRequest {
            mtu: self.patch(|choice| choice.of(&[9000, 1500, 12])),
            vlanid: self.patch(|choice| choice.of(&[7, 4095, 5000])),
            vlan_parent: self.patch(|choice| choice.of(&["eth0", "BOOTIF"]).to_owned()),
            bond_mode: self.patch(|choice| choice.of(&["802.3ad", "1", "9"]).to_owned()),
            bond_slaves: self.patch(|choice| {
                choice.of(&slaves).iter().map(|slave| (*slave).to_owned()).collect()
            }),
            options: self.patch(Self::text),
        }
    }

    pub(crate) fn node_interface(&mut self) -> of_node::Request {
        of_node::Request {
            network: self.likely(Self::network),
            interface: self.interface(),
            new_name: if self.rarely() { Some(self.interface()) } else { None },
            macaddress: self.patch(Self::mac),
            ipaddress: if self.rarely() { Some(self.address()) } else { None },
            dhcp: if self.rarely() { Some(self.yes()) } else { None },
            force: self.yes(),
            link: self.link(),
        }
    }

    fn numbering(&mut self) -> Patch<Numbering> {
        self.patch(|choice| {
            choice.of(&["like BOOTIF", "first+7", "like BMC", "like eth0+1"]).parse().unwrap()
        })
    }

    pub(crate) fn group_interface(&mut self) -> of_group::Request {
        of_group::Request {
            network: self.likely(Self::network),
            interface: self.interface(),
            new_name: if self.rarely() { Some(self.interface()) } else { None },
            dhcp: if self.rarely() { Some(self.yes()) } else { None },
            numbering: self.numbering(),
            link: self.link(),
        }
    }

    /// None, one or two.
    pub(crate) fn few<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.of(&[0, 1, 0, 0, 2, 0]);
        (0..count).map(|_| one(self)).collect()
    }

    pub(crate) fn new_name(&mut self, name: impl FnOnce(&mut Self) -> Name) -> Option<Name> {
        if self.rarely() { Some(name(self)) } else { None }
    }

    /// The first of two most of the time.
    pub(crate) fn mostly<T>(&mut self, usual: T, other: T) -> T {
        if self.rarely() { other } else { usual }
    }
}
