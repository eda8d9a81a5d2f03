//! Who holds an address or a hardware address.

use std::fmt;
use std::net::IpAddr;

use crate::{Addresses, Kind, Name};

/// Whose address or hardware address something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A controller.
    Controller(Name),
    /// An interface of a node.
    Interface {
        /// The node.
        node: Name,
        /// Its interface.
        interface: Name,
    },
    /// A switch.
    Switch(Name),
    /// Another device.
    OtherDevice(Name),
    /// A machine about which nobody has decided yet.
    Reservation(Name),
}

impl Holder {
    /// The kind of the device that holds it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Controller(_) => Kind::Controller,
            Self::Interface { .. } => Kind::Node,
            Self::Switch(_) => Kind::Switch,
            Self::OtherDevice(_) => Kind::OtherDevice,
            Self::Reservation(_) => Kind::Reservation,
        }
    }

    /// The name of the device that holds it.
    pub fn device(&self) -> &Name {
        match self {
            Self::Controller(name)
            | Self::Switch(name)
            | Self::OtherDevice(name)
            | Self::Reservation(name) => name,
            Self::Interface { node, .. } => node,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller(name) => write!(formatter, "controller {name}"),
            Self::Interface { node, interface } => {
                write!(formatter, "interface {interface} of node {node}")
            }
            Self::Switch(name) => write!(formatter, "switch {name}"),
            Self::OtherDevice(name) => write!(formatter, "other device {name}"),
            Self::Reservation(name) => write!(
                formatter,
                "reservation {name}, which waits for a decision; see perilune reservation show '{name}'"
            ),
        }
    }
}

/// An address that an object holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) address: IpAddr,
    pub(crate) network: Option<Name>,
    pub(crate) holder: Holder,
}

impl Held {
    /// Those that `holder` holds in a network.
    pub(crate) fn all(addresses: Addresses, network: Option<&Name>, holder: &Holder) -> Vec<Self> {
        let held = |address| Self { address, network: network.cloned(), holder: holder.clone() };
        addresses.iter().map(held).collect()
    }
}
