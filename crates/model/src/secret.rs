//! Secrets of nodes, groups and the cluster.

mod access;
mod of_node;
mod save;

use std::fmt;

pub use access::{check_mode, check_owner, check_path, needs_no_escape};
pub use of_node::of_node;
pub use save::{Owner, Request, clone, find, remove, save};
use serde::{Deserialize, Serialize};

use crate::Name;

/// A file that the installer writes, with a content that few may read.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Secret {
    /// The name.
    pub name: Name,
    /// The content as it is stored: encrypted where a key is configured.
    pub content: String,
    /// Where the installer writes it.
    pub path: Option<String>,
    /// Whose file it is: `user` or `user:group`, names of the image or numbers; root's when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who may do what with it, in octal digits; 600 when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// The name that secrets of the whole cluster are kept under.
pub const CLUSTER: &str = "cluster";

/// The secrets of one owner, in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Secrets {
    /// The owner.
    pub name: Name,
    /// Its secrets.
    pub secrets: Vec<Secret>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Secret")
            .field("name", &self.name)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
