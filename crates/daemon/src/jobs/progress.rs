//! Measures how far a step is.

use std::time::{Duration, Instant};

use perilune_wire::job::Progress;

/// Measures one step.
#[derive(Debug)]
pub(super) struct Step {
    label: String,
    began: Instant,
}

impl Step {
    pub(super) fn begin(label: String) -> Self {
        Self { label, began: Instant::now() }
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// `None` where it is not known how much there is to do.
    pub(super) fn progress(&self, done: u64, total: u64) -> Option<Progress> {
        (total > 0).then(|| progress(&self.label, done, total, self.began.elapsed()))
    }
}

fn progress(label: &str, done: u64, total: u64, elapsed: Duration) -> Progress {
    let rate =
        u64::try_from(u128::from(done) * 1000 / elapsed.as_millis().max(1)).unwrap_or(u64::MAX);
    let rate = Some(rate).filter(|rate| *rate > 0);
    let seconds_left = rate.map(|rate| total.saturating_sub(done).div_ceil(rate));
    let step = label.to_owned();
    Progress { step, done, total: Some(total), unit: "bytes", rate, seconds_left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left_follow_from_what_is_done() {
        let told = progress("building", 20 << 20, 50 << 20, Duration::from_secs(2));
        assert_eq!((told.rate, told.seconds_left), (Some(10 << 20), Some(3)));
        let begun = progress("building", 0, 10, Duration::ZERO);
        assert_eq!((begun.rate, begun.seconds_left), (None, None));
    }

    #[test]
    fn a_step_of_unknown_size_tells_nothing() {
        assert_eq!(Step::begin("a".to_owned()).progress(1, 0), None);
    }
}
