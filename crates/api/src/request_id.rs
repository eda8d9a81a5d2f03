//! Numbers by which a failure is found in the log.

use std::sync::atomic::{AtomicU64, Ordering};

use perilune_daemon::clock;

/// A text that no other failure of this daemon has.
pub(crate) fn new() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{:x}-{:x}", clock::milliseconds(), COUNT.fetch_add(1, Ordering::Relaxed))
}
