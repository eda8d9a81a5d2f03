//! Groups.

pub(crate) mod parent;
mod save;

pub use parent::MOST_ANCESTORS;
pub use save::{DEFAULT_PARTSCRIPT, DEFAULT_POSTSCRIPT, Request, clone, save};
use serde::{Deserialize, Serialize};

use crate::Name;
use crate::interface::GroupInterface;
use crate::label::Labels;
use crate::provisioning::Provisioning;

/// Nodes that share settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    /// The name.
    pub name: Name,
    /// The group whose values it has where it says nothing itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Name>,
    /// What its nodes inherit.
    pub provisioning: Provisioning,
    /// A DNS domain; stored for clients.
    pub domain: Option<String>,
    /// Free text, as clients sent it.
    pub comment: Option<String>,
    /// What the site says of it; its nodes have these labels as well.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Interfaces that every node of the group has.
    pub interfaces: Vec<GroupInterface>,
}

impl Group {
    /// The interface of this name.
    pub fn interface(&self, name: &str) -> Option<&GroupInterface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }
}
