//! What controllers of other versions can read. `program.rs` says why.

use perilune_model::Change;
use tokio_postgres::Client;

use super::Postgres;
use super::cluster::{self, Head};
use crate::{Controller, Error, Heard};

/// The table of controllers is locked, so that none joins that is not looked at. It need not outlive anything: a commit is stored only where the
/// format is there that it was decided for. Sent at once, it is one transaction, of which nothing is left whatever fails.
const RAISE: &str = "
    SET LOCAL synchronous_commit = off;
    SET LOCAL lock_timeout = '2s';
    LOCK TABLE controller IN SHARE MODE;
    UPDATE head SET format = known.format FROM (SELECT min(format) AS format FROM controller) AS known WHERE head.format < known.format";

impl Postgres {
    /// What is at the end of the history. [`Error::Outdated`] when newer controllers may have stored what this program cannot read.
    pub(super) async fn head(&self, client: &Client) -> Result<Head, Error> {
        let head = cluster::head(client).await?;
        self.link.note_standby(head.waits_for_standby);
        self.note_format(head.format)?;
        Ok(head)
    }

    fn note_format(&self, found: u32) -> Result<(), Error> {
        self.agreed.note(found);
        let known = self.program.format;
        if found <= known {
            return Ok(());
        }
        let database = self.database.to_string();
        Err(Error::Outdated { database, what: "format", found, known })
    }

    /// Takes what all controllers said of themselves, and has the format raised that all know.
    pub(super) async fn agree(&self, client: &Client, mut heard: Heard) -> Result<Heard, Error> {
        let all = heard.controllers.iter().map(|one| one.format).min().unwrap_or_default();
        if heard.format < all {
            match client.batch_execute(RAISE).await {
                Ok(()) => heard.format = cluster::head(client).await?.format,
                // The next beat tries again.
                Err(error) => {
                    tracing::debug!(%error, "the format that all controllers know was not raised");
                }
            }
        }
        let is_behind = |one: &&Controller| one.format < self.program.format;
        let behind = heard.controllers.iter().filter(is_behind);
        let behind = behind.map(|one| format!("{} ({})", one.name, one.version)).collect();
        self.agreed.note_behind(behind);
        self.link.note_standby(heard.waits_for_standby);
        self.note_format(heard.format)?;
        Ok(heard)
    }

    pub(crate) fn check_known_to_all(&self, change: &Change) -> Result<(), Error> {
        let Some(what) = self.program.newer_than(self.agreed.format(), change) else {
            return Ok(());
        };
        Err(Error::NotYet { what, controllers: self.agreed.behind() })
    }

    pub(crate) async fn may_have_newer(&self) -> Result<bool, Error> {
        let look = async {
            let sql = "SELECT EXISTS (SELECT 1 FROM controller WHERE format > $1)";
            let format = i32::try_from(self.program.format).unwrap_or(i32::MAX);
            Ok(self.link.any().await?.query_one(sql, &[&format]).await?.try_get(0)?)
        };
        self.noting(look).await
    }
}
