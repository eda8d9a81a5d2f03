//! Nodes.

mod clone;
mod save;

pub use clone::clone;
pub use save::{report, save};
use serde::{Deserialize, Deserializer, Serialize};

use crate::interface::{BOOT_INTERFACE, FormerAddress, Interface, request};
use crate::label::{self, Labels};
use crate::provisioning::{self, Own};
use crate::text::{self, Text, texts};
use crate::{Name, Patch};

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

/// Texts that nothing goes by: clients write them and read them.
pub const TEXTS: &[Text<Node, Request>] =
    texts![vendor, assettag, comment, tpm_uuid, tpm_pubkey, tpm_sha256];

/// What a client asks of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The new name.
    pub new_name: Option<Name>,
    /// The group; a new node needs one.
    pub group: Option<Name>,
    /// What it says about provisioning.
    pub provisioning: provisioning::Request,
    /// Service mode.
    pub service: Patch<bool>,
    /// The switch.
    pub switch: Patch<Name>,
    /// Its port.
    pub switchport: Patch<String>,
    /// The cloud.
    pub cloud: Patch<Name>,
    /// Who made it.
    pub vendor: Patch<String>,
    /// The site's number.
    pub assettag: Patch<String>,
    /// Free text.
    pub comment: Patch<String>,
    /// Labels; those that are not named stay.
    pub labels: label::Request,
    /// A text without effect.
    pub status: Patch<String>,
    /// TPM identifier.
    pub tpm_uuid: Patch<String>,
    /// TPM key.
    pub tpm_pubkey: Patch<String>,
    /// TPM register.
    pub tpm_sha256: Patch<String>,
    /// Interfaces; those that are not named stay.
    pub interfaces: Vec<request::Request>,
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

/// What a machine may say of itself: a field of the node, and what the machine said before.
struct Fact {
    name: &'static str,
    before: fn(&mut Reported) -> &mut Option<String>,
    asked: fn(&mut Request) -> &mut Patch<String>,
    known: fn(&Node) -> &Option<String>,
}

macro_rules! facts {
    ($($name:ident),*) => {
        &[$(Fact {
            name: stringify!($name),
            before: |reported| &mut reported.$name,
            asked: |request| &mut request.$name,
            known: |node| &node.$name,
        },)*]
    };
}

const FACTS: &[Fact] = facts![vendor, assettag];

impl Reported {
    /// The fields of a node that its machine may say.
    pub fn fields() -> impl Iterator<Item = &'static str> {
        FACTS.iter().map(|fact| fact.name)
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Notes what the machine says. What somebody else has set since is not asked for any more, and what it does not know stays.
    fn take(&mut self, node: &Node, request: &mut Request) {
        for fact in FACTS {
            let (known, before) = ((fact.known)(node), (fact.before)(self));
            let is_free = known.is_none() || known == before;
            let asked = (fact.asked)(request);
            match asked.value().filter(|_| is_free) {
                Some(said) => *before = Some(said.to_owned()),
                None => *asked = Patch::Keep,
            }
        }
    }
}

impl Request {
    /// Writes what the node says for itself and is checked by nobody else.
    pub fn write(&self, node: &mut Node) {
        self.service.apply_or(&mut node.service, false);
        self.switch.apply(&mut node.switch);
        self.switchport.apply(&mut node.switchport);
        self.cloud.apply(&mut node.cloud);
        self.status.apply(&mut node.status);
        text::apply(TEXTS, self, node);
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
