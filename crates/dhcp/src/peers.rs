//! The controllers that answer the machines of one cluster together. Each decides by itself, and all the same way: which of them a node boots from, and
//! which addresses each lends to strangers, goes by rendezvous hashing over those that run, so that little changes when one comes or goes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use perilune_model::network::Network;
use perilune_model::{Family, MacAddress};

/// The controllers that answer together, as of now; none where there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    /// This one.
    pub own: String,
    /// All that run, this one among them.
    pub all: Vec<Peer>,
    /// This one does not know all that is stored, and another that runs does.
    pub is_behind: bool,
}

/// A controller that answers machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Where machines boot from it, on each wire.
    pub servers: Vec<BootServer>,
}

/// Where machines of a wire boot from a controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootServer {
    /// Its address there, for TFTP.
    pub address: IpAddr,
    /// Where boot scripts and files are fetched: `http://ADDRESS:PORT`.
    pub url: String,
}

impl Peers {
    /// The controller that a machine boots from, whichever controller answers; `None` where the one that answers decides.
    pub(crate) fn server_of(
        &self,
        mac: MacAddress,
        network: &Network,
        family: Family,
    ) -> Option<&BootServer> {
        let on_wire = |server: &&BootServer| {
            Family::of(server.address) == family && network.contains(server.address)
        };
        let there = |peer: &&Peer| peer.servers.iter().any(|server| on_wire(&server));
        let chosen = chosen(self.all.iter().filter(there), mac.as_bytes())?;
        chosen.servers.iter().find(on_wire)
    }

    /// Whether an address of a dynamic range is in this controller's share.
    pub(crate) fn lends(&self, network: &Network, address: IpAddr) -> bool {
        let there =
            |peer: &&Peer| peer.servers.iter().any(|server| network.contains(server.address));
        let key = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        // All controllers hear messages of a network behind a relay.
        let chosen = chosen(self.all.iter().filter(there), &key);
        let chosen = chosen.or_else(|| self::chosen(self.all.iter(), &key));
        chosen.is_none_or(|chosen| chosen.name == self.own)
    }
}

fn chosen<'a>(peers: impl Iterator<Item = &'a Peer>, key: &[u8]) -> Option<&'a Peer> {
    peers.max_by_key(|peer| (weight(&peer.name, key), &peer.name))
}

/// FNV-1a, and a last mixing of its bits: what every version of this program must do the same way.
fn weight(name: &str, key: &[u8]) -> u64 {
    let bytes = name.bytes().chain([0]).chain(key.iter().copied());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Machines that a controller which is behind has heard once: at the second time nobody else has answered them.
#[derive(Debug, Default)]
pub(crate) struct HeardOnce(BTreeMap<MacAddress, u64>);

/// As many machines are remembered.
const MOST: usize = 4096;
/// A machine that begins again after this many milliseconds has had no answer, or boots again.
const WITHIN: u64 = 60_000;

impl HeardOnce {
    /// Whether a machine that looks for a server is left to others.
    pub(crate) fn leaves(&mut self, peers: &Peers, mac: MacAddress, now: u64) -> bool {
        if !peers.is_behind {
            self.0.clear();
            return false;
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        match self.0.insert(mac, now) {
            Some(before) => now.saturating_sub(before) > WITHIN,
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use perilune_model::Name;

    use super::*;

    fn peers(own: &str, names: &[&str]) -> Peers {
        let peer = |(number, name): (usize, &&str)| {
            let address = format!("10.141.255.{}", 250 + number);
            let url = format!("http://{address}:7050");
            let servers = vec![BootServer { address: address.parse().unwrap(), url }];
            Peer { name: (*name).to_owned(), servers }
        };
        let all = names.iter().enumerate().map(peer).collect();
        Peers { own: own.to_owned(), all, is_behind: false }
    }

    fn network() -> Network {
        let name = Name::trusted("cluster");
        Network { name, ipv4: "10.141.0.0/16".parse().ok(), ..Network::default() }
    }

    fn mac(number: u8) -> MacAddress {
        MacAddress::ethernet([0x52, 0x54, 0, 0, 0, number])
    }

    #[test]
    fn whoever_answers_a_node_boots_from_the_same_and_few_from_another_when_one_is_gone() {
        let (names, network) = (["one", "two", "three"], network());
        let of = |peers: &Peers, number| {
            peers.server_of(mac(number), &network, Family::V4).map(|server| server.url.clone())
        };
        let (one, two) = (peers("one", &names), peers("two", &names));
        let mut without = one.clone();
        without.all.pop();
        let mut at_last = 0;
        for number in 0..=255 {
            let chosen = of(&one, number);
            assert_eq!(chosen, of(&two, number));
            if chosen.as_deref() == Some("http://10.141.255.252:7050") {
                at_last += 1;
            } else {
                assert_eq!(chosen, of(&without, number), "only its own go elsewhere");
            }
        }
        assert!((50..120).contains(&at_last), "{at_last} of 256");
        assert_eq!(one.server_of(mac(1), &network, Family::V6), None);
        assert_eq!(Peers::default().server_of(mac(1), &network, Family::V4), None);
    }

    #[test]
    fn every_address_is_in_one_share_and_in_anothers_when_its_controller_is_gone() {
        let (names, network) = (["one", "two"], network());
        let both = names.map(|own| peers(own, &names));
        let alone = peers("one", &["one"]);
        let mut first = 0;
        for number in 0..=255 {
            let address = IpAddr::from([10, 141, 200, number]);
            let shares = both.each_ref().map(|own| own.lends(&network, address));
            assert_eq!(shares.iter().filter(|own| **own).count(), 1, "{address}");
            first += u32::from(shares[0]);
            assert!(alone.lends(&network, address) && Peers::default().lends(&network, address));
        }
        assert!((90..170).contains(&first), "{first} of 256");
    }

    #[test]
    fn who_is_behind_leaves_the_first_call_to_others() {
        let mut heard = HeardOnce::default();
        let fresh = peers("one", &["one", "two"]);
        let behind = Peers { is_behind: true, ..fresh.clone() };
        assert!(!heard.leaves(&fresh, mac(1), 0));
        assert!(heard.leaves(&behind, mac(1), 0) && !heard.leaves(&behind, mac(1), 4000));
        assert!(heard.leaves(&behind, mac(2), 4000));
        assert!(heard.leaves(&behind, mac(2), 4000 + WITHIN + 1), "it is another boot");
        assert!(!heard.leaves(&fresh, mac(3), 4000));
    }
}
