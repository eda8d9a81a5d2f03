//! Users and groups of the cluster's operating systems, kept where nodes look for them: in an LDAP server, directly or through the
//! program `obol`. Nothing of them is stored here.
#![warn(missing_docs)]

mod error;
mod kind;
mod ldap;
mod obol;
mod request;

use std::path::PathBuf;

pub use error::Error;
pub use kind::{Entries, Kind};
pub use ldap::{Ldap, Place, Security};
pub use obol::Obol;
use perilune_model::Saved;
pub use request::{GroupRequest, UserRequest};
use serde_json::Value;

/// Where users and groups are kept, and how they are reached.
#[derive(Debug)]
pub enum Directory {
    /// Through the program `obol`.
    Obol(Obol),
    /// In an LDAP server.
    Ldap(Box<Ldap>),
}

impl Default for Directory {
    fn default() -> Self {
        Self::Obol(Obol::new(PathBuf::from("obol")))
    }
}

impl Directory {
    /// All users, or all groups.
    pub async fn list(&self, kind: Kind) -> Result<Entries, Error> {
        match self {
            Self::Obol(obol) => obol.list(kind).await,
            Self::Ldap(ldap) => ldap.list(kind).await,
        }
    }

    /// One of them, with its attributes.
    pub async fn show(&self, kind: Kind, name: &str) -> Result<Value, Error> {
        match self {
            Self::Obol(obol) => obol.show(kind, name).await,
            Self::Ldap(ldap) => ldap.show(kind, name).await,
        }
    }

    /// Changes a user; makes one where there is none of this name.
    pub async fn save_user(&self, name: &str, request: &UserRequest) -> Result<Saved, Error> {
        match self {
            Self::Obol(obol) => obol.save_user(name, request).await,
            Self::Ldap(ldap) => ldap.save_user(name, request).await,
        }
    }

    /// Changes a group; makes one where there is none of this name.
    pub async fn save_group(&self, name: &str, request: &GroupRequest) -> Result<Saved, Error> {
        match self {
            Self::Obol(obol) => obol.save_group(name, request).await,
            Self::Ldap(ldap) => ldap.save_group(name, request).await,
        }
    }

    /// Removes one.
    pub async fn remove(&self, kind: Kind, name: &str) -> Result<(), Error> {
        match self {
            Self::Obol(obol) => obol.remove(kind, name).await,
            Self::Ldap(ldap) => ldap.remove(kind, name).await,
        }
    }
}
