//! Names of machines that hold an address for a time: nodes without an address of their own, and strangers that say what they are called.

use std::net::IpAddr;

use imbl::OrdMap;
use perilune_model::{Family, MacAddress};

/// Names that strangers must not have in any network: programs look for services there (RFC 6761, section 6.3; RFC 5214; automatic
/// configuration of proxies).
const NEVER: [&str; 4] = ["localhost", "wpad", "isatap", "autodiscover"];
/// The longest label (RFC 1035, section 2.3.4).
const LONGEST: usize = 63;

/// An address that is lent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent {
    /// Who has it.
    pub mac: MacAddress,
    /// When it ends, in milliseconds since 1970 by the clock of leases.
    pub until: u64,
    /// What the machine calls itself, as [`lent_name`] makes it.
    pub name: Option<String>,
}

/// All that is lent. Cloning costs a few pointers.
#[derive(Debug, Clone, Default)]
pub struct LentNames {
    leases: OrdMap<IpAddr, Lent>,
    machines: OrdMap<(MacAddress, Family), IpAddr>,
    /// In the order in which the name was taken: whoever comes later does not take it away.
    names: OrdMap<String, Vec<IpAddr>>,
}

impl LentNames {
    /// Notes what an address is lent to.
    pub fn put(&mut self, address: IpAddr, lent: Lent) {
        let known = self.leases.get(&address);
        let is_same = known.is_some_and(|old| old.name == lent.name && old.mac == lent.mac);
        if !is_same {
            self.remove(address);
            if let Some(name) = &lent.name {
                self.names.entry(name.clone()).or_default().push(address);
            }
            self.machines.insert((lent.mac.port(), Family::of(address)), address);
        }
        self.leases.insert(address, lent);
    }

    /// Notes that an address is lent to nobody.
    pub fn remove(&mut self, address: IpAddr) {
        let Some(lent) = self.leases.remove(&address) else { return };
        let machine = (lent.mac.port(), Family::of(address));
        if self.machines.get(&machine) == Some(&address) {
            self.machines.remove(&machine);
        }
        let Some(name) = lent.name else { return };
        let mut others = self.names.remove(&name).unwrap_or_default();
        others.retain(|other| *other != address);
        if !others.is_empty() {
            self.names.insert(name, others);
        }
    }

    /// What holds an address at this time.
    pub(crate) fn at(&self, address: IpAddr, now: u64) -> Option<&Lent> {
        self.leases.get(&address).filter(|lent| lent.until > now)
    }

    /// The address of a family that a machine holds at this time.
    pub(crate) fn of(&self, mac: MacAddress, family: Family, now: u64) -> Option<IpAddr> {
        let address = *self.machines.get(&(mac.port(), family))?;
        self.at(address, now).map(|_| address)
    }

    /// The addresses whose machines call themselves so at this time, who was first comes first.
    pub(crate) fn called(&self, name: &str, now: u64) -> impl Iterator<Item = (IpAddr, &Lent)> {
        let addresses = self.names.get(name).into_iter().flatten();
        addresses.filter_map(move |address| Some((*address, self.at(*address, now)?)))
    }
}

/// The name that a machine gets by what it says of itself (options 12 and 81 of DHCP): the first label, in lower case. `None` for what is
/// no host name, or means something to others.
pub fn lent_name(said: &[u8]) -> Option<String> {
    let said = std::str::from_utf8(said).ok()?.trim_matches(['\0', '.']);
    let name = said.split('.').next()?.to_ascii_lowercase();
    let characters = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let has_ends = !name.starts_with('-') && !name.ends_with('-');
    let is_right = (1..=LONGEST).contains(&name.len()) && characters && has_ends;
    (is_right && !NEVER.contains(&name.as_str())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lent(last: u8, until: u64, name: &str) -> Lent {
        let mac = MacAddress::from_bytes(&[2, 0, 0, 0, 0, last]).unwrap();
        Lent { mac, until, name: Some(name.to_owned()) }
    }

    #[test]
    fn a_host_name_is_taken_from_what_machines_say() {
        for (said, name) in [
            ("Laptop-7", Some("laptop-7")),
            ("laptop.example.org.", Some("laptop")),
            ("laptop\0", Some("laptop")),
            ("", None),
            ("-x", None),
            ("*", None),
            ("a b", None),
            ("bücher", None),
            ("WPAD.cluster", None),
            ("localhost", None),
        ] {
            assert_eq!(lent_name(said.as_bytes()).as_deref(), name, "{said}");
        }
        assert_eq!(lent_name(&[0xff, 0xfe]), None);
        assert_eq!(lent_name(&[b'x'; 64]), None);
    }

    #[test]
    fn who_takes_a_name_first_keeps_it_while_it_holds_its_address() {
        let (first, second) = (IpAddr::from([10, 0, 0, 9]), IpAddr::from([10, 0, 0, 1]));
        let mut names = LentNames::default();
        names.put(first, lent(1, 100, "laptop"));
        names.put(second, lent(2, 200, "laptop"));
        names.put(first, lent(1, 150, "laptop"));
        let called = |names: &LentNames, now| names.called("laptop", now).next().map(|(at, _)| at);
        assert_eq!(called(&names, 120), Some(first));
        assert_eq!(called(&names, 150), Some(second));
        assert_eq!(called(&names, 200), None);
        names.remove(first);
        assert_eq!(called(&names, 0), Some(second));
        names.put(second, lent(2, 200, "desk"));
        assert_eq!(called(&names, 0), None);
    }

    #[test]
    fn a_machine_that_moves_is_at_its_new_address() {
        let (old, new) = (IpAddr::from([10, 0, 0, 9]), IpAddr::from([10, 0, 0, 1]));
        let mut names = LentNames::default();
        let machine = lent(1, 100, "laptop");
        names.put(old, machine.clone());
        names.put(new, machine.clone());
        names.remove(old);
        assert_eq!(names.of(machine.mac, Family::V4, 0), Some(new));
        let other = "fd00::9".parse().unwrap();
        names.put(other, machine.clone());
        assert_eq!(names.of(machine.mac, Family::V4, 0), Some(new), "it has one of each family");
        assert_eq!(names.of(machine.mac, Family::V6, 0), Some(other));
    }
}
