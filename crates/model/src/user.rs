//! Users of the API.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Name;

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Admin,
    /// Everything but users, secrets and the cluster's own settings.
    Operator,
    /// Reads what is no secret.
    #[default]
    Viewer,
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
