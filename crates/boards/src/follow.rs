//! How others hear of changes.

use std::sync::{Arc, Weak};

use tokio::sync::watch;

use crate::board::Shared;
use crate::snapshot::Snapshot;

/// One change of a board.
#[derive(Debug)]
pub struct Change<K, V> {
    /// Its number.
    pub sequence: u64,
    /// What was changed.
    pub key: K,
    /// What it is now; `None` when it was removed.
    pub value: Option<Arc<V>>,
    /// Another controller made it.
    pub is_others: bool,
}

impl<K: Clone, V> Clone for Change<K, V> {
    fn clone(&self) -> Self {
        let value = self.value.as_ref().map(Arc::clone);
        let (sequence, key, is_others) = (self.sequence, self.key.clone(), self.is_others);
        Self { sequence, key, value, is_others }
    }
}

/// What is new on a board for somebody who knew it as of a number.
#[derive(Debug)]
pub enum Since<K, V> {
    /// Every change since, in order.
    Changes(Vec<Change<K, V>>),
    /// Too much happened since, or the number is of another life of the daemon: everything, to begin anew with.
    Whole(Snapshot<K, V>),
}

/// Follows a board. It holds nothing of the board back: who is too slow begins anew.
#[derive(Debug)]
pub struct Subscription<K, V> {
    pub(crate) shared: Weak<Shared<K, V>>,
    pub(crate) published: watch::Receiver<Snapshot<K, V>>,
    pub(crate) known: u64,
}

impl<K: Ord + Clone, V> Subscription<K, V> {
    /// Waits for news; `None` when the board is gone. It loses nothing when it is dropped while it waits.
    pub async fn next(&mut self) -> Option<Since<K, V>> {
        loop {
            // Seen from here on wakes again, so that a change between the look and the wait is not missed.
            let now = self.published.borrow_and_update().sequence;
            if now != self.known {
                let news = self.shared.upgrade()?.lock().since(self.known);
                self.known = match &news {
                    Since::Changes(changes) => changes.last().map_or(now, |change| change.sequence),
                    Since::Whole(snapshot) => snapshot.sequence,
                };
                return Some(news);
            }
            self.published.changed().await.ok()?;
        }
    }

    /// The number of the last change that this follower was told of.
    pub fn known(&self) -> u64 {
        self.known
    }
}
