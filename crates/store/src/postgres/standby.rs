//! Whether changes wait for a standby before they are acknowledged.
//!
//! `synchronous_standby_names` says which; it may be emptied while a commit waits, as Patroni does without its strict mode: the server then
//! acknowledges what it alone has, and warns nobody. It tells its sessions of the new setting before it lets them go on, so that what is asked
//! right behind a commit, on its connection, tells whether that one waited.

use deadpool_postgres::Object;
use tokio_postgres::{Client, Statement};

use super::link::Link;
use crate::Error;

/// Whether the server waits for a standby.
pub(super) const WAITS: &str = "current_setting('synchronous_standby_names') <> ''";

/// What is asked right behind a commit, where the site requires a standby.
pub(super) struct Guard(Option<Statement>);

impl Guard {
    pub(super) async fn new(link: &Link, client: &Object) -> Result<Self, Error> {
        if !link.requires_standby() {
            return Ok(Self(None));
        }
        Ok(Self(Some(client.prepare_cached(&format!("SELECT {WAITS}")).await?)))
    }

    /// Whether what was sent on this connection just before may be acknowledged.
    pub(super) async fn holds(&self, client: &Client) -> Result<bool, tokio_postgres::Error> {
        match &self.0 {
            Some(statement) => client.query_one(statement, &[]).await?.try_get(0),
            None => Ok(true),
        }
    }
}
