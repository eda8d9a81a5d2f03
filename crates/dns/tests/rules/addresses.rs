//! Every address of a cluster has a name, and the name has the address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use perilune_dns::{LentNames, View};
use perilune_model::group::Group;
use perilune_model::{Addresses, Cluster, Draft, Holder, Name};
use proptest::prelude::*;

use crate::site::{addresses_of, hosts, interface, name_of, network, node};

/// A network by its place in a list: of all lengths that have rules of their own.
const NETWORKS: [(&str, &str, &str); 6] = [
    ("cluster", "10.141.0.0/16", "fd00:141::/61"),
    ("ib.cluster", "10.149.4.0/22", "fd00:149::/64"),
    ("rack7.ib.cluster", "10.150.0.0/24", "fd00:150::/127"),
    ("bmc", "10.148.0.128/25", ""),
    ("mgmt", "10.148.0.0/26", "fd00:148::/120"),
    ("tiny", "10.148.0.64/30", ""),
];

/// An address within a network, whichever number is given.
fn within(network: usize, family6: bool, number: u32) -> Option<IpAddr> {
    let (_, ipv4, ipv6) = NETWORKS[network];
    if family6 {
        let range: ipnet::Ipv6Net = ipv6.parse().ok()?;
        let host = u128::from(number) & !u128::from(range.netmask());
        return Some(Ipv6Addr::from_bits(range.network().to_bits() | host).into());
    }
    let range: ipnet::Ipv4Net = ipv4.parse().ok()?;
    let host = number & !u32::from(range.netmask());
    let address = Ipv4Addr::from_bits(range.network().to_bits() | host);
    let is_host = address != range.network() && address != range.broadcast();
    is_host.then_some(address.into())
}

#[derive(Debug, Clone)]
struct Described {
    name: String,
    network: usize,
    ipv4: u32,
    ipv6: Option<u32>,
    is_dns_host: bool,
}

fn described() -> impl Strategy<Value = Described> {
    let name = "[a-z][a-z0-9]{0,3}(\\.(ib|rack7|r1))?";
    (name, 0..NETWORKS.len(), any::<u32>(), any::<Option<u32>>(), prop::bool::weighted(0.2))
        .prop_map(|(name, network, ipv4, ipv6, is_dns_host)| Described {
            name,
            network,
            ipv4,
            ipv6,
            is_dns_host,
        })
}

/// What the rules of the model take of it.
fn cluster(all: &[Described]) -> Cluster {
    let mut draft = Draft::new(&Cluster::default());
    for (name, ipv4, ipv6) in NETWORKS {
        draft.put(network(name, ipv4, ipv6)).unwrap();
    }
    draft.put(Group { name: Name::trusted("compute"), ..Group::default() }).unwrap();
    let mut lists: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    for (place, one) in all.iter().enumerate() {
        let domain = NETWORKS[one.network].0;
        let ipv4 = within(one.network, false, one.ipv4);
        let ipv6 = one.ipv6.and_then(|number| within(one.network, true, number));
        if one.is_dns_host {
            let host = ipv4.map(|address| (one.name.clone(), address.to_string()));
            lists.entry(domain).or_default().extend(host);
            continue;
        }
        let mut addresses = Addresses::default();
        ipv4.into_iter().chain(ipv6).for_each(|address| addresses.set(address));
        let own = perilune_model::interface::Interface {
            addresses,
            ..interface(&format!("eth{place}"), domain, &[])
        };
        let mut before = draft.nodes().get(one.name.as_str()).map_or_else(
            || node(&one.name, Vec::new()),
            |node| perilune_model::node::Node::clone(node),
        );
        before.interfaces.push(own);
        // An address that another has is refused.
        draft.put(before).unwrap_or_default();
    }
    for (network, list) in &lists {
        let list: Vec<(&str, &str)> =
            list.iter().map(|(host, address)| (host.as_str(), address.as_str())).collect();
        draft.put(hosts(network, &list)).unwrap();
    }
    draft.finish().0
}

fn view(cluster: Cluster) -> View {
    View::new(Arc::new(cluster), LentNames::default(), None)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_address_has_a_name_that_has_the_address(all in prop::collection::vec(described(), 1..25)) {
        let cluster = cluster(&all);
        let held: Vec<(IpAddr, Holder)> =
            cluster.holders().map(|(address, holder)| (*address, holder.clone())).collect();
        let view = view(cluster);
        for (address, holder) in held {
            let name = name_of(&view, address);
            prop_assert!(name.is_some(), "{} of {}", address, holder);
            let name = name.unwrap();
            prop_assert!(name.starts_with(holder.device().as_str()), "{}: {}", address, name);
            prop_assert!(addresses_of(&view, &format!("{name}.")).contains(&address), "{address} {name}");
        }
    }

    #[test]
    fn a_name_has_the_addresses_that_are_described_of_it_and_no_others(
        all in prop::collection::vec(described(), 1..25),
    ) {
        let cluster = cluster(&all);
        let mut expected: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
        for node in cluster.nodes().values() {
            for interface in &node.interfaces {
                let name = format!("{}.{}.", node.name, interface.network.as_ref().unwrap());
                expected.entry(name).or_default().extend(interface.addresses.iter());
            }
        }
        for list in cluster.dns_hosts().values() {
            for host in &list.hosts {
                let name = format!("{}.{}.", host.host, list.name);
                expected.entry(name).or_default().insert(host.ipaddress);
            }
        }
        let view = view(cluster);
        for (name, addresses) in expected {
            let answered: BTreeSet<IpAddr> = addresses_of(&view, &name).into_iter().collect();
            prop_assert_eq!(answered, addresses, "{}", name);
        }
    }

    #[test]
    fn zones_that_are_given_out_have_every_name_that_is_answered(
        all in prop::collection::vec(described(), 1..25),
    ) {
        let view = view(cluster(&all));
        let given: BTreeSet<(String, String)> = view.zones().iter()
            .flat_map(|zone| view.records(zone))
            .map(|record| (record.name, format!("{:?}", record.data)))
            .collect();
        for (address, _) in view.cluster().holders() {
            let name = view.name_of(*address, 0).unwrap().0;
            let reverse = hickory_proto::rr::Name::from(*address).to_ascii();
            let reverse = reverse.trim_end_matches('.').to_ascii_lowercase();
            prop_assert!(given.contains(&(reverse, format!("Ptr({name:?})"))), "{}", address);
            let kind = if address.is_ipv4() { "A" } else { "Aaaa" };
            prop_assert!(given.contains(&(name, format!("{kind}({address})"))), "{}", address);
        }
    }
}
