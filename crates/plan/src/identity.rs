//! What a node's system is known by, over all of its installations.

use serde::{Deserialize, Serialize};

/// The identity of a node. `Debug` shows nothing that is secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanIdentity))]
pub struct Identity {
    /// The content of `/etc/machine-id`: 32 hexadecimal digits.
    pub machine_id: String,
    /// A UUID: the host identifier of `NVMe`.
    pub host_uuid: String,
    /// The name of the iSCSI initiator.
    pub initiator: String,
    /// Host keys of SSH.
    pub ssh_host_keys: Vec<HostKey>,
}

/// A host key of SSH. `Debug` does not show the private key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanHostKey))]
pub struct HostKey {
    /// `ed25519`, `ecdsa` or `rsa`, as in the names of files.
    pub algorithm: String,
    /// The line of the `.pub` file, without a comment.
    pub public: String,
    /// The private key in OpenSSH's format.
    pub private: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("ssh_host_keys", &self.ssh_host_keys)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for HostKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HostKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// What `NVMe` over Fabrics calls a host with this UUID (NVM Express Base Specification, section 4.7).
pub fn nvme_host_name(host_uuid: &str) -> String {
    format!("nqn.2014-08.org.nvmexpress:uuid:{host_uuid}")
}
