//! How far a long operation is, and how it is stopped.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The caller hears at most this often.
const INTERVAL: Duration = Duration::from_millis(100);

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Stage {
    Kernel,
    Initramfs,
    Archive,
    Copy,
}

/// Reported when a stage begins and ends, and at most ten times a second between. `bytes_total` is an estimate
/// made by a walk over the tree before the stage; 0 when there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    pub stage: Stage,
    pub bytes_done: u64,
    pub bytes_total: u64,
}

/// Shared with whoever may want the operation to stop.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn check(&self) -> Result<(), crate::Error> {
        if self.is_cancelled() { Err(crate::Error::Cancelled) } else { Ok(()) }
    }
}

/// Passes the progress of one stage on, not too often.
pub(crate) struct Meter<'a> {
    progress: Progress,
    told: Instant,
    report: &'a mut dyn FnMut(Progress),
    cancel: &'a CancelFlag,
}

impl<'a> Meter<'a> {
    pub(crate) fn start(
        stage: Stage,
        bytes_total: u64,
        report: &'a mut dyn FnMut(Progress),
        cancel: &'a CancelFlag,
    ) -> Self {
        let progress = Progress { stage, bytes_done: 0, bytes_total };
        report(progress);
        Self { progress, told: Instant::now(), report, cancel }
    }

    /// Sets how much is done; `Break` when the operation was cancelled.
    pub(crate) fn done(&mut self, bytes: u64) -> ControlFlow<()> {
        self.progress.bytes_done = bytes;
        if self.told.elapsed() >= INTERVAL {
            self.told = Instant::now();
            (self.report)(self.progress);
        }
        if self.cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Tells the end of the stage.
    pub(crate) fn finish(mut self, bytes: u64) {
        self.progress.bytes_done = bytes;
        self.progress.bytes_total = bytes;
        (self.report)(self.progress);
    }
}
