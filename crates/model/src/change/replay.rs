//! Doing edits that were decided before, such as those that take a commit back, on a cluster that may have moved on.

use std::collections::BTreeSet;

use crate::object::Object;
use crate::{Draft, Edit, Error, Kind, Name, group, references};

impl Draft {
    /// Does edits as they stand, in their order; between them, objects may refer to what is not there yet. Afterwards every
    /// object is as sound as [`Draft::put`] would have it, or all is refused.
    pub fn replay(&mut self, edits: &[Edit]) -> Result<(), Error> {
        let touched: BTreeSet<(Kind, Name)> = edits
            .iter()
            .map(|edit| match edit {
                Edit::Put(object) => (object.kind(), object.name().clone()),
                Edit::Remove(kind, name) => (*kind, name.clone()),
            })
            .collect();
        let before = self.cluster.clone();
        for edit in edits {
            match edit {
                Edit::Put(object) => {
                    self.check_others(object, &touched)?;
                    self.put_unchecked(object.clone());
                }
                Edit::Remove(kind, name) if self.object(*kind, name.as_str()).is_some() => {
                    self.take_out(*kind, name.as_str())?;
                }
                Edit::Remove(..) => {}
            }
        }
        self.drop_identities(&touched)?;
        for (kind, name) in &touched {
            match self.object(*kind, name.as_str()) {
                Some(object) => {
                    references::check(self, None, &object)?;
                    group::parent::check(self, &object)?;
                    self.check_addresses(&object)?;
                    self.check_hardware(&object)?;
                    self.check_fit(&object)?;
                    self.check_gateways(before.object(*kind, name.as_str()).as_ref(), &object)?;
                }
                None => self.check_unused(*kind, name)?,
            }
        }
        Ok(())
    }

    /// The identity of a node is made when the node is installed, and keeps nobody from taking back that the node was described.
    fn drop_identities(&mut self, touched: &BTreeSet<(Kind, Name)>) -> Result<(), Error> {
        let nodes = touched.iter().filter(|(kind, _)| *kind == Kind::Node);
        for (_, name) in nodes {
            if !self.nodes().contains_key(name) && self.node_identities().contains_key(name) {
                self.take_out(Kind::NodeIdentity, name.as_str())?;
            }
        }
        Ok(())
    }

    /// What the object wants must not be held by somebody who does not give it up with these edits.
    fn check_others(&self, object: &Object, touched: &BTreeSet<(Kind, Name)>) -> Result<(), Error> {
        for held in object.held() {
            let other = self.holder(held.address);
            let other =
                other.filter(|other| !touched.contains(&(other.kind(), other.device().clone())));
            if let Some(other) = other {
                let reason = format!("the address {} is in use by {other}", held.address);
                return Err(Error::invalid("ipaddress", reason));
            }
        }
        // A node may take a machine that these very edits release; both are looked at again when all is done.
        for (mac, _) in object.hardware() {
            let other = self
                .node_by_mac(mac)
                .filter(|(node, _)| !touched.contains(&(Kind::Node, node.name.clone())));
            if let Some((node, interface)) = other {
                let reason = format!(
                    "the MAC address {mac} is that of interface {} of node {}",
                    interface.name, node.name
                );
                return Err(Error::invalid("macaddress", reason));
            }
        }
        Ok(())
    }

    fn check_unused(&self, kind: Kind, name: &Name) -> Result<(), Error> {
        let users = references::referring(self, kind, name.as_str());
        if users.is_empty() {
            return Ok(());
        }
        let by = users.iter().map(|user| format!("{} {}", user.kind(), user.name())).collect();
        Err(Error::InUse { kind, name: name.to_string(), by })
    }
}
