//! How far it is: what the threads of a client tell each other and whoever waits for the file.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::metainfo::Torrent;

/// How far a file is that comes from peers.
#[derive(Debug)]
pub struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    has: Vec<bool>,
    verified: u64,
    given: u64,
    peers: usize,
    wrong: usize,
    /// When the last piece came; at first when it began.
    came: Instant,
    failed: Option<String>,
    is_over: bool,
}

/// Why a piece is not waited for any longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stalled {
    #[error("no piece came for {} s, from {peers} peers", waited.as_secs())]
    Silent { waited: Duration, peers: usize },
    #[error("{0}")]
    Failed(String),
}

impl Progress {
    pub(super) fn new(torrent: &Torrent) -> Self {
        let state = State {
            has: vec![false; torrent.pieces.len()],
            verified: 0,
            given: 0,
            peers: 0,
            wrong: 0,
            came: Instant::now(),
            failed: None,
            is_over: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits until a piece is in the file and verified; not when nothing at all has come for `patience`.
    pub fn wait(&self, piece: u32, patience: Duration) -> Result<(), Stalled> {
        let mut state = self.lock();
        loop {
            if usize::try_from(piece).ok().and_then(|piece| state.has.get(piece)) == Some(&true) {
                return Ok(());
            }
            if let Some(reason) = &state.failed {
                return Err(Stalled::Failed(reason.clone()));
            }
            let waited = state.came.elapsed();
            let Some(left) = patience.checked_sub(waited).filter(|left| !left.is_zero()) else {
                return Err(Stalled::Silent { waited, peers: state.peers });
            };
            state = self.wait_for(state, left);
        }
    }

    /// Bytes that have come and are verified.
    pub fn verified(&self) -> u64 {
        self.lock().verified
    }

    /// Bytes that others were given.
    pub fn given(&self) -> u64 {
        self.lock().given
    }

    /// Pieces that were not what they should be.
    pub fn wrong(&self) -> usize {
        self.lock().wrong
    }

    /// Peers that speak with this one.
    pub fn peers(&self) -> usize {
        self.lock().peers
    }

    pub fn is_complete(&self) -> bool {
        self.lock().has.iter().all(|has| *has)
    }

    pub(super) fn came(&self, piece: usize, bytes: u64) {
        let mut state = self.lock();
        if let Some(has) = state.has.get_mut(piece) {
            *has = true;
        }
        state.verified += bytes;
        state.came = Instant::now();
        self.changed.notify_all();
    }

    pub(super) fn note(&self, peers: usize, wrong: usize) {
        let mut state = self.lock();
        (state.peers, state.wrong) = (peers, wrong);
    }

    pub(super) fn gave(&self, bytes: u64) {
        self.lock().given = bytes;
    }

    /// It cannot go on, whoever has what.
    pub(super) fn fail(&self, reason: String) {
        self.lock().failed = Some(reason);
        self.changed.notify_all();
    }

    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// Waits until it is over, or complete where that is news, for `limit` at most.
    pub(super) fn pause(&self, limit: Duration, knows_complete: bool) {
        let end = Instant::now() + limit;
        let mut state = self.lock();
        loop {
            let is_complete = !knows_complete && state.has.iter().all(|has| *has);
            let left = end.saturating_duration_since(Instant::now());
            if state.is_over || is_complete || left.is_zero() {
                return;
            }
            state = self.wait_for(state, left);
        }
    }

    fn wait_for<'a>(&self, state: MutexGuard<'a, State>, left: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, left);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
