//! How far a long step is, about once a second for the controller and every few seconds for the console.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use perilune_plan::{Phase, Progress};

use crate::console::{Console, bytes};
use crate::controller::Controller;

const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Of so many reports one is shown on the console.
const SHOWN: u32 = 3;

/// Says how far `work` is while it runs: `done` of `total` bytes.
pub fn follow<T>(
    controller: &Controller,
    console: &Console,
    phase: Phase,
    total: u64,
    done: &AtomicU64,
    work: impl FnOnce() -> T,
) -> T {
    let started = Instant::now();
    let progress = || at(phase, total, done.load(Ordering::Relaxed), started.elapsed());
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

/// Progress after some time.
fn at(phase: Phase, total: u64, done: u64, elapsed: Duration) -> Progress {
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    Progress {
        phase,
        bytes_done: Some(done),
        bytes_total: Some(total),
        rate: Some(done.saturating_mul(1000) / milliseconds),
        message: None,
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
        let progress = at(Phase::Unpack, 400 << 20, 100 << 20, Duration::from_secs(4));
        assert_eq!(progress.rate, Some(25 << 20));
        assert_eq!(describe(&progress), " 25 %  100 MiB of 400 MiB, 25.0 MiB/s");
        assert_eq!(
            describe(&at(Phase::Unpack, 0, 0, Duration::ZERO)),
            "  0 %  0 bytes of 0 bytes, 0 bytes/s"
        );
    }
}
