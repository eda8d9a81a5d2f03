//! What a node reports while it installs.

use serde::{Deserialize, Serialize};

/// The steps of an installation, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The prescript runs.
    Prescript,
    /// The BMC is set up.
    Setupbmc,
    /// The root is made.
    Partscript,
    /// The image is fetched and unpacked at once.
    Unpack,
    /// Host name and interfaces are written.
    Setnet,
    /// Secrets are written.
    Secrets,
    /// The boot loader is installed.
    Bootloader,
    /// The postscript runs.
    Postscript,
    /// Roles are installed.
    Roles,
    /// All is done; the image's own init comes next.
    Success,
}

impl Phase {
    /// All of them, in the order in which a node goes through them.
    pub const ALL: [Self; 10] = [
        Self::Prescript,
        Self::Setupbmc,
        Self::Partscript,
        Self::Unpack,
        Self::Setnet,
        Self::Secrets,
        Self::Bootloader,
        Self::Postscript,
        Self::Roles,
        Self::Success,
    ];

    /// The word of the API, after `install.`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Prescript => "prescript",
            Self::Setupbmc => "setupbmc",
            Self::Partscript => "partscript",
            Self::Unpack => "unpack",
            Self::Setnet => "setnet",
            Self::Secrets => "secrets",
            Self::Bootloader => "bootloader",
            Self::Postscript => "postscript",
            Self::Roles => "roles",
            Self::Success => "success",
        }
    }
}

/// How far a node is. Sent about once a second at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The step.
    pub phase: Phase,
    /// Bytes that are done, of those that are counted in this step.
    #[serde(default)]
    pub bytes_done: Option<u64>,
    /// Bytes in all.
    #[serde(default)]
    pub bytes_total: Option<u64>,
    /// Bytes per second.
    #[serde(default)]
    pub rate: Option<u64>,
    /// A sentence for a person, such as what is being retried.
    #[serde(default)]
    pub message: Option<String>,
}

/// The bytes of an installation's log that the controller keeps of each node: the beginning and the end of it. A little more may come.
pub const LONGEST_LOG: usize = 64 << 10;
