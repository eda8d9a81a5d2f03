//! Which node a machine is by the cloud that it lives in.

use super::{Evidence, Reason, is_free};
use crate::device::Cloud;
use crate::node::Node;
use crate::{Cluster, MacAddress, Name};

/// How much a hardware address says about the cloud of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// Nobody else uses such addresses.
    Enough,
    /// Others make up such addresses, too: the machine must also ask from the network that the node boots in.
    Hint,
}

/// What the hardware addresses of clouds begin with. Those of `azure` and `vsphere` are registered for their makers. Google puts
/// a private IPv4 address behind `42:01`. Amazon has no prefix: its addresses are made up (IEEE 802, locally administered),
/// as those of containers and of virtual machines anywhere.
const PREFIXES: &[(&[u8], &str, Weight)] = &[
    (&[0x00, 0x0d, 0x3a], "azure", Weight::Enough),
    (&[0x00, 0x22, 0x48], "azure", Weight::Enough),
    (&[0x60, 0x45, 0xbd], "azure", Weight::Enough),
    (&[0x7c, 0x1e, 0x52], "azure", Weight::Enough),
    (&[0x7c, 0xed, 0x8d], "azure", Weight::Enough),
    (&[0x00, 0x50, 0x56], "vsphere", Weight::Enough),
    (&[0x42, 0x01, 10], "gcp", Weight::Enough),
    (&[0x42, 0x01, 172], "gcp", Weight::Enough),
    (&[0x42, 0x01, 192], "gcp", Weight::Enough),
    (&[0x02], "aws", Weight::Hint),
    (&[0x06], "aws", Weight::Hint),
    (&[0x0a], "aws", Weight::Hint),
    (&[0x0e], "aws", Weight::Hint),
];

/// The first node that lives in the machine's cloud and waits for its machine.
pub(super) fn node_for(
    cluster: &Cluster,
    mac: MacAddress,
    evidence: &Evidence,
) -> Option<(Name, Reason)> {
    let (word, weight) = match &evidence.cloud {
        Some(cloud) => (cloud.as_str(), Weight::Enough),
        None => by_prefix(mac)?,
    };
    let fits = |node: &Node| match weight {
        Weight::Enough => true,
        Weight::Hint => boots_where(cluster, node, evidence),
    };
    cluster.nodes().values().find_map(|node| {
        let cloud = cluster.clouds().get(node.cloud.as_ref()?)?;
        let is_it = is_called(cloud, word) && is_free(cluster, node) && fits(node);
        is_it.then(|| (node.name.clone(), Reason::Cloud(cloud.name.clone())))
    })
}

fn by_prefix(mac: MacAddress) -> Option<(&'static str, Weight)> {
    let known = PREFIXES.iter().find(|(prefix, ..)| mac.as_bytes().starts_with(prefix));
    known.map(|(_, word, weight)| (*word, *weight))
}

/// A cloud is known by its name, or by whose it is.
fn is_called(cloud: &Cloud, word: &str) -> bool {
    cloud.name.as_str().eq_ignore_ascii_case(word)
        || cloud.r#type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case(word))
}

/// Whether the machine asks from the network that the node boots in.
fn boots_where(cluster: &Cluster, node: &Node, evidence: &Evidence) -> bool {
    let network = node.provision_interface(cluster).and_then(|boot| boot.network.as_ref());
    let network = network.and_then(|name| cluster.networks().get(name));
    network.zip(evidence.address).is_some_and(|(network, address)| network.contains(address))
}
