//! Bringing the cluster to what somebody wrote down: all of it, or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::interface::{Interface, place};
use crate::node::Node;
use crate::object::Object;
use crate::{Addresses, Draft, Edit, Error, Kind, Name};

/// An object as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The object.
    pub object: Object,
    /// Where the interfaces of a node come from.
    pub interfaces: Interfaces,
}

/// Where the interfaces of a node come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interfaces {
    /// They are in the object; those without an address keep the one that they have in their network, or get one.
    Own,
    /// Those of its group; what the node has of them stays.
    OfGroup,
}

impl Draft {
    /// Makes every object as it is desired, and removes the others of the kinds that are pruned. The settings, controllers and users
    /// are never removed.
    pub fn bring_to(&mut self, desired: Vec<Desired>, prune: &[Kind]) -> Result<(), Error> {
        let named: BTreeSet<(Kind, Name)> = desired
            .iter()
            .map(|desired| (desired.object.kind(), desired.object.name().clone()))
            .collect();
        let surplus = self.surplus(&named, prune);
        for object in &surplus {
            if let Some(bare) = without_holdings(object) {
                self.put_unchecked(bare);
            }
        }
        let groups: BTreeMap<Name, Object> = desired
            .iter()
            .filter(|desired| desired.object.kind() == Kind::Group)
            .map(|desired| (desired.object.name().clone(), desired.object.clone()))
            .collect();
        let mut edits = Vec::new();
        let mut unplaced = Vec::new();
        for Desired { object, interfaces } in desired {
            let object = if let Object::Node(node) = &object {
                let (node, names) = self.with_places(node, interfaces, &groups);
                unplaced.extend(names.into_iter().map(|name| (node.name.clone(), name)));
                node.into()
            } else {
                object
            };
            let own = self.object(object.kind(), object.name().as_str());
            if own.as_ref() != Some(&object) {
                edits.push(Edit::Put(object));
            }
        }
        self.replay(&edits)?;
        // Nodes before groups, groups before images and networks: what is removed is then used by nobody who goes with it.
        for object in surplus.iter().rev() {
            if self.object(object.kind(), object.name().as_str()).is_some() {
                self.remove(object.kind(), object.name().as_str())?;
            }
        }
        unplaced.iter().try_for_each(|(node, interface)| self.give_address(node, interface))
    }

    /// What is there of the pruned kinds and not named, in the order of kinds.
    fn surplus(&self, named: &BTreeSet<(Kind, Name)>, prune: &[Kind]) -> Vec<Object> {
        let stays = [Kind::Settings, Kind::Controller, Kind::User, Kind::ApiToken, Kind::ClaimRule];
        self.objects()
            .filter(|object| prune.contains(&object.kind()) && !stays.contains(&object.kind()))
            .filter(|object| !named.contains(&(object.kind(), object.name().clone())))
            .collect()
    }

    /// The node with its interfaces where they can be said now, and the names of those that need an address.
    fn with_places(
        &self,
        node: &Node,
        interfaces: Interfaces,
        groups: &BTreeMap<Name, Object>,
    ) -> (Node, Vec<Name>) {
        let mut node = node.clone();
        let known = self.nodes().get(&node.name).cloned();
        if interfaces == Interfaces::OfGroup {
            let group = match groups.get(&node.group) {
                Some(Object::Group(group)) => Some(Arc::clone(group)),
                _ => self.groups().get(&node.group).cloned(),
            };
            node.interfaces = match (&known, group) {
                (Some(known), _) if known.group == node.group => known.interfaces.clone(),
                (_, Some(group)) => group
                    .interfaces
                    .iter()
                    .map(|interface| Interface {
                        name: interface.name.clone(),
                        network: Some(interface.network.clone()),
                        dhcp: interface.dhcp.unwrap_or(false),
                        link: interface.link.clone(),
                        ..Interface::default()
                    })
                    .collect(),
                (_, None) => Vec::new(),
            };
        }
        let mut unplaced = Vec::new();
        for interface in &mut node.interfaces {
            let own = known.as_ref().and_then(|node| node.interface(interface.name.as_str()));
            let own = own.filter(|own| own.network == interface.network);
            if !interface.addresses.is_empty() || interface.network.is_none() {
                continue;
            }
            match own {
                // One that had none was without for a reason: it asks DHCP, or nobody gave it one.
                Some(own) => interface.addresses = own.addresses,
                None => unplaced.push(interface.name.clone()),
            }
        }
        (node, unplaced)
    }

    fn give_address(&mut self, node: &Name, interface: &Name) -> Result<(), Error> {
        let before = Arc::clone(self.node(node.as_str())?);
        let mut node = Node::clone(&before);
        let place = node.interfaces.iter().position(|own| own.name == *interface);
        let Some(own) = place.and_then(|place| node.interfaces.get_mut(place)) else {
            return Ok(());
        };
        let Some(network) = &own.network else { return Ok(()) };
        let network = Arc::clone(self.network(network.as_str())?);
        place::settle(self, &before, own, &network)?;
        self.put(node)
    }
}

/// The object without what others may want to have, and without what keeps others from being removed.
fn without_holdings(object: &Object) -> Option<Object> {
    match object {
        Object::Node(node) => {
            let mut node = Node::clone(node);
            for interface in &mut node.interfaces {
                interface.addresses = Addresses::default();
                interface.macaddress = None;
            }
            Some(node.into())
        }
        Object::Switch(switch) => {
            let mut switch = crate::device::Switch::clone(switch);
            switch.addresses = Addresses::default();
            switch.interfaces.clear();
            Some(switch.into())
        }
        Object::Reservation(reservation) => {
            let mut reservation = crate::reservation::Reservation::clone(reservation);
            reservation.macaddresses.clear();
            reservation.addresses.clear();
            Some(reservation.into())
        }
        Object::OtherDevice(device) => {
            let mut device = crate::device::OtherDevice::clone(device);
            device.addresses = Addresses::default();
            Some(device.into())
        }
        Object::Group(group) => {
            let group = crate::group::Group { parent: None, ..crate::group::Group::clone(group) };
            Some(group.into())
        }
        Object::Settings(_)
        | Object::Route(_)
        | Object::Network(_)
        | Object::Controller(_)
        | Object::Image(_)
        | Object::BmcSetup(_)
        | Object::Cloud(_)
        | Object::DnsHosts(_)
        | Object::NodeSecrets(_)
        | Object::NodeIdentity(_)
        | Object::GroupSecrets(_)
        | Object::ClusterSecrets(_)
        | Object::Rack(_)
        | Object::Placement(_)
        | Object::ClaimRule(_)
        | Object::User(_)
        | Object::ApiToken(_) => None,
    }
}
