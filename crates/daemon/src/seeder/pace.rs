//! A limit of bytes in a second, shared by all that send.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// When the next byte may go.
#[derive(Debug)]
pub(super) struct Pace {
    limit: Option<u64>,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self { limit: limit.filter(|limit| *limit > 0), next: Mutex::default() }
    }

    /// Waits until so many bytes may go. Who asks first goes first.
    pub(super) async fn take(&self, bytes: u64) {
        let Some(limit) = self.limit else { return };
        let time = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / limit);
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let turn = next.map_or(now, |next| next.max(now));
            *next = Some(turn + time);
            turn
        };
        sleep_until(turn).await;
    }
}
