//! Which nodes have a machine that boots as them, kept with every change, so that nobody looks through all nodes for it.

use imbl::OrdSet;

use crate::Name;
use crate::interface::BOOT_INTERFACE;
use crate::node::Node;

/// The nodes by the machine that boots as them, each kind in name order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Machines {
    /// The interface that they boot by has a hardware address.
    pub occupied: OrdSet<Name>,
    /// It has none so far: a machine may still become the node.
    pub vacant: OrdSet<Name>,
    /// They have no interface `BOOTIF`.
    pub without_interface: OrdSet<Name>,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Occupied,
    Vacant,
    WithoutInterface,
}

impl Machines {
    pub(crate) fn reindex(&mut self, old: Option<&Node>, new: Option<&Node>) {
        let (left, come) = (old.map(place), new.map(place));
        if left == come {
            return;
        }
        if let Some((name, place)) = left {
            self.of(place).remove(name);
        }
        if let Some((name, place)) = come {
            self.of(place).insert(name.clone());
        }
    }

    fn of(&mut self, place: Place) -> &mut OrdSet<Name> {
        match place {
            Place::Occupied => &mut self.occupied,
            Place::Vacant => &mut self.vacant,
            Place::WithoutInterface => &mut self.without_interface,
        }
    }
}

fn place(node: &Node) -> (&Name, Place) {
    let place = match node.interface(BOOT_INTERFACE) {
        Some(interface) if interface.macaddress.is_some() => Place::Occupied,
        Some(_) => Place::Vacant,
        None => Place::WithoutInterface,
    };
    (&node.name, place)
}
