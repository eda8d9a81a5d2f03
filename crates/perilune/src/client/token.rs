//! Tokens between two calls: one small file, readable by its owner only.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A token that ends within this many seconds is replaced before it is used.
const MARGIN: u64 = 10;

/// What a token file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The daemon that gave the token.
    pub url: String,
    /// Whose token it is.
    pub username: String,
    /// The token itself.
    pub token: String,
    /// A digest of what it was got with; none for a token that somebody typed a password for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The certificate that the user named when logging in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
}

impl Session {
    /// Ties the token to the password and the site's key that are at hand. The token itself is in the digest, so that equal
    /// passwords do not show.
    #[must_use]
    pub fn tied_to(self, password: &str, secret_key: &str) -> Self {
        Self { login: Some(digest(&[&self.token, password, secret_key])), ..self }
    }

    /// Whether it was got with this password of the site with this key.
    pub fn is_tied_to(&self, password: &str, secret_key: &str) -> bool {
        self.login.as_deref() == Some(&digest(&[&self.token, password, secret_key]))
    }
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// A file that holds one [`Session`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFile(pub PathBuf);

impl TokenFile {
    /// The session in the file; none when there is no readable one.
    pub fn load(&self) -> Option<Session> {
        serde_json::from_slice(&fs::read(&self.0).ok()?).ok()
    }

    /// Replaces the file as a whole, with mode 0600 from the first byte.
    pub fn store(&self, session: &Session) -> io::Result<()> {
        let directory = self.0.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let temporary = self.0.with_extension(format!("{}.new", std::process::id()));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(session)?)?;
        file.write_all(b"\n")?;
        fs::rename(&temporary, &self.0)
    }

    /// Forgets the session. Whether there was one.
    pub fn remove(&self) -> io::Result<bool> {
        match fs::remove_file(&self.0) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether the token's own claim says that it has ended. A token that cannot be read is left to the daemon to judge.
pub fn is_expired(token: &str, now: u64) -> bool {
    expiry(token).is_some_and(|expiry| expiry <= now + MARGIN)
}

fn expiry(token: &str) -> Option<u64> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<serde_json::Value>(&payload).ok()?.get("exp")?.as_u64()
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the client is an edge: tokens end by the clock")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |duration| duration.as_secs())
}
