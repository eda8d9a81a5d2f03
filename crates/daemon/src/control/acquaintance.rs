//! Whose BMC is at which address, and how it is spoken to: when that changes, what was remembered of it is of no use any more.

use std::collections::BTreeMap;
use std::net::IpAddr;

use perilune_bmc::{Credentials, Driver, Target};

/// What became of a BMC since it was last spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// It is as it was, or nobody has spoken to it yet.
    None,
    /// It is spoken to in another way: other user, password, protocol or port.
    Way,
    /// Another node has its address now.
    Node,
}

/// The BMCs that were spoken to, by address.
#[derive(Debug, Default)]
pub(super) struct Acquaintances(BTreeMap<IpAddr, Acquaintance>);

#[derive(Debug, PartialEq, Eq)]
struct Acquaintance {
    node: String,
    way: Way,
}

#[derive(Debug, PartialEq, Eq)]
struct Way {
    credentials: Credentials,
    driver: Driver,
    ports: (u16, u16),
}

impl Acquaintances {
    /// Notes how a BMC is spoken to now.
    pub(super) fn meet(&mut self, target: &Target) -> News {
        let way = Way {
            credentials: target.credentials.clone(),
            driver: target.driver.clone(),
            ports: (target.ipmi.port, target.redfish.port),
        };
        let now = Acquaintance { node: target.name.clone(), way };
        let news = match self.0.get(&target.address) {
            Some(before) if before.node != now.node => News::Node,
            Some(before) if *before != now => News::Way,
            _ => News::None,
        };
        self.0.insert(target.address, now);
        news
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn target(node: &str, password: &str) -> Target {
        let credentials = Credentials { user: "admin".to_owned(), password: password.to_owned() };
        Target::new(node, Ipv4Addr::LOCALHOST.into(), credentials)
    }

    #[test]
    fn a_change_of_setup_or_owner_is_noticed_once() {
        let mut known = Acquaintances::default();
        assert_eq!(known.meet(&target("node001", "a")), News::None);
        assert_eq!(known.meet(&target("node001", "b")), News::Way);
        assert_eq!(known.meet(&target("node001", "b")), News::None);
        let redfish = Target { driver: Driver::Redfish, ..target("node001", "b") };
        assert_eq!(known.meet(&redfish), News::Way);
        assert_eq!(known.meet(&target("node002", "b")), News::Node);
        assert_eq!(known.meet(&target("node002", "b")), News::None);
    }
}
