//! The draft on which a change is decided.

mod desired;
mod remarks;
mod replay;
mod sound;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

pub use desired::{Desired, Interfaces};

use crate::addresses::Family;
use crate::holder::Holder;
use crate::interface;
use crate::object::Object;
use crate::references::{self, Reference};
use crate::reservation::Reservation;
use crate::{Change, Cluster, Edit, Error, Kind, MacAddress, Name, dns, group, user};

/// A cluster that is being changed. Reads see what was edited so far; nothing is visible elsewhere until it is committed.
#[derive(Debug, Clone)]
pub struct Draft {
    cluster: Cluster,
    /// Nobody is given these unasked.
    promised: Arc<BTreeSet<IpAddr>>,
    /// Objects that were edited: when each was first, and what it was before.
    before: BTreeMap<(Kind, Name), (usize, Option<Object>)>,
}

impl Deref for Draft {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Draft {
    /// A draft that begins as this cluster.
    pub fn new(cluster: &Cluster) -> Self {
        Self::sparing(cluster, Arc::default())
    }

    /// A draft that begins as this cluster, and gives nobody an address unasked that was promised to somebody.
    pub fn sparing(cluster: &Cluster, promised: Arc<BTreeSet<IpAddr>>) -> Self {
        Self { cluster: cluster.clone(), promised, before: BTreeMap::new() }
    }

    /// The addresses that were promised to somebody.
    pub fn promised(&self) -> &BTreeSet<IpAddr> {
        &self.promised
    }

    /// The changed cluster and the change: one edit for each object that is not as it was, in the order in which they were first
    /// edited, and the opposite order to take them back.
    pub fn finish(self) -> (Cluster, Change) {
        let mut before: Vec<_> = self.before.into_iter().collect();
        before.sort_by_key(|(_, (first, _))| *first);
        let mut change = Change::default();
        for ((kind, name), (_, before)) in before {
            let after = self.cluster.object(kind, name.as_str());
            if before == after {
                continue;
            }
            let removed = || Edit::Remove(kind, name.clone());
            change.edits.push(after.map_or_else(removed, Edit::Put));
            change.inverse.push(before.map_or_else(removed, Edit::Put));
        }
        change.inverse.reverse();
        (self.cluster, change)
    }

    /// Puts an object, in place of one with its name. Refused when it refers to what does not exist, or holds an address or a
    /// hardware address that is another's, or an address outside its network.
    pub fn put(&mut self, object: impl Into<Object>) -> Result<(), Error> {
        let object = object.into();
        let old = self.cluster.object(object.kind(), object.name().as_str());
        if old.as_ref() == Some(&object) {
            return Ok(());
        }
        interface::check_count(old.as_ref(), &object)?;
        references::check(&self.cluster, old.as_ref(), &object)?;
        group::parent::check(&self.cluster, &object)?;
        self.check_addresses(&object)?;
        self.check_hardware(&object)?;
        if let Object::DnsHosts(list) = &object {
            dns::check(&self.cluster, list)?;
        }
        self.put_unchecked(object);
        Ok(())
    }

    fn put_unchecked(&mut self, object: Object) {
        let old = self.cluster.object(object.kind(), object.name().as_str());
        let object = user::settled(old.as_ref(), object, self.cluster.revision().saturating_add(1));
        if old.as_ref() == Some(&object) {
            return;
        }
        self.edit(&Edit::Put(object), old);
    }

    /// Removes an object and what belongs to it. Refused when there is none, or others refer to it.
    pub fn remove(&mut self, kind: Kind, name: &str) -> Result<(), Error> {
        let (belonging, users): (Vec<_>, Vec<_>) = references::referring(&self.cluster, kind, name)
            .into_iter()
            .partition(|object| references::goes_with_its_owner(object, kind));
        if !users.is_empty() {
            let by = users.iter().map(|user| format!("{} {}", user.kind(), user.name())).collect();
            return Err(Error::InUse { kind, name: name.to_owned(), by });
        }
        for object in belonging {
            match references::without(&object, kind) {
                Some(object) => self.put(object)?,
                None => self.take_out(object.kind(), object.name().as_str())?,
            }
        }
        self.take_out(kind, name)
    }

    /// Gives an object a new name, and all that refer to it the new reference.
    pub fn rename(&mut self, object: impl Into<Object>, old_name: &str) -> Result<(), Error> {
        let object = object.into();
        let (kind, new_name) = (object.kind(), object.name().clone());
        if new_name == old_name {
            return self.put(object);
        }
        if self.cluster.object(kind, new_name.as_str()).is_some() {
            return Err(Error::AlreadyExists { kind, name: new_name.to_string() });
        }
        let referring = references::referring(&self.cluster, kind, old_name);
        self.take_out(kind, old_name)?;
        self.put(object)?;
        for user in referring {
            let moved = references::redirect(
                &user,
                &Reference { kind, name: Name::trusted(old_name) },
                &new_name,
            );
            if moved.name() != user.name() {
                self.take_out(user.kind(), user.name().as_str())?;
            }
            self.put(moved)?;
        }
        Ok(())
    }

    fn take_out(&mut self, kind: Kind, name: &str) -> Result<(), Error> {
        let Some(old) = self.cluster.object(kind, name) else {
            return Err(Error::NotFound { kind, name: name.to_owned() });
        };
        self.edit(&Edit::Remove(kind, old.name().clone()), Some(old));
        Ok(())
    }

    fn edit(&mut self, edit: &Edit, before: Option<Object>) {
        self.cluster.apply(edit);
        let key = match edit {
            Edit::Put(object) => (object.kind(), object.name().clone()),
            Edit::Remove(kind, name) => (*kind, name.clone()),
        };
        let first = self.before.len();
        self.before.entry(key).or_insert((first, before));
    }

    fn check_addresses(&self, object: &Object) -> Result<(), Error> {
        let mut seen = Vec::new();
        for held in object.held() {
            let address = held.address;
            if seen.contains(&address) {
                return Err(Error::invalid(
                    "ipaddress",
                    format!("the address {address} is given twice"),
                ));
            }
            seen.push(address);
            let other = self.cluster.holder(address).filter(|holder| **holder != held.holder);
            // Another interface of the same object gives its address up with this very edit.
            if let Some(holder) = other.filter(|holder| !is_of(object, holder)) {
                return Err(Error::invalid(
                    "ipaddress",
                    format!("the address {address} is in use by {holder}"),
                ));
            }
            let Some(network) = &held.network else { continue };
            let network = self.cluster.network(network.as_str())?;
            let Some(range) = network.range(Family::of(address)) else {
                let reason = format!(
                    "the network '{}' has no range for the address {address}",
                    network.name
                );
                return Err(Error::invalid("ipaddress", reason));
            };
            if !range.contains(&address) {
                let reason = format!(
                    "the address {address} is outside the network '{}' ({range})",
                    network.name
                );
                return Err(Error::invalid("ipaddress", reason));
            }
        }
        Ok(())
    }

    fn check_hardware(&self, object: &Object) -> Result<(), Error> {
        let mut seen = Vec::new();
        for (mac, _) in object.hardware() {
            if seen.contains(&mac) {
                return Err(Error::invalid(
                    "macaddress",
                    format!("the MAC address {mac} is given twice"),
                ));
            }
            seen.push(mac);
            if let Some((node, interface)) =
                self.cluster.node_by_mac(mac).filter(|(node, _)| node.name != *object.name())
            {
                let reason = format!(
                    "the MAC address {mac} is that of interface {} of node {}",
                    interface.name, node.name
                );
                return Err(Error::invalid("macaddress", reason));
            }
            if let Some(reservation) = self.cluster.reservation_by_mac(mac) {
                return Err(Error::invalid("macaddress", reserved(mac, reservation)));
            }
        }
        for mac in object.reserved_hardware() {
            if seen.contains(mac) {
                let reason = format!("the MAC address {mac} is given twice");
                return Err(Error::invalid("macaddresses", reason));
            }
            seen.push(*mac);
            if let Some((node, interface)) = self.cluster.node_by_mac(*mac) {
                let reason = format!(
                    "the MAC address {mac} is that of interface {} of node {}",
                    interface.name, node.name
                );
                return Err(Error::invalid("macaddresses", reason));
            }
            let other = self.cluster.reservation_by_mac(*mac);
            if let Some(other) = other.filter(|other| other.name != *object.name()) {
                return Err(Error::invalid("macaddresses", reserved(*mac, other)));
            }
        }
        Ok(())
    }
}

fn reserved(mac: MacAddress, reservation: &Reservation) -> String {
    let Reservation { name, reason, .. } = reservation;
    format!(
        "the machine with the MAC address {mac} is kept as '{name}' ({reason}); when it may become a node, do: perilune reservation release '{name}'"
    )
}

fn is_of(object: &Object, holder: &Holder) -> bool {
    object.kind() == holder.kind() && object.name() == holder.device()
}
