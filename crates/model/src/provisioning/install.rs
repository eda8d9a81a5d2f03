//! When a node is installed, and what that may cost.

use serde::{Deserialize, Serialize};

/// When a node is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstallPolicy {
    /// At each boot from the network.
    Always,
    /// Until it succeeds; then it boots from its disk, until somebody wants it to be installed anew.
    Once,
    /// Not at all: it boots from its disk.
    Never,
    /// At each boot, and into memory, whatever is said about disks.
    Memory,
}

impl InstallPolicy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Always, Self::Once, Self::Never, Self::Memory];

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Once => "once",
            Self::Never => "never",
            Self::Memory => "memory",
        }
    }

    /// The word of `install_mode`, by which the newest clients of Luna 2 say the same. They have none for `once`: `auto`, the site's
    /// usual way, is the nearest.
    pub fn mode(self) -> &'static str {
        match self {
            Self::Always => "full",
            Self::Once => "auto",
            Self::Never => "local",
            Self::Memory => "memboot",
        }
    }
}

/// What may be wiped of disks that nobody named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wipe {
    /// What Perilune has installed.
    No,
    /// Also a system of a former provisioner.
    Provisioned,
    /// Everything.
    All,
}

impl Wipe {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::No, Self::Provisioned, Self::All];

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Provisioned => "provisioned",
            Self::All => "all",
        }
    }
}

/// What firmware starts first of a node that has a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BootOrder {
    /// The network, where the controller decides; then the disk.
    Network,
    /// The disk that was installed.
    Disk,
}

impl BootOrder {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Network, Self::Disk];

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Disk => "disk",
        }
    }
}

/// Whom `/etc/hosts` of a node names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hosts {
    /// The node itself.
    #[serde(rename = "self")]
    Itself,
    /// The nodes of its group, and the controllers.
    Group,
    /// All nodes, and the controllers.
    All,
}

impl Hosts {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Itself, Self::Group, Self::All];

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Itself => "self",
            Self::Group => "group",
            Self::All => "all",
        }
    }
}
