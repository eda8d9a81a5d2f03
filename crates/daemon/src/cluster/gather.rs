//! Several requests as one change: their decisions are gathered on a draft of their own, and made together in one commit.

use std::sync::{Arc, Mutex, PoisonError};

use perilune_model::{Change, Cluster, Draft};

use super::writer::guarded;
use super::{Answer, Decision, Error};

pub(super) type Afterwards = Box<dyn FnOnce() + Send>;

/// What was gathered so far; clones share it.
#[derive(Clone)]
pub(super) struct Gathered(Arc<Mutex<Inner>>);

struct Inner {
    /// What it began as.
    base: Arc<Cluster>,
    draft: Draft,
    decisions: Vec<Decision>,
    afterwards: Vec<Afterwards>,
    /// What came after it was taken counts for nothing.
    is_taken: bool,
}

/// All that was gathered: the decisions, and what is to be done when they are made.
pub(super) type Taken = (Vec<Decision>, Vec<Afterwards>);

impl Gathered {
    pub(super) fn new(base: Arc<Cluster>) -> Self {
        let draft = Draft::new(&base);
        let (decisions, afterwards) = (Vec::new(), Vec::new());
        Self(Arc::new(Mutex::new(Inner { base, draft, decisions, afterwards, is_taken: false })))
    }

    fn inner<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The cluster as it is after what was gathered.
    pub(super) fn cluster(&self) -> Arc<Cluster> {
        self.inner(|inner| Arc::new((*inner.draft).clone()))
    }

    /// Decides on the draft. After a refusal the draft may be half changed: see [`Self::rewind`].
    pub(super) fn decide(&self, decision: Decision) -> Result<(Answer, Change), Error> {
        self.inner(|inner| {
            if inner.is_taken {
                return Err(Error::Stopping);
            }
            let answer = guarded(|| decision(&mut inner.draft))?;
            inner.decisions.push(decision);
            Ok((answer, Change::default()))
        })
    }

    /// Decides on a copy of the draft.
    pub(super) fn try_out(&self, decision: &Decision) -> Result<(Answer, Change), Error> {
        let mut draft = self.inner(|inner| inner.draft.clone());
        let answer = guarded(|| decision(&mut draft))?;
        Ok((answer, draft.finish().1))
    }

    /// Forgets what a decision that was refused has left on the draft. That is made anew of those that were taken: a refusal is rare, and
    /// a copy of the draft before each decision would cost more.
    pub(super) fn rewind(&self) {
        self.inner(|inner| {
            let mut draft = Draft::new(&inner.base);
            for decide in &inner.decisions {
                // It was taken on the very same draft before.
                drop(guarded(|| decide(&mut draft)));
            }
            inner.draft = draft;
        });
    }

    pub(super) fn after(&self, work: Afterwards) {
        self.inner(|inner| inner.afterwards.push(work));
    }

    pub(super) fn take(&self) -> Taken {
        self.inner(|inner| {
            inner.is_taken = true;
            (std::mem::take(&mut inner.decisions), std::mem::take(&mut inner.afterwards))
        })
    }
}
