//! When to answer: soon, but never often, however many ask (RFC 4861, section 6.2.6).

use std::time::{Duration, Instant};

/// Answers come up to so much later than the question, by chance: of many routers that were asked, not all speak at once.
pub const LONGEST_DELAY: Duration = Duration::from_millis(500);
/// So much time lies between two advertisements to everybody. One answers all who asked meanwhile.
pub const SHORTEST_PAUSE: Duration = Duration::from_secs(3);

/// When the last advertisement was sent, and when the next is due.
#[derive(Debug, Default)]
pub struct Schedule {
    sent: Option<Instant>,
    due: Option<Instant>,
}

impl Schedule {
    /// Somebody asked. An advertisement that is due anyhow answers this, too.
    pub fn solicited(&mut self, now: Instant, delay: Duration) {
        let earliest = self.sent.map_or(now, |sent| now.max(sent + SHORTEST_PAUSE));
        let at = earliest + delay.min(LONGEST_DELAY);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// When the next advertisement is due.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// It was sent, or could not be.
    pub fn done(&mut self, now: Instant) {
        self.sent = Some(now);
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn nothing_is_due_unless_somebody_asks() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.due(), None);
        let now = Instant::now();
        schedule.solicited(now, 100 * MILLISECOND);
        assert_eq!(schedule.due(), Some(now + 100 * MILLISECOND));
        schedule.done(now + 100 * MILLISECOND);
        assert_eq!(schedule.due(), None);
    }

    #[test]
    fn those_who_ask_together_are_answered_together() {
        let mut schedule = Schedule::default();
        let now = Instant::now();
        schedule.solicited(now, 300 * MILLISECOND);
        schedule.solicited(now + 100 * MILLISECOND, 400 * MILLISECOND);
        assert_eq!(schedule.due(), Some(now + 300 * MILLISECOND));
    }

    #[test]
    fn who_asks_after_an_answer_waits_for_the_pause() {
        let mut schedule = Schedule::default();
        let now = Instant::now();
        schedule.done(now);
        schedule.solicited(now + 1000 * MILLISECOND, 200 * MILLISECOND);
        assert_eq!(schedule.due(), Some(now + 3200 * MILLISECOND));
    }

    proptest! {
        #[test]
        fn everybody_is_answered_in_time_and_never_two_within_the_pause(
            questions in proptest::collection::vec((0..4000_u32, 0..900_u32), 1..200),
        ) {
            let mut schedule = Schedule::default();
            let mut now = Instant::now();
            let (mut answers, mut waiting) = (Vec::new(), Vec::new());
            let mut serve = |schedule: &mut Schedule, waiting: &mut Vec<Instant>, until: Option<Instant>| {
                while let Some(due) = schedule.due().filter(|due| until.is_none_or(|until| *due <= until)) {
                    for asked in waiting.drain(..) {
                        assert!(due >= asked && due - asked <= SHORTEST_PAUSE + LONGEST_DELAY);
                    }
                    answers.push(due);
                    schedule.done(due);
                }
            };
            for (pause, delay) in questions {
                now += pause * MILLISECOND;
                serve(&mut schedule, &mut waiting, Some(now));
                schedule.solicited(now, delay * MILLISECOND);
                waiting.push(now);
            }
            serve(&mut schedule, &mut waiting, None);
            prop_assert!(waiting.is_empty(), "nobody is left without an answer");
            for pair in answers.windows(2) {
                prop_assert!(pair[1] - pair[0] >= SHORTEST_PAUSE);
            }
        }
    }
}
