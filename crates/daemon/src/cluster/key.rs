//! What names a request that its client may send again, since it does not know what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The name of a request. The first commit that the request leads to is stored with it; clones are the same request.
#[derive(Debug, Clone)]
pub struct RequestKey {
    text: String,
    is_used: Arc<AtomicBool>,
}

impl PartialEq for RequestKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RequestKey {}

impl RequestKey {
    /// `text` must be another for each request of each client.
    pub fn new(text: String) -> Self {
        Self { text, is_used: Arc::default() }
    }

    /// What the store knows it by.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// For the one commit that is stored with it.
    pub(super) fn take(&self) -> Option<String> {
        let is_first = !self.is_used.swap(true, Ordering::AcqRel);
        is_first.then(|| self.text.clone())
    }
}
