//! Which zones there are, and in which a name is.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use perilune_model::network::Network;
use perilune_model::{Family, Name};

use crate::keys::{parents, splits};
use crate::reverse::{self, Reverse};
use crate::view::View;

/// The longest prefix that has a zone of whole octets of its own.
const BLOCK: u8 = 24;
/// An IPv6 zone ends a nibble before the address at the latest, so that it has room for names.
const MOST_NIBBLES: usize = 31;

/// A zone that is ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// The domain of a network.
    Forward(Name),
    /// Names of the 256 IPv4 addresses that begin with these octets.
    V4([u8; 3]),
    /// Names of a network of fewer than 256 IPv4 addresses, for whom the parent zone refers to it (RFC 2317).
    Classless {
        /// The network's range.
        range: Ipv4Net,
        /// Whether its label is `first/prefix` and not `first-last`.
        with_slash: bool,
    },
    /// Names of IPv6 addresses that begin with these nibbles.
    V6(Ipv6Net),
}

impl Zone {
    /// Its name: lower case, without the dot of the root.
    pub fn name(&self) -> String {
        match self {
            Self::Forward(name) => name.as_str().to_ascii_lowercase(),
            Self::V4(block) => reverse::v4_name(block),
            Self::Classless { range, with_slash } => {
                let [plain, with_prefix] = reverse::classless_labels(*range);
                let label = if *with_slash { with_prefix } else { plain };
                let [a, b, c, _] = range.network().octets();
                format!("{label}.{}", reverse::v4_name(&[a, b, c]))
            }
            Self::V6(prefix) => {
                let nibbles = reverse::nibbles(prefix.network());
                let length = usize::from(prefix.prefix_len() / 4);
                reverse::v6_name(nibbles.get(..length).unwrap_or_default())
            }
        }
    }

    /// The addresses that its names are of; none for a domain.
    pub(crate) fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        let range = match self {
            Self::Forward(_) => return None,
            Self::V4(block) => IpNet::V4(range_of(*block)),
            Self::Classless { range, .. } => IpNet::V4(*range),
            Self::V6(prefix) => IpNet::V6(*prefix),
        };
        Some((range.network(), range.broadcast()))
    }
}

/// Where a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place<'a> {
    /// In a zone of ours.
    Ours(Zone),
    /// In a zone that reaches beyond our networks, and outside these: whoever has the rest may know.
    Beside(Zone),
    /// In the zone of a network whose names are somebody else's.
    Theirs(&'a Network),
    /// Nowhere here.
    Elsewhere,
}

impl View {
    /// Where the name with this key is.
    pub fn place(&self, key: &str) -> Place<'_> {
        match reverse::read(key) {
            None => self.place_forward(key),
            Some(Reverse::V4(octets)) => self.place_v4(&octets),
            Some(Reverse::Classless { block, label, .. }) => self.place_classless(block, &label),
            Some(Reverse::V6(nibbles)) => self.place_v6(&nibbles),
            // Below an address, or beside all: it is where its parent is.
            Some(Reverse::Odd) => {
                parents(key).next().map_or(Place::Elsewhere, |parent| self.place(parent))
            }
        }
    }

    fn place_forward(&self, key: &str) -> Place<'_> {
        let networks = self.cluster().networks();
        let network = splits(key).find_map(|(_, domain)| networks.get(domain));
        network.map_or(Place::Elsewhere, |network| {
            or_theirs(network, || Zone::Forward(network.name.clone()))
        })
    }

    fn place_v4(&self, octets: &[u8]) -> Place<'_> {
        let [a, b, c, rest @ ..] = octets else { return Place::Elsewhere };
        let block = [*a, *b, *c];
        match rest.first() {
            None => self
                .of_block(block)
                .map_or(Place::Elsewhere, |network| or_theirs(network, || Zone::V4(block))),
            Some(d) => match self.cluster().network_of(Ipv4Addr::new(*a, *b, *c, *d).into()) {
                Some(network) => or_theirs(network, || Zone::V4(block)),
                None => self.beside(block),
            },
        }
    }

    fn place_classless(&self, block: [u8; 3], label: &str) -> Place<'_> {
        let is_meant = |range: &Ipv4Net| {
            range.prefix_len() > BLOCK
                && range_of(block).contains(&range.network())
                && reverse::classless_labels(*range).iter().any(|own| own == label)
        };
        let mut ranges = self.cluster().networks().values();
        let found = ranges.find_map(|network| Some((network, network.ipv4.filter(is_meant)?)));
        match found {
            Some((network, range)) => {
                or_theirs(network, || Zone::Classless { range, with_slash: label.contains('/') })
            }
            None => match self.of_block(block) {
                Some(network) if network.ipv4.is_some_and(|range| range.prefix_len() <= BLOCK) => {
                    or_theirs(network, || Zone::V4(block))
                }
                _ => self.beside(block),
            },
        }
    }

    /// In 256 addresses of which some network has a part.
    fn beside(&self, block: [u8; 3]) -> Place<'_> {
        match self.of_block(block) {
            Some(network) if !network.non_authoritative => Place::Beside(Zone::V4(block)),
            _ => Place::Elsewhere,
        }
    }

    /// The network that decides about 256 addresses: one that is ours and has the longest prefix, else one whose names are somebody else's.
    pub(crate) fn of_block(&self, block: [u8; 3]) -> Option<&Network> {
        let block = range_of(block);
        let overlaps = |range: Ipv4Net| range.contains(&block) || block.contains(&range);
        let networks = self.cluster().networks().values().map(|network| &**network);
        let overlapping = networks.filter(|network| network.ipv4.is_some_and(overlaps));
        let length = |network: &Network| network.ipv4.map(|range| range.prefix_len());
        overlapping.max_by_key(|network| (!network.non_authoritative, length(network)))
    }

    fn place_v6(&self, nibbles: &[u8]) -> Place<'_> {
        let networks = self.cluster().networks().values();
        let zones = networks.filter_map(|network| {
            let range = network.ipv6?;
            let length = nibbles_of(range);
            let first = reverse::from_nibbles(nibbles.get(..length)?);
            let zone = Ipv6Net::new(first, u8::try_from(length * 4).ok()?).ok()?;
            (range.contains(&zone) || zone.contains(&range)).then_some((network, zone))
        });
        let length = |network: &Network| network.range(Family::V6).map(|range| range.prefix_len());
        match zones.max_by_key(|(network, _)| length(network)) {
            Some((network, zone)) => or_theirs(network, || Zone::V6(zone)),
            None => Place::Elsewhere,
        }
    }

    /// The zones that have names, and those of networks in any case: what secondary servers can have.
    pub fn zones(&self) -> Vec<Zone> {
        let ours = || self.cluster().networks().values().filter(|own| !own.non_authoritative);
        let mut zones: Vec<Zone> = ours().map(|own| Zone::Forward(own.name.clone())).collect();
        let classless =
            ours().filter_map(|own| own.ipv4.filter(|range| range.prefix_len() > BLOCK));
        zones.extend(classless.map(|range| Zone::Classless { range, with_slash: false }));
        let held = self.cluster().holders().map(|(address, _)| *address);
        let mut blocks: Vec<IpAddr> =
            held.chain(self.hosts().all_addresses()).map(first_of_block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let reverse = blocks.into_iter().filter_map(|first| match first {
            IpAddr::V4(first) => {
                let [a, b, c, _] = first.octets();
                let is_ours = self.of_block([a, b, c]).is_some_and(|own| !own.non_authoritative);
                is_ours.then_some(Zone::V4([a, b, c]))
            }
            IpAddr::V6(_) => match self.place(&reverse::name(first)) {
                Place::Ours(zone) => Some(zone),
                Place::Beside(_) | Place::Theirs(_) | Place::Elsewhere => None,
            },
        });
        zones.extend(reverse);
        zones.sort_unstable();
        zones.dedup();
        zones
    }
}

/// An address that is in the same zones as this one, for most of a network the same.
fn first_of_block(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(_) => address,
    }
}

fn or_theirs(network: &Network, zone: impl FnOnce() -> Zone) -> Place<'_> {
    if network.non_authoritative { Place::Theirs(network) } else { Place::Ours(zone()) }
}

fn range_of([a, b, c]: [u8; 3]) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), BLOCK)
}

/// How many nibbles the zones of an IPv6 network are cut at: its prefix, rounded up.
fn nibbles_of(range: Ipv6Net) -> usize {
    usize::from(range.prefix_len()).div_ceil(4).min(MOST_NIBBLES)
}
