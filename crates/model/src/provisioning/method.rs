//! How images reach nodes.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name of a plugin.
const LONGEST: usize = 64;

/// How an image reaches a node: a way that is built in, or a plugin of the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ProvisionMethod {
    /// From the controller.
    Http,
    /// From the controller and from other nodes.
    Torrent,
    /// By the installer of the distribution.
    Kickstart,
    /// As a plugin of the site does it.
    Plugin(Box<str>),
}

/// How an image is fetched when nobody says how.
pub const DEFAULT_METHOD: ProvisionMethod = ProvisionMethod::Torrent;
/// How it is fetched when that fails and nobody says how.
pub const DEFAULT_FALLBACK: ProvisionMethod = ProvisionMethod::Http;

/// The text is no name of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must be http, torrent, kickstart or the name of a plugin: letters, digits, '-', '_' and '.', at most {LONGEST}, the first a letter or a digit"
)]
pub struct NotAMethod;

impl ProvisionMethod {
    /// The word of the API.
    pub fn word(&self) -> &str {
        match self {
            Self::Http => "http",
            Self::Torrent => "torrent",
            Self::Kickstart => "kickstart",
            Self::Plugin(name) => name,
        }
    }
}

impl FromStr for ProvisionMethod {
    type Err = NotAMethod;

    /// The name becomes that of a file, and part of the name of a function.
    fn from_str(text: &str) -> Result<Self, NotAMethod> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if begins_well && text.len() <= LONGEST && text.chars().all(is_allowed) {
            Ok(text.to_owned().into())
        } else {
            Err(NotAMethod)
        }
    }
}

/// A method as it is stored: an older version took any text.
impl From<String> for ProvisionMethod {
    fn from(text: String) -> Self {
        match text.as_str() {
            "http" => Self::Http,
            "torrent" => Self::Torrent,
            "kickstart" => Self::Kickstart,
            _ => Self::Plugin(text.into()),
        }
    }
}

impl From<ProvisionMethod> for String {
    fn from(method: ProvisionMethod) -> Self {
        method.to_string()
    }
}

impl Display for ProvisionMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_words_and_names_of_plugins() {
        for text in ["http", "torrent", "kickstart", "default", "ipfs-2.local"] {
            let method: ProvisionMethod = text.parse().unwrap();
            assert_eq!(method.word(), text);
            assert_eq!(serde_json::to_string(&method).unwrap(), format!("\"{text}\""));
        }
        assert_eq!("torrent".parse(), Ok(ProvisionMethod::Torrent));
        let long = "x".repeat(LONGEST + 1);
        for text in ["", "../http", "a/b", ".hidden", "_private", "two words", "a\nb", &long] {
            assert_eq!(text.parse::<ProvisionMethod>(), Err(NotAMethod), "{text}");
        }
    }

    #[test]
    fn what_an_older_version_stored_is_read_as_it_stands() {
        let method: ProvisionMethod = serde_json::from_str("\"two words\"").unwrap();
        assert_eq!(serde_json::to_string(&method).unwrap(), "\"two words\"");
    }
}
