//! Changes of what an interface is, and which combinations can be.

use crate::interface::Link;
use crate::{Name, Patch, Violation};

/// The bonding modes of the Linux driver; they may also be given by number.
const BOND_MODES: [&str; 7] = [
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "802.3ad",
    "balance-tlb",
    "balance-alb",
];
/// The smallest MTU of IPv4 (RFC 791).
const SMALLEST_MTU: u16 = 68;
/// The highest VLAN identifier (IEEE 802.1Q).
const HIGHEST_VLAN: u16 = 4095;

/// What a client asks of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkRequest {
    /// Maximum transmission unit.
    pub mtu: Patch<u16>,
    /// VLAN identifier; clearing it clears the parent.
    pub vlanid: Patch<u16>,
    /// The interface that carries the VLAN.
    pub vlan_parent: Patch<String>,
    /// Bonding mode; clearing it clears the bonded interfaces.
    pub bond_mode: Patch<String>,
    /// The interfaces that are bonded.
    pub bond_slaves: Patch<Vec<String>>,
    /// Free text.
    pub options: Patch<String>,
}

impl LinkRequest {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Changes the link; tells what cannot be.
    pub(crate) fn apply(&self, link: &mut Link) -> Vec<Violation> {
        let before = link.clone();
        if self.vlan_parent.value().is_some() && !self.mtu.is_given() {
            link.mtu = None;
        }
        self.mtu.apply(&mut link.mtu);
        self.vlanid.apply(&mut link.vlanid);
        self.vlan_parent.apply(&mut link.vlan_parent);
        self.bond_mode.apply(&mut link.bond_mode);
        self.options.apply(&mut link.options);
        match &self.bond_slaves {
            Patch::Keep => {}
            Patch::Clear => link.bond_slaves.clear(),
            Patch::Set(slaves) => link.bond_slaves.clone_from(slaves),
        }
        if self.vlanid == Patch::Clear {
            link.vlan_parent = None;
        }
        if self.bond_mode == Patch::Clear {
            link.bond_slaves.clear();
        }
        if *link == before { Vec::new() } else { violations(link) }
    }

    /// The request that makes any link like this one, as far as it says something.
    pub(crate) fn from_link(link: &Link) -> Self {
        fn set<T: Clone>(field: Option<&T>) -> Patch<T> {
            field.cloned().map_or(Patch::Keep, Patch::Set)
        }
        Self {
            mtu: set(link.mtu.as_ref()),
            vlanid: set(link.vlanid.as_ref()),
            vlan_parent: set(link.vlan_parent.as_ref()),
            bond_mode: set(link.bond_mode.as_ref()),
            bond_slaves: if link.bond_slaves.is_empty() {
                Patch::Keep
            } else {
                Patch::Set(link.bond_slaves.clone())
            },
            options: set(link.options.as_ref()),
        }
    }
}

impl Link {
    /// What cannot be: numbers out of range, and settings that cannot be together.
    pub fn violations(&self) -> Vec<Violation> {
        violations(self)
    }
}

fn violations(link: &Link) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut refuse = |field: &str, reason: String| {
        violations.push(Violation { field: field.to_owned(), reason });
    };
    if let Some(mtu) = link.mtu.filter(|mtu| *mtu < SMALLEST_MTU) {
        refuse(
            "mtu",
            format!("{mtu} is too small; give a number from {SMALLEST_MTU} to {}", u16::MAX),
        );
    }
    if let Some(vlanid) = link.vlanid.filter(|vlanid| *vlanid > HIGHEST_VLAN) {
        refuse("vlanid", format!("{vlanid} is too large; give a number up to {HIGHEST_VLAN}"));
    }
    let bonded = link.bond_mode.is_some() || !link.bond_slaves.is_empty();
    if link.vlan_parent.is_some() {
        if link.vlanid.is_none() {
            refuse("vlan_parent", "a VLAN needs its number, too; give vlanid".to_owned());
        }
        if bonded {
            refuse(
                "vlan_parent",
                "an interface cannot be a VLAN and a bond; use one interface for each".to_owned(),
            );
        }
    }
    if let Some(mode) = link.bond_mode.as_deref().filter(|mode| !is_bond_mode(mode)) {
        refuse(
            "bond_mode",
            format!("'{mode}' is not a bonding mode; use one of {}", BOND_MODES.join(", ")),
        );
    }
    if link.bond_mode.is_some() && link.bond_slaves.is_empty() {
        refuse(
            "bond_slaves",
            "a bond needs the interfaces that it bonds; give at least two".to_owned(),
        );
    }
    if bonded && link.bond_mode.is_none() {
        refuse("bond_mode", format!("a bond needs its mode; use one of {}", BOND_MODES.join(", ")));
    }
    if link.bond_slaves.len() == 1 {
        refuse("bond_slaves", "a bond needs at least two interfaces".to_owned());
    }
    violations
}

/// The first VLAN of these interfaces that has a larger MTU than its parent, where both are known, by its place, and why that cannot be.
pub fn oversized_vlan(interfaces: &[(&Name, &Link)]) -> Option<(usize, String)> {
    interfaces.iter().enumerate().find_map(|(place, (name, link))| {
        let (parent, mtu) = link.vlan_parent.as_deref().zip(link.mtu)?;
        let (_, carrier) = interfaces.iter().find(|(other, _)| other.as_str() == parent)?;
        let largest = carrier.mtu.filter(|largest| mtu > *largest)?;
        let reason = format!(
            "the VLAN '{name}' has an MTU of {mtu}, and its parent '{parent}' one of {largest}; a VLAN cannot have a larger one"
        );
        Some((place, reason))
    })
}

/// The first of these interfaces that would carry itself, by its place, the field that says so, and why that cannot be.
pub fn circular(interfaces: &[(&Name, &Link)]) -> Option<(usize, &'static str, String)> {
    let carriers = |name: &str| {
        let link = interfaces.iter().find(|(other, _)| other.as_str() == name);
        let link = link.map(|(_, link)| *link);
        let parent = link.and_then(|link| link.vlan_parent.as_deref());
        let slaves = link.into_iter().flat_map(|link| link.bond_slaves.iter().map(String::as_str));
        parent.into_iter().chain(slaves).collect::<Vec<&str>>()
    };
    interfaces.iter().enumerate().find_map(|(place, (name, link))| {
        // Each is looked at once, so that this ends whatever they say.
        let mut seen: Vec<&str> = Vec::new();
        let mut waiting = carriers(name.as_str());
        while let Some(next) = waiting.pop() {
            if next == name.as_str() {
                let field = if link.vlan_parent.is_some() { "vlan_parent" } else { "bond_slaves" };
                let reason = format!("the interface '{name}' would carry itself");
                return Some((place, field, reason));
            }
            if !seen.contains(&next) {
                seen.push(next);
                waiting.extend(carriers(next));
            }
        }
        None
    })
}

fn is_bond_mode(mode: &str) -> bool {
    BOND_MODES.contains(&mode)
        || mode.parse::<usize>().is_ok_and(|number| number < BOND_MODES.len() && mode.len() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(request: &LinkRequest, link: &Link) -> Vec<String> {
        let mut link = link.clone();
        request.apply(&mut link).into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn no_interface_carries_itself() {
        let vlan = |parent: &str| Link { vlan_parent: Some(parent.to_owned()), ..Link::default() };
        let bond = |slaves: &[&str]| Link {
            bond_slaves: slaves.iter().map(|slave| (*slave).to_owned()).collect(),
            ..Link::default()
        };
        let found = |links: &[(&str, Link)]| {
            let names: Vec<Name> = links.iter().map(|(name, _)| Name::trusted(name)).collect();
            let links: Vec<_> = names.iter().zip(links.iter().map(|(_, link)| link)).collect();
            circular(&links).map(|(place, field, _)| (place, field))
        };
        assert_eq!(found(&[("a", vlan("a"))]), Some((0, "vlan_parent")));
        assert_eq!(found(&[("a", vlan("b")), ("b", vlan("a"))]), Some((0, "vlan_parent")));
        let over_bond = [("v", vlan("bond0")), ("bond0", bond(&["eth0", "v"]))];
        assert_eq!(found(&over_bond), Some((0, "vlan_parent")));
        assert_eq!(found(&[("bond0", bond(&["bond0", "eth0"]))]), Some((0, "bond_slaves")));
        let fine = [("v", vlan("bond0")), ("bond0", bond(&["eth0", "eth1"])), ("w", vlan("v"))];
        assert_eq!(found(&fine), None);
    }

    #[test]
    fn a_vlan_needs_its_number_and_takes_the_mtu_of_its_parent_unless_it_has_its_own() {
        let parent =
            LinkRequest { vlan_parent: Patch::Set("eth0".into()), ..LinkRequest::default() };
        assert_eq!(fields(&parent, &Link::default()), ["vlan_parent"]);
        let mut link = Link { mtu: Some(9000), vlanid: Some(100), ..Link::default() };
        assert_eq!(parent.apply(&mut link), []);
        assert_eq!(link.mtu, None);
        let mtu = LinkRequest { mtu: Patch::Set(9000), ..LinkRequest::default() };
        assert_eq!(fields(&mtu, &link), [""; 0]);
        let number = LinkRequest { vlanid: Patch::Clear, ..LinkRequest::default() };
        assert_eq!(number.apply(&mut link), []);
        assert_eq!(link.vlan_parent, None);
    }

    #[test]
    fn only_a_vlan_that_is_larger_than_a_parent_that_is_known_cannot_be() {
        let (parent, vlan) = (Name::trusted("eth0"), Name::trusted("vlan7"));
        let fault = |largest: Option<u16>, mtu: Option<u16>, of: &str| {
            let carrier = Link { mtu: largest, ..Link::default() };
            let link =
                Link { mtu, vlanid: Some(7), vlan_parent: Some(of.into()), ..Link::default() };
            oversized_vlan(&[(&vlan, &link), (&parent, &carrier)]).map(|(place, _)| place)
        };
        assert_eq!(fault(Some(1500), Some(1501), "eth0"), Some(0));
        for (largest, mtu, of) in [
            (Some(9000), Some(1500), "eth0"),
            (Some(9000), Some(9000), "eth0"),
            (None, Some(9000), "eth0"),
            (Some(1500), None, "eth0"),
            (Some(1500), Some(9000), "eth1"),
        ] {
            assert_eq!(fault(largest, mtu, of), None, "{largest:?} {mtu:?} {of}");
        }
    }

    #[test]
    fn a_bond_needs_a_mode_and_two_interfaces() {
        let slaves =
            |names: &[&str]| Patch::Set(names.iter().map(|name| (*name).to_owned()).collect());
        let mode = |text: &str| Patch::Set(text.to_owned());
        let request = |bond_mode, bond_slaves| LinkRequest {
            bond_mode,
            bond_slaves,
            ..LinkRequest::default()
        };
        let link = Link::default();
        assert_eq!(fields(&request(mode("802.3ad"), Patch::Keep), &link), ["bond_slaves"]);
        assert_eq!(fields(&request(Patch::Keep, slaves(&["eth0", "eth1"])), &link), ["bond_mode"]);
        assert_eq!(fields(&request(mode("7"), slaves(&["eth0", "eth1"])), &link), ["bond_mode"]);
        assert_eq!(fields(&request(mode("4"), slaves(&["eth0"])), &link), ["bond_slaves"]);
        assert!(fields(&request(mode("4"), slaves(&["eth0", "eth1"])), &link).is_empty());
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let request =
            LinkRequest { mtu: Patch::Set(67), vlanid: Patch::Set(4096), ..LinkRequest::default() };
        assert_eq!(fields(&request, &Link::default()), ["mtu", "vlanid"]);
    }
}
