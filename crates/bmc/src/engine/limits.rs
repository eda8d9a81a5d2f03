//! What the administrator allows.

use std::num::NonZeroUsize;
use std::time::Duration;

/// No request is waited for longer than this, whatever is configured: an `Instant` plus the largest `Duration` panics.
const LONGEST: Duration = Duration::from_hours(24);
/// A BMC is not asked for its power more often than this: it rests as long between two conversations (`memory::REST`).
const OFTENEST: Duration = Duration::from_millis(50);
const MOST_TRIES: u32 = 20;

#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// How many BMCs are spoken to at one moment.
    pub concurrent: NonZeroUsize,
    /// How many are begun with in a second; None: as fast as it goes.
    pub starts_per_second: Option<f64>,
    /// How many machines of one group are switched on within a time.
    pub inrush: Option<Inrush>,
    /// When everything ends, whatever is done by then.
    pub deadline: Duration,
    /// How long one try with one BMC may take; six times as long where a list is read.
    pub attempt: Duration,
    /// How often a BMC is tried that does not answer, or not sensibly.
    pub tries: u32,
    /// How long it is left alone after the first such try; twice as long after each later one, give or take a half.
    pub pause: Duration,
    /// Whether and how it is made sure that power went on or off.
    pub verification: Option<Verification>,
    /// Tries also those BMCs that are left alone at the moment because they failed.
    pub insist: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inrush {
    pub machines: NonZeroUsize,
    pub within: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verification {
    /// How long the power may take to change.
    pub within: Duration,
    /// How often it is looked at.
    pub every: Duration,
}

impl Default for Verification {
    fn default() -> Self {
        Self { within: Duration::from_secs(15), every: Duration::from_secs(1) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrent: const { NonZeroUsize::new(256).expect("is not zero") },
            starts_per_second: None,
            inrush: None,
            deadline: Duration::from_mins(2),
            // A BMC that takes 4 s for each answer needs half of it.
            attempt: Duration::from_mins(1),
            tries: 2,
            pause: Duration::from_millis(300),
            verification: Some(Verification::default()),
            insist: false,
        }
    }
}

impl Limits {
    /// For sites that have set a size and a delay of batches: never more at once, and no faster than in batches, but
    /// nobody waits for the slowest of a batch.
    pub fn in_batches(size: NonZeroUsize, delay: Duration) -> Self {
        let size_in_floating_point = f64::from(u32::try_from(size.get()).unwrap_or(u32::MAX));
        let rate = size_in_floating_point / delay.as_secs_f64();
        Self {
            concurrent: size,
            starts_per_second: rate.is_finite().then_some(rate),
            ..Self::default()
        }
    }

    /// With everything inside what makes sense, whatever was configured.
    pub(crate) fn sensible(mut self) -> Self {
        self.deadline = self.deadline.min(LONGEST);
        self.attempt = self.attempt.min(LONGEST);
        self.pause = self.pause.min(LONGEST);
        self.tries = self.tries.clamp(1, MOST_TRIES);
        if let Some(inrush) = &mut self.inrush {
            inrush.within = inrush.within.min(LONGEST);
        }
        if let Some(verification) = &mut self.verification {
            verification.within = verification.within.min(LONGEST);
            verification.every = verification.every.clamp(OFTENEST, LONGEST);
        }
        self
    }

    /// How long to wait before the try after `tries` tries. `random` spreads those that failed at one moment.
    pub(crate) fn pause_after(&self, tries: u32, random: u32) -> Duration {
        // Ten doublings at most: with the default pause, about five minutes.
        let doubled = self
            .pause
            .saturating_mul(1_u32.checked_shl(tries.saturating_sub(1).min(10)).unwrap_or(1));
        let spread = f64::from(random) / f64::from(u32::MAX);
        doubled.mul_f64(0.5 + spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_become_a_rate() {
        let limits = Limits::in_batches(NonZeroUsize::new(10).unwrap(), Duration::from_secs(2));
        assert_eq!((limits.concurrent.get(), limits.starts_per_second), (10, Some(5.0)));
        let limits = Limits::in_batches(NonZeroUsize::MIN, Duration::ZERO);
        assert_eq!(limits.starts_per_second, None);
    }

    #[test]
    fn pauses_double_and_are_spread_by_a_half() {
        let limits = Limits { pause: Duration::from_secs(1), ..Limits::default() };
        assert_eq!(limits.pause_after(1, 0), Duration::from_millis(500));
        assert_eq!(limits.pause_after(1, u32::MAX), Duration::from_millis(1500));
        assert_eq!(limits.pause_after(3, 0), Duration::from_secs(2));
        assert!(limits.pause_after(u32::MAX, u32::MAX) < Duration::from_hours(1));
    }
}
