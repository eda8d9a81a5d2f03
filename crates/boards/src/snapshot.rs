//! A board as of one change.

use std::borrow::Borrow;
use std::ops::RangeBounds;
use std::sync::Arc;

use imbl::OrdMap;

/// A board as of one change. It does not change under the reader's hands; clones are cheap.
pub struct Snapshot<K, V> {
    pub(crate) sequence: u64,
    pub(crate) entries: OrdMap<K, Entry<V>>,
}

impl<K, V> Clone for Snapshot<K, V> {
    fn clone(&self) -> Self {
        Self { sequence: self.sequence, entries: self.entries.clone() }
    }
}

impl<K, V> std::fmt::Debug for Snapshot<K, V> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sequence, keys) = (self.sequence, self.entries.len());
        write!(formatter, "Snapshot {{ sequence: {sequence}, keys: {keys} }}")
    }
}

#[derive(Debug)]
pub(crate) struct Entry<V> {
    /// The change that made it so.
    pub(crate) sequence: u64,
    pub(crate) value: Arc<V>,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { sequence: self.sequence, value: Arc::clone(&self.value) }
    }
}

impl<K: Ord + Clone, V> Snapshot<K, V> {
    /// The number of the last change.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What stands under a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Everything, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Arc<V>)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// What stands under keys of a range, in their order.
    pub fn range(
        &self,
        keys: impl RangeBounds<K>,
    ) -> impl DoubleEndedIterator<Item = (&K, &Arc<V>)> {
        self.entries.range(keys).map(|(key, entry)| (key, &entry.value))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
