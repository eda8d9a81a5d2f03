//! In an LDAP server: users are `posixAccount` entries, groups are `posixGroup` entries with `memberUid` (RFC 2307).

mod connection;
mod entry;
mod group;
mod user;

use std::path::PathBuf;

use connection::Connection;
use perilune_model::Saved;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::{Entries, Error, GroupRequest, Kind, UserRequest};

/// How the way to the server is secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// Turn a plain connection (`ldap://`) into an encrypted one before anything is said.
    pub start_tls: bool,
    /// Certificates of the authorities that are believed; those of the system without.
    pub authorities: Option<PathBuf>,
}

/// Where an LDAP server is, and what is where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `ldap://`, `ldaps://` or `ldapi://`.
    pub uri: String,
    /// Below which users are.
    pub users: String,
    /// Below which groups are.
    pub groups: String,
    /// Who asks; nobody without.
    pub bind_name: Option<String>,
    /// The file with the password, read at each connection.
    pub password_file: Option<PathBuf>,
    /// How the way there is secured.
    pub security: Security,
    /// The first number that is given to users and groups.
    pub first_number: u32,
}

/// An LDAP server.
#[derive(Debug)]
pub struct Ldap {
    place: Place,
    /// Numbers are chosen by looking which are taken: one at a time.
    choosing: Mutex<()>,
}

impl Ldap {
    /// The server at this place. It is connected to for each request.
    pub fn new(place: Place) -> Self {
        Self { place, choosing: Mutex::new(()) }
    }

    pub(crate) async fn list(&self, kind: Kind) -> Result<Entries, Error> {
        let work = async |connection: &mut Connection<'_>| match kind {
            Kind::User => user::list(connection).await,
            Kind::Group => group::list(connection).await,
        };
        connection::run(&self.place, work).await
    }

    pub(crate) async fn show(&self, kind: Kind, name: &str) -> Result<Value, Error> {
        let work = async |connection: &mut Connection<'_>| match kind {
            Kind::User => user::show(connection, name).await,
            Kind::Group => group::show(connection, name).await,
        };
        connection::run(&self.place, work).await
    }

    pub(crate) async fn save_user(
        &self,
        name: &str,
        request: &UserRequest,
    ) -> Result<Saved, Error> {
        let _alone = self.choosing.lock().await;
        let work =
            async |connection: &mut Connection<'_>| user::save(connection, name, request).await;
        connection::run(&self.place, work).await
    }

    pub(crate) async fn save_group(
        &self,
        name: &str,
        request: &GroupRequest,
    ) -> Result<Saved, Error> {
        let _alone = self.choosing.lock().await;
        let work =
            async |connection: &mut Connection<'_>| group::save(connection, name, request).await;
        connection::run(&self.place, work).await
    }

    pub(crate) async fn remove(&self, kind: Kind, name: &str) -> Result<(), Error> {
        let _alone = self.choosing.lock().await;
        let work = async |connection: &mut Connection<'_>| match kind {
            Kind::User => user::remove(connection, name).await,
            Kind::Group => group::remove(connection, name).await,
        };
        connection::run(&self.place, work).await
    }
}
