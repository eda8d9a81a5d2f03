//! Secrets that not everybody sees who sees the object that has them.

/// What stands in place of a secret. Clients that send an object back as they read it leave the secret as it is.
pub const HIDDEN: &str = "(hidden)";

/// Who looks at an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Somebody who may see its secrets.
    Whole,
    /// Somebody else.
    WithoutSecrets,
}

impl View {
    /// A secret of the object; one that is not set is shown as that to everybody.
    pub fn secret(self, secret: &str) -> &str {
        match self {
            Self::WithoutSecrets if !secret.is_empty() => HIDDEN,
            Self::Whole | Self::WithoutSecrets => secret,
        }
    }

    /// The same for a field that may be unset.
    pub fn optional(self, secret: Option<&str>) -> Option<&str> {
        secret.map(|secret| self.secret(secret))
    }
}
