//! Secrets that come or go as tables of the old database have them: as Fernet tokens of the site's key. Everywhere else they are
//! as they are used, and the store seals them.

use std::path::Path;

use perilune_store::{Error, KeyId, Store, looks_sealed};

/// The site's key: opens and makes its tokens, and makes another.
pub struct Vault {
    store: Store,
}

/// A token of another key, which nobody here can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is encrypted with another key than that of this site, {file} ([FILES] KEYFILE, key {key}); add the key of the site that it comes from as a second line there and start the daemon again, or give it in the clear"
)]
pub struct Foreign {
    file: String,
    key: KeyId,
}

impl Vault {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Which key is in use. Nothing of it is told.
    pub fn key(&self) -> KeyId {
        self.store.keys().id()
    }

    /// Makes a new key and stores everything with it. It runs on when whoever asked goes away.
    pub async fn rotate(&self) -> Result<KeyId, Error> {
        self.store.rotate_key().await
    }

    /// The content that was given: in the clear, or as a token.
    pub fn given(&self, content: &str) -> Result<String, Foreign> {
        if !looks_sealed(content) {
            return Ok(content.to_owned());
        }
        self.store
            .keys()
            .open(content)
            .ok_or_else(|| Foreign { file: self.key_file().display().to_string(), key: self.key() })
    }

    /// Where the key is kept.
    pub fn key_file(&self) -> &Path {
        self.store.keys().file()
    }

    /// The token of a content, the same each time.
    pub fn token(&self, content: &str) -> Result<String, Error> {
        if content.is_empty() { Ok(String::new()) } else { self.store.keys().seal_alike(content) }
    }
}
