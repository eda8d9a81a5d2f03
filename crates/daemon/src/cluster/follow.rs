//! Takes what other controllers commit, and knows whether the database answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use perilune_store::{Error, Follower};
use tokio_util::sync::CancellationToken;

use super::{ClusterService, Request};
use crate::clock;

/// How long after a failure the database is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What was not confirmed for so long may be another by now.
const CONFIRMED: Duration = Duration::from_secs(5);
/// What others commit is published within moments; who is behind for so long is behind.
const BEHIND: Duration = Duration::from_secs(1);

/// Whether the database answers; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    /// Milliseconds since 1970; zero while it answers.
    away_since: Arc<AtomicU64>,
    /// Newer controllers have stored what this program cannot read.
    is_outdated: Arc<AtomicBool>,
    looked: Arc<Mutex<Looked>>,
}

/// What was found when the database was last asked which revision it has.
#[derive(Debug, Default)]
struct Looked {
    at: Option<Instant>,
    /// Since when another revision is stored than is published.
    behind: Option<Instant>,
}

impl Reach {
    pub(super) fn away_since(&self) -> Option<u64> {
        Some(self.away_since.load(Ordering::Relaxed)).filter(|since| *since > 0)
    }

    pub(super) fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::Relaxed)
    }

    /// Whether what is published is what is stored, as far as can be known.
    pub(super) fn is_in_sync(&self) -> bool {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_confirmed = looked.at.is_some_and(|at| at.elapsed() < CONFIRMED);
        is_confirmed && looked.behind.is_none_or(|since| since.elapsed() < BEHIND)
    }

    fn note(&self, is_behind: bool) {
        let now = Instant::now();
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = looked.behind.unwrap_or(now);
        *looked = Looked { at: Some(now), behind: is_behind.then_some(behind) };
    }

    /// Answers whether this is new.
    fn is_away(&self, now: u64) -> bool {
        let first =
            self.away_since.compare_exchange(0, now.max(1), Ordering::Relaxed, Ordering::Relaxed);
        first.is_ok()
    }

    /// Answers whether this is new.
    fn is_back(&self) -> bool {
        self.away_since.swap(0, Ordering::Relaxed) > 0
    }
}

/// Has everything published that other controllers commit, until `stop` is cancelled.
pub(crate) async fn follow(service: ClusterService, follower: Follower, stop: CancellationToken) {
    stop.run_until_cancelled(run(service, follower)).await;
}

async fn run(service: ClusterService, mut follower: Follower) {
    loop {
        match follower.next().await {
            Ok(revision) => {
                if service.reach.is_back() {
                    tracing::info!("the database answers again");
                }
                // A revision that is older than what is published is that of a database which was put back.
                let is_new = service.published().revision() != revision;
                service.reach.note(is_new);
                if is_new && service.requests.send(Request::Look(revision)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let is_outdated = matches!(error, Error::Outdated { .. });
                service.reach.is_outdated.store(is_outdated, Ordering::Relaxed);
                if service.reach.is_away(clock::milliseconds()) {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        error,
                        "the database cannot be used: changes are refused until it can, everything else goes on from memory"
                    );
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
