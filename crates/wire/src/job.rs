//! What jobs tell those who wait for them.

use serde::Serialize;
use utoipa::ToSchema;

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = JobProgress)]
pub struct Progress {
    /// What is done.
    pub step: String,
    /// How much is done.
    pub done: u64,
    /// How much there is to do, where that is known.
    pub total: Option<u64>,
    /// What is counted: `bytes` or `files`.
    pub unit: &'static str,
    /// Bytes per second, once that is known.
    pub rate: Option<u64>,
    /// Seconds that it will still take, once that is known.
    pub seconds_left: Option<u64>,
}

impl std::fmt::Display for Progress {
    /// `<step>: <done>/<total> bytes, <rate>, <time> left`, as existing clients show it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { step, done, total, unit, rate, seconds_left } = self;
        match total {
            Some(total) => write!(formatter, "{step}: {done}/{total} {unit}")?,
            None => write!(formatter, "{step}: {done} {unit}")?,
        }
        match rate.zip(*seconds_left) {
            Some((rate, left)) => write!(formatter, ", {} MiB/s, {left} s left", rate >> 20),
            None => Ok(()),
        }
    }
}
