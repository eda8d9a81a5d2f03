//! The one place that reads the clock.
#![expect(clippy::disallowed_methods, reason = "everything else is given the time")]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, UTC.
pub fn milliseconds() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds on a clock that runs evenly and never jumps, whatever is done to the other. It begins with what that one says when this is
/// first asked. What lasts so long is measured by it; it is nothing to be stored or shown.
pub fn steady_milliseconds() -> u64 {
    static BEGIN: OnceLock<(u64, Instant)> = OnceLock::new();
    let (began, instant) = BEGIN.get_or_init(|| (milliseconds(), Instant::now()));
    began.saturating_add(u64::try_from(instant.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// Seconds since 1970, UTC.
pub fn seconds() -> u64 {
    since_1970().as_secs()
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A time in milliseconds since 1970 as RFC 3339 text in UTC, to the second.
pub fn rfc3339(milliseconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(milliseconds)).to_string()
}
