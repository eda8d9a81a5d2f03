//! Nodes.

mod clone;
mod save;

pub use clone::clone;
pub use save::{Request, report, save};
use serde::{Deserialize, Deserializer, Serialize};

use crate::Name;
use crate::interface::{BOOT_INTERFACE, FormerAddress, Interface};
use crate::label::Labels;
use crate::provisioning::Own;

/// A machine that is provisioned. There are thousands: what it does not say is not stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its host name.
    pub name: Name,
    /// Its group.
    pub group: Name,
    /// What it says for itself.
    pub provisioning: Own,
    /// Service mode: it boots, but nothing is installed.
    pub service: bool,
    /// The switch that it is connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switch: Option<Name>,
    /// The port of that switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switchport: Option<String>,
    /// The cloud that it lives in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud: Option<Name>,
    /// Who made the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The site's own number of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assettag: Option<String>,
    /// What the machine last said of itself.
    #[serde(skip_serializing_if = "Reported::is_nothing")]
    pub reported: Reported,
    /// Free text, as clients sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What the site says of it.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// A text that is stored and has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Identifier of the TPM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm_uuid: Option<String>,
    /// Public key of the TPM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm_pubkey: Option<String>,
    /// SHA-256 of a platform configuration register.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm_sha256: Option<String>,
    /// Its interfaces, in the order in which they were given.
    #[serde(deserialize_with = "without_room")]
    pub interfaces: Vec<Interface>,
    /// Addresses that its interfaces had, the latest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<FormerAddress>,
}

/// A list grows by four while it is read, and most nodes have one interface: with 50,000 nodes that is 27 MB of room for nothing.
fn without_room<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Interface>, D::Error> {
    let mut interfaces = Vec::deserialize(deserializer)?;
    interfaces.shrink_to_fit();
    Ok(interfaces)
}

/// What a machine says of itself while it installs. It shows which fields of a node nobody else has set since.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reported {
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Its serial number, which is the asset tag where nobody gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assettag: Option<String>,
}

impl Reported {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Node {
    /// The interface of this name.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// The interface that the node boots from when neither it nor its group names another.
    pub fn boot_interface(&self) -> Option<&Interface> {
        self.interface(BOOT_INTERFACE)
    }
}
