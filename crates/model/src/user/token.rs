//! Named tokens of programs: what each may do, for which nodes, and until when.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::user::Role;

/// A token that somebody was given once and that is kept as its hash.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiToken {
    /// What it is called.
    pub name: Name,
    /// Whose it is: it ends with its user, and may never do more. None is the user of the configuration.
    pub user: Option<Name>,
    /// SHA-256 of the token, as URL-safe base64. The token itself is 256 random bits, so that nobody finds it by trying.
    pub hash: String,
    /// What it may do at most.
    pub role: Role,
    /// The only operations that it is good for, as `GET /config/node/{name}`; all of its role when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// A host list of the only nodes that it is good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
    /// When it ends: milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// When it was made: milliseconds since 1970.
    pub made: u64,
    /// Free text, as clients sent it.
    pub comment: Option<String>,
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ApiToken")
            .field("name", &self.name)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
