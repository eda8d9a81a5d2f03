//! Whose BMC is at which address, and how it is called: when that changes, what was remembered of it is of no use any more.

use std::collections::BTreeMap;
use std::net::IpAddr;

use perilune_bmc::{Credentials, Driver, Target};

/// What is different about a BMC since it was last called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    /// Nothing, or it was never called before.
    None,
    /// User, password, protocol or port.
    Access,
    /// Another node has its address now.
    Node,
}

/// The BMCs that were called, by address.
#[derive(Debug, Default)]
pub(super) struct KnownBmcs(BTreeMap<IpAddr, KnownBmc>);

#[derive(Debug, PartialEq, Eq)]
struct KnownBmc {
    node: String,
    access: Access,
}

#[derive(Debug, PartialEq, Eq)]
struct Access {
    credentials: Credentials,
    driver: Driver,
    ports: (u16, u16),
}

impl KnownBmcs {
    /// Notes how a BMC is called now, and answers what is different.
    pub(super) fn note(&mut self, target: &Target) -> Difference {
        let access = Access {
            credentials: target.credentials.clone(),
            driver: target.driver.clone(),
            ports: (target.ipmi.port, target.redfish.port),
        };
        let now = KnownBmc { node: target.name.clone(), access };
        let difference = match self.0.get(&target.address) {
            Some(before) if before.node != now.node => Difference::Node,
            Some(before) if *before != now => Difference::Access,
            _ => Difference::None,
        };
        self.0.insert(target.address, now);
        difference
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
        let mut known = KnownBmcs::default();
        assert_eq!(known.note(&target("node001", "a")), Difference::None);
        assert_eq!(known.note(&target("node001", "b")), Difference::Access);
        assert_eq!(known.note(&target("node001", "b")), Difference::None);
        let redfish = Target { driver: Driver::Redfish, ..target("node001", "b") };
        assert_eq!(known.note(&redfish), Difference::Access);
        assert_eq!(known.note(&target("node002", "b")), Difference::Node);
        assert_eq!(known.note(&target("node002", "b")), Difference::None);
    }
}
