//! The format that all controllers know, as it was last heard.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// It is looked at for each commit, and noted whenever the database says it.
#[derive(Debug, Default)]
pub(super) struct Agreed {
    format: AtomicU32,
    /// Who does not know that of this program.
    behind: Mutex<Vec<String>>,
}

impl Agreed {
    pub(super) fn format(&self) -> u32 {
        self.format.load(Ordering::Acquire)
    }

    pub(super) fn note(&self, format: u32) {
        self.format.store(format, Ordering::Release);
    }

    pub(super) fn behind(&self) -> Vec<String> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note_behind(&self, controllers: Vec<String>) {
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = controllers;
    }
}
