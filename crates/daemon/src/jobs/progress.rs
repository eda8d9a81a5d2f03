//! How far a step is, in the words that the command line draws a bar from: `<step>: <done>/<total> bytes, …`.

use std::time::{Duration, Instant};

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
    pub(super) fn text(&self, done: u64, total: u64) -> Option<String> {
        (total > 0).then(|| text(&self.label, done, total, self.began.elapsed()))
    }
}

fn text(label: &str, done: u64, total: u64, elapsed: Duration) -> String {
    let rate =
        u64::try_from(u128::from(done) * 1000 / elapsed.as_millis().max(1)).unwrap_or(u64::MAX);
    let mut text = format!("{label}: {done}/{total} bytes");
    if rate > 0 {
        let left = total.saturating_sub(done).div_ceil(rate);
        text = format!("{text}, {} MiB/s, {left} s left", rate >> 20);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left_follow_from_what_is_done() {
        let told = text("building osimage compute", 20 << 20, 50 << 20, Duration::from_secs(2));
        assert_eq!(told, "building osimage compute: 20971520/52428800 bytes, 10 MiB/s, 3 s left");
        let begun = text("building osimage compute", 0, 10, Duration::ZERO);
        assert_eq!(begun, "building osimage compute: 0/10 bytes");
    }

    #[test]
    fn a_step_of_unknown_size_tells_nothing() {
        assert_eq!(Step::begin("a".to_owned()).text(1, 0), None);
    }
}
