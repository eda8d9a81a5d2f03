//! Addresses: which a device has, which lie in a range, and which is free.

mod free;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) use free::is_free;
pub use free::{first_free, first_free_from, next_after};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The families of IP addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, IPv4 first.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// At most one address of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Addresses {
    /// The IPv4 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
}

impl Addresses {
    /// The address of a family.
    pub fn get(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.ipv4.map(IpAddr::V4),
            Family::V6 => self.ipv6.map(IpAddr::V6),
        }
    }

    /// Sets the address of the family that `address` is of.
    pub fn set(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.ipv4 = Some(address),
            IpAddr::V6(address) => self.ipv6 = Some(address),
        }
    }

    /// Unsets the address of a family.
    pub fn clear(&mut self, family: Family) {
        match family {
            Family::V4 => self.ipv4 = None,
            Family::V6 => self.ipv6 = None,
        }
    }

    /// Those that are set, IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.ipv4.map(IpAddr::V4).into_iter().chain(self.ipv6.map(IpAddr::V6))
    }

    /// Whether neither is set.
    pub fn is_empty(&self) -> bool {
        self.ipv4.is_none() && self.ipv6.is_none()
    }
}

/// The place of an address in a range, counted from the address of the range itself.
pub(crate) fn place_in(range: IpNet, address: IpAddr) -> Option<u128> {
    if !range.contains(&address) {
        return None;
    }
    to_number(address).checked_sub(to_number(range.network()))
}

/// The address at a place of a range; `None` beyond it.
pub(crate) fn at_place(range: IpNet, place: u128) -> Option<IpAddr> {
    let number = to_number(range.network()).checked_add(place)?;
    from_number(Family::of(range.addr()), number).filter(|address| range.contains(address))
}

/// How many addresses hosts may have in a range.
pub fn capacity(range: IpNet) -> u128 {
    let (first, last) = hosts(range);
    last.saturating_sub(first).saturating_add(1)
}

/// Whether a host may have this address in this range (not the network's own, not the broadcast address).
pub fn is_host(range: IpNet, address: IpAddr) -> bool {
    let (first, last) = hosts(range);
    Family::of(range.addr()) == Family::of(address) && (first..=last).contains(&to_number(address))
}

/// The first and the last number that a host may have. RFC 3021: both of a /31 are hosts; in IPv6 the lowest
/// address is the routers' anycast address (RFC 4291, section 2.6.1).
fn hosts(range: IpNet) -> (u128, u128) {
    let (first, last) = (to_number(range.network()), to_number(range.broadcast()));
    match range {
        IpNet::V4(range) if range.prefix_len() <= 30 => (first + 1, last - 1),
        IpNet::V6(range) if range.prefix_len() <= 126 => (first + 1, last),
        IpNet::V4(_) | IpNet::V6(_) => (first, last),
    }
}

pub(crate) fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

pub(crate) fn from_number(family: Family, number: u128) -> Option<IpAddr> {
    match family {
        Family::V4 => u32::try_from(number).ok().map(|number| IpAddr::V4(number.into())),
        Family::V6 => Some(IpAddr::V6(number.into())),
    }
}
