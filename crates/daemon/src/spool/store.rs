//! Stores what was kept, when the database is back.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Entry, Milestone, Spool};
use crate::state::State;

/// How often it is tried to store what is kept.
const EVERY: Duration = Duration::from_secs(3);
/// A database that is away is waited for no longer, when somebody is told something that is kept here.
const AWAY: Duration = Duration::from_millis(500);

impl Spool {
    /// Stores what is kept when the database answers, until `stop`.
    pub(crate) async fn run(self, state: State, stop: CancellationToken) {
        let store = async {
            loop {
                if self.is_used.load(Ordering::Acquire) && state.cluster.away_since().is_none() {
                    self.store(&state).await;
                }
                sleep(EVERY).await;
            }
        };
        stop.run_until_cancelled(store).await;
    }

    async fn store(&self, state: &State) {
        let spool = self.clone();
        // Whatever comes from here on is looked at the next time.
        self.is_used.store(false, Ordering::Release);
        let found = spawn_blocking(move || spool.read()).await;
        let entries = match found.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                tracing::error!(%error, "what was kept for the database is not read; trying again");
                self.is_used.store(true, Ordering::Release);
                return;
            }
        };
        for (file, entry) in entries {
            if let Err(error) = state.store_kept(&entry).await {
                tracing::debug!(%error, node = %entry.node(), "what was kept is not stored yet");
                self.is_used.store(true, Ordering::Release);
                return;
            }
            // A newer one may have come in its place meanwhile.
            let spool = self.clone();
            let is_removed = spawn_blocking(move || spool.remove(&file, &entry)).await;
            if !matches!(is_removed, Ok(Ok(()))) {
                self.is_used.store(true, Ordering::Release);
            }
        }
    }
}

impl State {
    /// Stores what was kept, unless something newer is known.
    async fn store_kept(&self, entry: &Entry) -> Result<(), perilune_boards::Error> {
        match entry {
            Entry::Milestone(milestone) => {
                let known = self.status.get(milestone.node.as_str());
                match known {
                    // As it was shown at once, or by another controller since.
                    Some(known) if known.updated >= milestone.at => {
                        self.status.stored_now(&milestone.node).await?;
                        self.installations.stored_now(&milestone.node).await?;
                        self.boots.stored_now(&milestone.node).await
                    }
                    _ => self.store_milestone(milestone).await,
                }
            }
            Entry::Exchange { node, exchange } => {
                let stored = self.boots.exchange(node, exchange.clone()).await?;
                if let Err(reason) = stored {
                    tracing::warn!(%node, %reason, "a ticket that was used here while the database was away was used elsewhere, or is over");
                }
                Ok(())
            }
        }
    }

    /// What is stored, or fails because the database is away: soon where that is known, and else as soon as the store knows.
    pub async fn stored_or_away<T>(
        &self,
        work: impl Future<Output = Result<T, perilune_boards::Error>>,
    ) -> Result<T, perilune_boards::Error> {
        if self.cluster.away_since().is_none() {
            return work.await;
        }
        // The boards show it when it is first looked at.
        let stored = tokio::time::timeout(AWAY, work).await;
        stored.unwrap_or(Err(perilune_boards::Error::Store(perilune_store::Error::NoAnswer)))
    }

    /// Notes a milestone of a node. All of it is shown at once, and stored when this returns.
    pub async fn store_milestone(
        &self,
        milestone: &Milestone,
    ) -> Result<(), perilune_boards::Error> {
        let Milestone { node, state, status, installation, at } = milestone;
        let installed = async {
            match installation {
                Some(start) => self.installations.installed(node, start, *at).await,
                None => Ok(()),
            }
        };
        let reported = self.status.report_stored(node, state, status.clone(), *at);
        let succeeded = async {
            if state == crate::status::SUCCESS { self.boots.succeeded(node).await } else { Ok(()) }
        };
        let (installed, reported, succeeded) = tokio::join!(installed, reported, succeeded);
        installed.and(reported).and(succeeded)
    }
}
