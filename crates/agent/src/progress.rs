//! How far a long step is, about once a second for the controller and every few seconds for the console.

use std::collections::VecDeque;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use perilune_plan::{Phase, Progress};

use crate::console::{Console, bytes};
use crate::controller::Controller;

const REPORT_EVERY: Duration = Duration::from_secs(1);
/// One of this many reports is shown on the console.
const SHOWN: u32 = 3;
const REMEMBERED: usize = 5;

/// Says how far `work` is while it runs: `done` of `total` bytes.
pub fn follow<T>(
    controller: &Controller,
    console: &Console,
    phase: Phase,
    total: u64,
    done: &(dyn Fn() -> u64 + Sync),
    work: impl FnOnce() -> T,
) -> T {
    let mut window = Window::starting(Instant::now());
    let mut progress = move || window.at(Instant::now(), phase, total, done());
    thread::scope(|scope| {
        let (finished, is_finished) = channel::<()>();
        scope.spawn(move || {
            let mut reports = 0;
            while is_finished.recv_timeout(REPORT_EVERY) == Err(RecvTimeoutError::Timeout) {
                let progress = progress();
                controller.progress(&progress);
                reports += 1;
                if reports % SHOWN == 0 {
                    console.line(&describe(&progress));
                }
            }
        });
        let result = work();
        drop(finished);
        result
    })
}

/// The last few reports: from them the rate is told, so that it is that of now.
struct Window(VecDeque<(Instant, u64)>);

impl Window {
    fn starting(now: Instant) -> Self {
        Self(VecDeque::from([(now, 0)]))
    }

    fn at(&mut self, now: Instant, phase: Phase, total: u64, done: u64) -> Progress {
        self.0.push_back((now, done));
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
        let (since, before) = self.0.front().copied().unwrap_or((now, done));
        let milliseconds =
            u64::try_from(now.duration_since(since).as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = done.saturating_sub(before).saturating_mul(1000) / milliseconds;
        Progress {
            phase,
            bytes_done: Some(done),
            bytes_total: Some(total),
            rate: Some(rate),
            message: None,
        }
    }
}

fn describe(progress: &Progress) -> String {
    let (done, total) = (progress.bytes_done.unwrap_or(0), progress.bytes_total.unwrap_or(0));
    let percent = u128::from(done) * 100 / u128::from(total.max(1));
    format!(
        "{percent:3} %  {} of {}, {}/s",
        bytes(done),
        bytes(total),
        bytes(progress.rate.unwrap_or(0))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_one_readable_line() {
        let start = Instant::now();
        let mut window = Window::starting(start);
        let progress =
            window.at(start + Duration::from_secs(4), Phase::Unpack, 400 << 20, 100 << 20);
        assert_eq!(progress.rate, Some(25 << 20));
        assert_eq!(describe(&progress), " 25 %  100 MiB of 400 MiB, 25.0 MiB/s");
        let nothing = Window::starting(start).at(start, Phase::Unpack, 0, 0);
        assert_eq!(describe(&nothing), "  0 %  0 bytes of 0 bytes, 0 bytes/s");
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut window = Window::starting(start);
        let mut at = |second, done| {
            window.at(start + Duration::from_secs(second), Phase::Unpack, 1000, done).rate.unwrap()
        };
        assert_eq!(at(1, 500), 500);
        let rates: Vec<u64> = (2..10).map(|second| at(second, 500)).collect();
        assert_eq!(rates.last(), Some(&0), "{rates:?}");
    }
}
