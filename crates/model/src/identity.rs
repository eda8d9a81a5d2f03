//! What makes a node's system itself, beside its name and addresses: the keys and numbers that others know it by. They are the node's
//! own, not its image's and not its disk's, so that they stay over installations.

mod of_node;

use std::fmt;

pub use of_node::{complete, names_and_addresses, renew};
use serde::{Deserialize, Serialize};

use crate::Name;

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
