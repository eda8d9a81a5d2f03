//! Secrets of nodes and groups.

mod save;

use std::fmt;

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
}

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
