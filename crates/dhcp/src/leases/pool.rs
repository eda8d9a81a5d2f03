//! How much of a dynamic range is held, and by whom: so that no stranger takes all of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use perilune_model::MacAddress;
use serde::{Deserialize, Serialize};

use super::REMEMBERED;

/// From where a machine asks, as far as it cannot choose that: whoever invents machines shares what one source may have.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// It is a node.
    #[default]
    Node,
    /// A stranger, of whom nothing speaks against being one machine.
    Machine,
    /// Strangers behind a relay that does not say at which port.
    Relay(IpAddr),
    /// Strangers at a port, as the relay or the switch calls it.
    Port(String),
    /// Strangers whose frames come from another card than they say.
    Ethernet(MacAddress),
    /// Strangers whose frames were missed, as it happens in a flood.
    Missed,
}

impl Source {
    /// Whether a node asks.
    pub fn is_node(&self) -> bool {
        *self == Self::Node
    }

    /// Whose share it is that an address would have been of, for people: the end of a sentence.
    pub(crate) fn of_share(&self) -> String {
        match self {
            Self::Node => String::new(),
            Self::Machine => ", or all that strangers may have is lent".to_owned(),
            Self::Relay(relay) => format!(", or the share of relay {relay} is lent"),
            Self::Port(port) => format!(", or the share of port {port} is lent"),
            Self::Ethernet(card) => format!(", or the share of the card {card} is lent"),
            Self::Missed => ", or the share of machines that ask in a flood is lent".to_owned(),
        }
    }

    /// How many addresses of a range it may hold.
    fn share(&self, size: u64) -> u64 {
        /// So many at least: a port may lead to a few machines.
        const FEW: u64 = 4;
        match self {
            Self::Node | Self::Machine => size,
            // Often it is the only way into its network, so it leaves but a little for others.
            Self::Relay(_) => (size - size / 8).max(FEW),
            // It may be an access switch's port, or the name by which a relay calls a whole network.
            Self::Port(_) => (size / 2).max(FEW),
            // Honest machines do not share one; those of some hypervisors may.
            Self::Ethernet(_) | Self::Missed => (size / 8).max(FEW),
        }
    }
}

/// An address as the number that it is.
pub(crate) fn numbered(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// Up or down by one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Count {
    More,
    Less,
}

impl Count {
    pub(super) fn apply(self, number: &mut u64) {
        *number = match self {
            Self::More => number.saturating_add(1),
            Self::Less => number.saturating_sub(1),
        };
    }
}

/// What is held of a range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) size: u64,
    /// Addresses that somebody has or had.
    pub(super) known: u64,
    /// Addresses that rest, since somebody else is there.
    pub(super) declined: u64,
    /// Addresses of strangers that run, those that rest among them.
    strangers: u64,
    nodes: u64,
    by_source: BTreeMap<Source, u64>,
}

impl Pool {
    pub(super) fn of(range: &RangeInclusive<IpAddr>) -> Self {
        let size = numbered(*range.end()).checked_sub(numbered(*range.start()));
        let size = size.map_or(0, |more| more.saturating_add(1));
        // No more than this of a larger range is used: one range must not take all entries of the table from the others.
        let size = size.min(u128::try_from(REMEMBERED / 4).unwrap_or(u128::MAX));
        Self { size: size.try_into().unwrap_or(u64::MAX), ..Self::default() }
    }

    pub(super) fn count(&mut self, source: &Source, declined: bool, change: Count) {
        if declined {
            change.apply(&mut self.declined);
        }
        match source {
            Source::Node => return change.apply(&mut self.nodes),
            Source::Machine => return change.apply(&mut self.strangers),
            Source::Relay(_) | Source::Port(_) | Source::Ethernet(_) | Source::Missed => {
                change.apply(&mut self.strangers);
            }
        }
        let held = self.by_source.entry(source.clone()).or_default();
        change.apply(held);
        if *held == 0 {
            self.by_source.remove(source);
        }
    }

    /// Whether one more lease of this source fits beside those that nodes need.
    pub(super) fn has_room(&self, source: &Source, needed: u64) -> bool {
        let held = self.by_source.get(source).copied().unwrap_or_default();
        let all = self.strangers + self.nodes;
        let for_strangers = self.size.saturating_sub(needed.max(self.nodes));
        match source {
            Source::Node => all < self.size,
            _ => self.strangers < for_strangers && held < source.share(self.size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_without_end_takes_a_part_of_what_is_remembered() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(Pool::of(&(at("10.0.0.1")..=at("10.0.0.10"))).size, 10);
        let whole = Pool::of(&(at("fd00::")..=at("fd00::ffff:ffff:ffff:ffff")));
        assert_eq!(usize::try_from(whole.size), Ok(REMEMBERED / 4));
        assert!(!Pool { strangers: whole.size, ..whole }.has_room(&Source::Machine, 0));
        assert_eq!(Pool::of(&(at("10.0.0.2")..=at("10.0.0.1"))).size, 0);
    }
}
