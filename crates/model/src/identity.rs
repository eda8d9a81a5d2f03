//! What makes a node's system itself, beside its name and addresses: the keys and numbers that others know it by. They are the node's
//! own, not its image's and not its disk's, so that they stay over installations.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::interface::BMC_INTERFACE;
use crate::node::Node;
use crate::{Cluster, Draft, Error, Name};

/// The identity of one node, under the node's name.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeIdentity {
    /// The node.
    pub name: Name,
    /// What systemd calls the machine: 32 hexadecimal digits (machine-id(5)).
    pub machine_id: String,
    /// A UUID, which `NVMe` over Fabrics knows the host by.
    pub host_uuid: String,
    /// The name of the iSCSI initiator (RFC 3720, section 3.2.6).
    pub initiator: String,
    /// Host keys of SSH, one of each algorithm.
    pub ssh_host_keys: Vec<HostKey>,
}

/// A host key of SSH.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HostKey {
    /// The algorithm, as it stands in the names of files: `ed25519`, `ecdsa` or `rsa`.
    pub name: String,
    /// The line of a `.pub` file, without a comment.
    pub public: String,
    /// The private key in OpenSSH's format; sealed where it is stored.
    pub content: String,
}

impl fmt::Debug for NodeIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.ssh_host_keys.iter().map(|key| key.public.as_str()).collect();
        formatter
            .debug_struct("NodeIdentity")
            .field("name", &self.name)
            .field("ssh_host_keys", &keys)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HostKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Gives a node an identity unless it has one by now; answers the one that it has.
pub fn complete(draft: &mut Draft, made: NodeIdentity) -> Result<NodeIdentity, Error> {
    draft.node(made.name.as_str())?;
    if let Some(known) = draft.node_identities().get(&made.name) {
        return Ok(NodeIdentity::clone(known));
    }
    draft.put(made.clone())?;
    Ok(made)
}

/// Gives nodes new identities in place of those that they have.
pub fn renew(draft: &mut Draft, made: Vec<NodeIdentity>) -> Result<(), Error> {
    made.into_iter().try_for_each(|identity| draft.put(identity))
}

/// The names and addresses by which others reach the system of a node, the shortest name first. Those of its BMC are not among them:
/// another system answers there.
pub fn names_and_addresses(cluster: &Cluster, node: &Node) -> Vec<String> {
    let mut names = vec![node.name.to_string(), node.hostname(cluster)];
    let interfaces = || node.interfaces.iter().filter(|interface| interface.name != BMC_INTERFACE);
    let networks = interfaces().filter_map(|interface| interface.network.as_ref());
    names.extend(networks.map(|network| format!("{}.{network}", node.name)));
    let addresses = interfaces().flat_map(|interface| interface.addresses.iter());
    names.extend(addresses.map(|address| address.to_string()));
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}
