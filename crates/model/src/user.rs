//! Users of the API.

mod add_token;
mod generation;
mod save;
mod token;

use std::fmt;

pub use add_token::add_token;
pub(crate) use generation::settled;
pub use save::{Request, revoke, save};
use serde::{Deserialize, Serialize};
pub use token::ApiToken;

use crate::Name;

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Gets the token of a node that is expected to boot, for images that were made for another daemon. Nothing else.
    Installer,
    /// Reads what is no secret.
    #[default]
    Viewer,
    /// Everything but users, secrets and the cluster's own settings.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// From the least to the most.
    pub const ALL: [Self; 4] = [Self::Installer, Self::Viewer, Self::Operator, Self::Admin];

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Installer => "installer",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role that the API knows by this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// A person or a program that may log in.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// The login name.
    pub name: Name,
    /// Argon2id hash of the password, in PHC string format.
    pub password_hash: String,
    /// What the user may do.
    pub role: Role,
    /// Tokens carry it: those of a former one are good for nothing. It grows with every change of the password or the role, and is
    /// never one that this name had before.
    pub generation: u64,
    /// Free text, as clients sent it.
    pub comment: Option<String>,
}

impl fmt::Debug for User {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("User")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
