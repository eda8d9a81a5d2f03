//! Secrets that come or go as tables of the old database have them: as Fernet tokens of the site's key. Everywhere else they are
//! as they are used, and the store seals them.

use std::path::Path;
use std::sync::Arc;

use perilune_store::{Error, KeyId, Keys, looks_sealed};

/// Opens and makes the tokens of the site's key.
pub struct Vault {
    keys: Arc<Keys>,
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
    /// The vault of these keys.
    pub fn new(keys: &Arc<Keys>) -> Self {
        Self { keys: Arc::clone(keys) }
    }

    /// The content that was given: in the clear, or as a token.
    pub fn given(&self, content: &str) -> Result<String, Foreign> {
        if !looks_sealed(content) {
            return Ok(content.to_owned());
        }
        self.keys.open(content).ok_or_else(|| Foreign {
            file: self.keys.file().display().to_string(),
            key: self.keys.id(),
        })
    }

    /// Where the key is kept.
    pub fn key_file(&self) -> &Path {
        self.keys.file()
    }

    /// The token of a content, the same each time.
    pub fn token(&self, content: &str) -> Result<String, Error> {
        if content.is_empty() { Ok(String::new()) } else { self.keys.seal_alike(content) }
    }
}
