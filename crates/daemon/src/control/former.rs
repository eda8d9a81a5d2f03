//! Which BMC addresses were another node's until lately: whoever cables or configures may not have followed yet, and what is done to
//! one machine would be done to the other.

use std::collections::BTreeMap;
use std::net::IpAddr;

use perilune_model::interface::BMC_INTERFACE;
use perilune_model::node::Node;
use perilune_model::{Cluster, Edit, Name, Object};
use perilune_store::{Entry, Store};
use tokio::sync::Mutex;

/// So long, in milliseconds, may it take until a machine follows what is described.
const LATELY: u64 = 24 * 60 * 60 * 1000;
/// As many commits of the past are looked at when the daemon is asked for the first time.
const BEHIND: u64 = 1_000;
/// Commits that are read at once.
const PAGE: u64 = 64;
/// As many addresses are remembered.
const MOST: usize = 20_000;

/// An address that a node's BMC has, and another's had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOver {
    /// The node that has it.
    pub node: Name,
    /// The address.
    pub address: IpAddr,
    /// The node that had it.
    pub former: Name,
    /// Until when: milliseconds since 1970.
    pub until: u64,
}

/// The addresses that nodes' BMCs had, read from the history when somebody asks.
#[derive(Debug, Default)]
pub(super) struct FormerOwners(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The last revision that was looked at.
    seen: Option<u64>,
    /// Who had an address, and until when.
    left: BTreeMap<(IpAddr, Name), u64>,
}

impl FormerOwners {
    /// Of the BMC addresses of these nodes, those that were others' lately.
    pub(super) async fn of(
        &self,
        (cluster, store): (&Cluster, &Store),
        nodes: &[String],
        now: u64,
    ) -> Result<Vec<HandedOver>, perilune_store::Error> {
        let mut known = self.0.lock().await;
        let newest = cluster.revision();
        let mut seen = known.seen.unwrap_or_default().max(newest.saturating_sub(BEHIND));
        while seen < newest {
            let last = newest.min(seen.saturating_add(PAGE));
            for entry in store.history_between(seen + 1, last).await? {
                if now.saturating_sub(entry.meta.at) < LATELY {
                    known.note(&entry);
                }
            }
            seen = last;
            known.seen = Some(seen);
        }
        known.forget(now);
        let nodes = nodes.iter().filter_map(|node| cluster.node(node).ok());
        Ok(nodes.flat_map(|node| known.handed_over(node)).collect())
    }
}

impl Known {
    fn note(&mut self, entry: &Entry) {
        let after: BTreeMap<&Name, &Node> = nodes(&entry.edits).collect();
        for (name, before) in nodes(&entry.inverse) {
            // One that was only renamed is the same machine.
            let is_renamed = !after.contains_key(name)
                && after.values().any(|node| node.interfaces == before.interfaces);
            for address in addresses(before).filter(|_| !is_renamed) {
                let stays =
                    after.get(name).is_some_and(|node| addresses(node).any(|own| own == address));
                if !stays {
                    self.left.insert((address, name.clone()), entry.meta.at);
                }
            }
        }
    }

    fn forget(&mut self, now: u64) {
        self.left.retain(|_, until| now.saturating_sub(*until) < LATELY);
        while self.left.len() > MOST {
            self.left.pop_first();
        }
    }

    fn handed_over(&self, node: &Node) -> Vec<HandedOver> {
        let of_address = |address: IpAddr| {
            let from = (address, Name::default());
            let holders =
                self.left.range(from..).take_while(move |((known, _), _)| *known == address);
            let others = holders.filter(|((_, former), _)| *former != node.name);
            let last = others.max_by_key(|(_, until)| **until)?;
            let ((_, former), until) = last;
            Some(HandedOver {
                node: node.name.clone(),
                address,
                former: former.clone(),
                until: *until,
            })
        };
        addresses(node).filter_map(of_address).collect()
    }
}

fn nodes(edits: &[Edit]) -> impl Iterator<Item = (&Name, &Node)> {
    edits.iter().filter_map(|edit| match edit {
        Edit::Put(Object::Node(node)) => Some((&node.name, node.as_ref())),
        Edit::Put(_) | Edit::Remove(..) => None,
    })
}

fn addresses(node: &Node) -> impl Iterator<Item = IpAddr> {
    node.interface(BMC_INTERFACE).into_iter().flat_map(|interface| interface.addresses.iter())
}

#[cfg(test)]
mod tests {
    use perilune_model::interface::Interface;
    use perilune_model::{Addresses, Change};
    use perilune_store::Meta;

    use super::*;

    fn node(name: &str, address: &str) -> Node {
        let addresses = Addresses { ipv4: address.parse().ok(), ipv6: None };
        let bmc = Interface { name: Name::trusted("BMC"), addresses, ..Interface::default() };
        Node { name: Name::trusted(name), interfaces: vec![bmc], ..Node::default() }
    }

    fn entry(at: u64, edits: Vec<Edit>, inverse: Vec<Edit>) -> Entry {
        let Change { edits, inverse } = Change { edits, inverse };
        Entry { revision: 1, meta: Meta { at, ..Meta::default() }, edits, inverse }
    }

    fn put(node: &Node) -> Edit {
        Edit::Put(node.clone().into())
    }

    fn removed(name: &str) -> Edit {
        Edit::Remove(perilune_model::Kind::Node, Name::trusted(name))
    }

    #[test]
    fn an_address_that_another_node_had_is_told_for_a_day() {
        let mut known = Known::default();
        let (old, new) = (node("node001", "10.148.0.1"), node("node002", "10.148.0.1"));
        known.note(&entry(1_000, vec![removed("node001")], vec![put(&old)]));
        known.note(&entry(2_000, vec![put(&new)], vec![removed("node002")]));
        let told = known.handed_over(&new);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].former.as_str(), told[0].until), ("node001", 1_000));
        assert_eq!(known.handed_over(&old), [], "its own former address is its own");
        known.forget(1_000 + LATELY);
        assert_eq!(known.handed_over(&new), []);
    }

    #[test]
    fn whoever_keeps_an_address_or_is_renamed_left_none() {
        let mut known = Known::default();
        let one = node("node001", "10.148.0.1");
        let other = Node { comment: Some("x".to_owned()), ..one.clone() };
        known.note(&entry(1_000, vec![put(&other)], vec![put(&one)]));
        let renamed = Node { name: Name::trusted("new"), ..one.clone() };
        known.note(&entry(1_000, vec![removed("node001"), put(&renamed)], vec![put(&one)]));
        assert_eq!(known.handed_over(&renamed), []);
        let (a, b) = (node("a", "10.148.0.1"), node("b", "10.148.0.2"));
        let (c, d) = (node("a", "10.148.0.2"), node("b", "10.148.0.1"));
        known.note(&entry(1_000, vec![put(&c), put(&d)], vec![put(&a), put(&b)]));
        assert_eq!(known.handed_over(&c)[0].former, "b");
        assert_eq!(known.handed_over(&d)[0].former, "a");
    }
}
