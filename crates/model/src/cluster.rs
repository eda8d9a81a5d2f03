//! The cluster as a value: every object, and the indexes that make look-ups cheap.

use std::net::IpAddr;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::addresses::{Family, from_number, to_number};
use crate::bmc_setup::BmcSetup;
use crate::controller::Controller;
use crate::described::{DescribedSet, OwnMap};
use crate::device::{Cloud, OtherDevice, Switch};
use crate::discovery::ClaimRule;
use crate::dns::DnsHosts;
use crate::group::Group;
use crate::holder::Holder;
use crate::identity::NodeIdentity;
use crate::image::Image;
use crate::interface::Interface;
use crate::intervals::Intervals;
use crate::label::LabelIndex;
use crate::machines::Machines;
use crate::network::Network;
use crate::node::Node;
use crate::object::{ClusterSecrets, GroupSecrets, NodeSecrets, Object};
use crate::rack::{Placement, Rack};
use crate::reservation::Reservation;
use crate::route::Route;
use crate::settings::Settings;
use crate::user::{ApiToken, User};
use crate::{Edit, Error, Kind, MacAddress, Name};

/// Everything that the operator has described. Cloning costs a few pointers; a changed clone shares what is the same.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::struct_field_names, reason = "tables are named as their kinds are")]
pub struct Cluster {
    settings: Arc<Settings>,
    networks: OrdMap<Name, Arc<Network>>,
    controllers: OrdMap<Name, Arc<Controller>>,
    images: OrdMap<Name, Arc<Image>>,
    bmc_setups: OrdMap<Name, Arc<BmcSetup>>,
    switches: OrdMap<Name, Arc<Switch>>,
    other_devices: OrdMap<Name, Arc<OtherDevice>>,
    clouds: OrdMap<Name, Arc<Cloud>>,
    groups: OrdMap<Name, Arc<Group>>,
    nodes: OrdMap<Name, Arc<Node>>,
    dns_hosts: OrdMap<Name, Arc<DnsHosts>>,
    node_secrets: OrdMap<Name, Arc<NodeSecrets>>,
    node_identities: OrdMap<Name, Arc<NodeIdentity>>,
    group_secrets: OrdMap<Name, Arc<GroupSecrets>>,
    cluster_secrets: OrdMap<Name, Arc<ClusterSecrets>>,
    racks: OrdMap<Name, Arc<Rack>>,
    placements: OrdMap<Name, Arc<Placement>>,
    reservations: OrdMap<Name, Arc<Reservation>>,
    routes: OrdMap<Name, Arc<Route>>,
    claim_rules: OrdMap<Name, Arc<ClaimRule>>,
    users: OrdMap<Name, Arc<User>>,
    api_tokens: OrdMap<Name, Arc<ApiToken>>,
    index: Index,
    transient: Transient,
}

/// What is derived from the objects.
#[derive(Debug, Clone, Default, PartialEq)]
struct Index {
    hardware: OrdMap<MacAddress, (Name, Name)>,
    reserved: OrdMap<MacAddress, Name>,
    /// Those of switches and other devices; nothing keeps two of them from having one.
    devices: OrdSet<(MacAddress, Kind, Name)>,
    holders: OrdMap<IpAddr, Holder>,
    held: OrdMap<(Name, Family), Intervals>,
    members: OrdMap<Name, OrdSet<Name>>,
    /// What stands in which rack.
    standing: OrdMap<Name, OrdSet<Name>>,
    machines: Machines,
    labels: LabelIndex,
    described: DescribedSet,
}

/// What is neither stored with the objects nor part of what is compared.
#[derive(Debug, Clone, Default)]
struct Transient {
    revision: u64,
    /// Addresses of this host's own interfaces.
    own: OwnMap,
    /// At which of them names are answered; `None` where that is not known.
    answering: Option<OrdSet<IpAddr>>,
}

impl PartialEq for Transient {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

macro_rules! tables {
    ($($Variant:ident, $table:ident, $one:ident, $Type:ty;)*) => {
        impl Cluster {
            $(
                #[doc = concat!("All objects of type [`", stringify!($Type), "`], in name order.")]
                pub fn $table(&self) -> &OrdMap<Name, Arc<$Type>> {
                    &self.$table
                }

                /// The object of this name; [`Error::NotFound`] without one.
                pub fn $one(&self, name: &str) -> Result<&Arc<$Type>, Error> {
                    self.$table.get(name).ok_or_else(|| Error::NotFound { kind: Kind::$Variant, name: name.to_owned() })
                }
            )*

            /// The object of this kind and name.
            pub fn object(&self, kind: Kind, name: &str) -> Option<Object> {
                match kind {
                    Kind::Settings => (self.settings.name == name).then(|| Object::Settings(Arc::clone(&self.settings))),
                    $(Kind::$Variant => self.$table.get(name).map(|object| Object::$Variant(Arc::clone(object))),)*
                }
            }

            /// Every object; what is referred to comes before what refers to it.
            pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
                Kind::ALL.iter().flat_map(|kind| -> Box<dyn Iterator<Item = Object> + '_> {
                    match kind {
                        Kind::Settings => Box::new(std::iter::once(Object::Settings(Arc::clone(&self.settings)))),
                        $(Kind::$Variant => Box::new(self.$table.values().map(|object| Object::$Variant(Arc::clone(object)))),)*
                    }
                })
            }

            fn replace(&mut self, object: Object) {
                match object {
                    Object::Settings(settings) => self.settings = settings,
                    $(Object::$Variant(object) => { self.$table.insert(object.name.clone(), object); })*
                }
            }

            fn take(&mut self, kind: Kind, name: &Name) {
                match kind {
                    Kind::Settings => self.settings = Arc::default(),
                    $(Kind::$Variant => { self.$table.remove(name); })*
                }
            }
        }
    };
}

tables! {
    Route, routes, route, Route;
    Network, networks, network, Network;
    Controller, controllers, controller, Controller;
    Image, images, image, Image;
    BmcSetup, bmc_setups, bmc_setup, BmcSetup;
    Switch, switches, switch, Switch;
    OtherDevice, other_devices, other_device, OtherDevice;
    Cloud, clouds, cloud, Cloud;
    Group, groups, group, Group;
    Node, nodes, node, Node;
    DnsHosts, dns_hosts, dns_hosts_of, DnsHosts;
    NodeSecrets, node_secrets, secrets_of_node, NodeSecrets;
    NodeIdentity, node_identities, identity_of_node, NodeIdentity;
    GroupSecrets, group_secrets, secrets_of_group, GroupSecrets;
    ClusterSecrets, cluster_secrets, secrets_of_cluster, ClusterSecrets;
    Rack, racks, rack, Rack;
    Placement, placements, placement, Placement;
    Reservation, reservations, reservation, Reservation;
    ClaimRule, claim_rules, claim_rule, ClaimRule;
    User, users, user, User;
    ApiToken, api_tokens, api_token, ApiToken;
}

impl Cluster {
    /// The number of the commit that made this cluster; 0 before the first.
    pub fn revision(&self) -> u64 {
        self.transient.revision
    }

    /// Says which commit made this cluster.
    pub fn set_revision(&mut self, revision: u64) {
        self.transient.revision = revision;
    }

    /// The settings of the cluster as a whole.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The controller whose address the cluster talks to.
    pub fn beacon(&self) -> Option<&Arc<Controller>> {
        self.controllers
            .values()
            .find(|controller| controller.beacon)
            .or_else(|| self.controllers.values().next())
    }

    /// The node and its interface that have this hardware address, in whatever form it is given.
    pub fn node_by_mac(&self, mac: MacAddress) -> Option<(&Arc<Node>, &Interface)> {
        let (node, interface) = self.index.hardware.get(&mac.port())?;
        let node = self.nodes.get(node)?;
        Some((node, node.interface(interface.as_str())?))
    }

    /// The switch or other device that has this hardware address; of several the first.
    pub fn device_by_mac(&self, mac: MacAddress) -> Option<(Kind, &Name)> {
        let mac = mac.port();
        let from = (mac, Kind::Settings, Name::default());
        let (found, kind, name) = self.index.devices.range(from..).next()?;
        (*found == mac).then_some((*kind, name))
    }

    /// The reservation that this machine is kept by.
    pub fn reservation_by_mac(&self, mac: MacAddress) -> Option<&Arc<Reservation>> {
        self.reservations.get(self.index.reserved.get(&mac.port())?)
    }

    /// Who holds this address.
    pub fn holder(&self, address: IpAddr) -> Option<&Holder> {
        self.index.holders.get(&address)
    }

    /// The node that holds this address.
    pub fn node_by_address(&self, address: IpAddr) -> Option<&Arc<Node>> {
        match self.holder(address)? {
            Holder::Interface { node, .. } => self.nodes.get(node),
            Holder::Controller(_)
            | Holder::Switch(_)
            | Holder::OtherDevice(_)
            | Holder::Reservation(_) => None,
        }
    }

    /// The network that this address lies in: the one with the longest prefix.
    pub fn network_of(&self, address: IpAddr) -> Option<&Arc<Network>> {
        let family = Family::of(address);
        let length = |network: &Network| network.range(family).map(|range| range.prefix_len());
        self.networks
            .values()
            .filter(|network| network.contains(address))
            .max_by_key(|network| length(network))
    }

    /// The names of a group's nodes, in order.
    pub fn members(&self, group: &str) -> impl Iterator<Item = &Arc<Node>> {
        let names = self.index.members.get(group).into_iter().flat_map(OrdSet::iter);
        names.filter_map(|name| self.nodes.get(name))
    }

    /// What stands in a rack, in the order of its keys.
    pub fn standing_in(&self, rack: &str) -> impl Iterator<Item = &Arc<Placement>> {
        let names = self.index.standing.get(rack).into_iter().flat_map(OrdSet::iter);
        names.filter_map(|name| self.placements().get(name))
    }

    /// Which nodes have a machine to boot, and which are free for one.
    pub fn machines(&self) -> &Machines {
        &self.index.machines
    }

    /// Which nodes have which labels of their own.
    pub fn labels(&self) -> &LabelIndex {
        &self.index.labels
    }

    /// The addresses that devices hold in a network: how many there are.
    pub fn held_count(&self, network: &Name, family: Family) -> u128 {
        self.index.held.get(&(network.clone(), family)).map_or(0, Intervals::count)
    }

    /// Every address that a device holds, with who holds it, in order.
    pub fn holders(&self) -> impl Iterator<Item = (&IpAddr, &Holder)> {
        self.index.holders.iter()
    }

    /// The addresses of this host, each with the interface that has it.
    pub fn own_addresses(&self) -> &OwnMap {
        &self.transient.own
    }

    /// Says which addresses this host has, each with the interface that has it.
    pub fn set_own_addresses(&mut self, own: impl IntoIterator<Item = (IpAddr, String)>) {
        self.transient.own = own.into_iter().collect();
    }

    /// The addresses of this host at which its own DNS server answers. `None` where another server may be at them: then nothing is known.
    pub fn answering(&self) -> Option<&OrdSet<IpAddr>> {
        self.transient.answering.as_ref()
    }

    /// Says at which addresses of this host its own DNS server answers.
    pub fn set_answering(&mut self, answering: Option<OrdSet<IpAddr>>) {
        self.transient.answering = answering;
    }

    /// Takes over what another cluster knows of this host.
    pub fn set_host_of(&mut self, other: &Self) {
        self.transient.own = other.transient.own.clone();
        self.transient.answering.clone_from(&other.transient.answering);
    }

    pub(crate) fn described(&self) -> &DescribedSet {
        &self.index.described
    }

    /// The addresses that devices hold between two, both included, in order.
    pub fn holders_between(&self, first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
        self.index.holders.range(first..=last).map(|(address, _)| *address)
    }

    /// The lowest and the highest address that devices hold in a network.
    pub(crate) fn held_between(&self, network: &Name, family: Family) -> Option<(IpAddr, IpAddr)> {
        let (first, last) = self.index.held.get(&(network.clone(), family))?.bounds()?;
        from_number(family, first).zip(from_number(family, last))
    }

    pub(crate) fn end_of_held(&self, network: &Name, family: Family, number: u128) -> Option<u128> {
        self.index.held.get(&(network.clone(), family))?.end_of_run(number)
    }

    /// Makes an edit, unchecked: for changes that were decided already, such as those that are loaded.
    pub fn apply(&mut self, edit: &Edit) {
        match edit {
            Edit::Put(object) => {
                let old = self.object(object.kind(), object.name().as_str());
                self.reindex(old.as_ref(), Some(object));
                self.replace(object.clone());
            }
            Edit::Remove(kind, name) => {
                let old = self.object(*kind, name.as_str());
                self.reindex(old.as_ref(), None);
                self.take(*kind, name);
            }
        }
    }

    fn reindex(&mut self, old: Option<&Object>, new: Option<&Object>) {
        move_between(&mut self.index.members, group_of(old), group_of(new));
        move_between(&mut self.index.standing, rack_of(old), rack_of(new));
        self.index.machines.reindex(node_of(old), node_of(new));
        self.index.labels.reindex(node_of(old), node_of(new));
        for described in old.map(Object::described).unwrap_or_default() {
            self.index.described.remove(&described);
        }
        self.index.described.extend(new.map(Object::described).unwrap_or_default());
        let (gone, come) =
            (old.map(Object::held).unwrap_or_default(), new.map(Object::held).unwrap_or_default());
        for held in gone.iter().filter(|held| !come.contains(held)) {
            // Another device may have taken the address over with an edit before this one.
            let is_own = self.holder(held.address) == Some(&held.holder);
            if is_own {
                self.index.holders.remove(&held.address);
            }
            let network = held.network.as_ref();
            if let Some(network) =
                network.filter(|network| is_own || !self.is_held_in(network, held.address))
            {
                self.index.edit_held(network, held.address, Intervals::remove);
            }
        }
        for held in come.iter().filter(|held| !gone.contains(held)) {
            self.index.holders.insert(held.address, held.holder.clone());
            if let Some(network) = &held.network {
                self.index.edit_held(network, held.address, Intervals::insert);
            }
        }
        for (object, is_there) in [(old, false), (new, true)] {
            let Some(object) = object else { continue };
            for mac in object.device_hardware() {
                let entry = (mac, object.kind(), object.name().clone());
                if is_there {
                    self.index.devices.insert(entry);
                } else {
                    self.index.devices.remove(&entry);
                }
            }
        }
        for mac in old.map(Object::reserved_hardware).unwrap_or_default() {
            // Another reservation may have taken it over a moment ago.
            if self.index.reserved.get(&mac.port()) == old.map(Object::name) {
                self.index.reserved.remove(&mac.port());
            }
        }
        if let Some(new) = new {
            for mac in new.reserved_hardware() {
                self.index.reserved.insert(mac.port(), new.name().clone());
            }
        }
        let (gone, come) = (
            old.map(Object::hardware).unwrap_or_default(),
            new.map(Object::hardware).unwrap_or_default(),
        );
        for (mac, _) in gone.iter().filter(|pair| !come.contains(pair)) {
            // The same as with addresses.
            let holder = self.index.hardware.get(mac).map(|(node, _)| node);
            if holder == old.map(Object::name) {
                self.index.hardware.remove(mac);
            }
        }
        if let Some(Object::Node(node)) = new {
            for (mac, interface) in come.into_iter().filter(|pair| !gone.contains(pair)) {
                self.index.hardware.insert(mac, (node.name.clone(), interface));
            }
        }
    }

    /// Whether the device that holds an address has it in this network.
    fn is_held_in(&self, network: &Name, address: IpAddr) -> bool {
        let holder = self.holder(address);
        let device = holder.and_then(|holder| self.object(holder.kind(), holder.device().as_str()));
        let held = device.map(|device| device.held()).unwrap_or_default();
        held.iter().any(|held| held.address == address && held.network.as_ref() == Some(network))
    }
}

fn group_of(object: Option<&Object>) -> Option<(Name, Name)> {
    node_of(object).map(|node| (node.group.clone(), node.name.clone()))
}

fn rack_of(object: Option<&Object>) -> Option<(Name, Name)> {
    match object {
        Some(Object::Placement(placement)) => {
            Some((placement.rack.clone()?, placement.name.clone()))
        }
        _ => None,
    }
}

/// Takes a member out of one set and puts it into another; a set without members is none.
fn move_between(
    sets: &mut OrdMap<Name, OrdSet<Name>>,
    left: Option<(Name, Name)>,
    joined: Option<(Name, Name)>,
) {
    if left == joined {
        return;
    }
    if let Some((set, member)) = left {
        let mut members = sets.get(&set).cloned().unwrap_or_default();
        members.remove(&member);
        if members.is_empty() {
            sets.remove(&set);
        } else {
            sets.insert(set, members);
        }
    }
    if let Some((set, member)) = joined {
        sets.entry(set).or_default().insert(member);
    }
}

fn node_of(object: Option<&Object>) -> Option<&Node> {
    match object {
        Some(Object::Node(node)) => Some(node),
        _ => None,
    }
}

impl Index {
    fn edit_held(
        &mut self,
        network: &Name,
        address: IpAddr,
        edit: impl FnOnce(&mut Intervals, u128),
    ) {
        let key = (network.clone(), Family::of(address));
        let mut set = self.held.remove(&key).unwrap_or_default();
        edit(&mut set, to_number(address));
        if !set.is_empty() {
            self.held.insert(key, set);
        }
    }
}
