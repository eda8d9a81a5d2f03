//! What is done with trees, and what comes of it. These travel between the daemon and its worker, so they say what is wanted and never how:
//! no command, no option of a program, no place of a file beside the trees.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use perilune_image::{Packed, Parts, Readers};
use serde::{Deserialize, Serialize};

use crate::jobs::work::{Format, Mounted};

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Task {
    /// Make kernel, initramfs and archive.
    Pack(Pack),
    /// Look for what a node would lack.
    Check { tree: PathBuf, kernel_version: Option<String>, kernel_modules: Vec<String> },
    /// Copy a tree to another place: where nothing is, or only what a removed image has left when that may be replaced.
    Copy { from: PathBuf, to: PathBuf, request: String, mounts: Mounted, may_replace: bool },
    /// Move a tree to where nothing is.
    Move { from: PathBuf, to: PathBuf },
    /// Give a tree the authorities of this machine's subscription.
    Certificates { tree: PathBuf },
    /// Write down that a tree is what a removed image has left.
    Leave { tree: PathBuf },
    /// Give the place of a tree that was left to another.
    PutAside { tree: PathBuf, request: String },
    /// Remove a tree.
    Remove { tree: PathBuf, request: String },
    /// Ask a node that runs what it has mounted.
    Mounts { host: Host },
    /// Bring a tree to what a node has.
    Grab(Grab),
    /// Bring a node to what a tree has.
    Push(Push),
    /// Run a plugin that the worker's own configuration names.
    Plugin(Plugin),
}

impl Task {
    /// What it is called in logs.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Pack(_) => "pack",
            Self::Check { .. } => "check",
            Self::Copy { .. } => "copy",
            Self::Move { .. } => "move",
            Self::Certificates { .. } => "certificates",
            Self::Leave { .. } => "leave",
            Self::PutAside { .. } => "put-aside",
            Self::Remove { .. } => "remove",
            Self::Mounts { .. } => "mounts",
            Self::Grab(_) => "grab",
            Self::Push(_) => "push",
            Self::Plugin(_) => "plugin",
        }
    }

    /// What it is about, for logs: a tree, or a plugin.
    pub(crate) fn subject(&self) -> Option<String> {
        let tree = match self {
            Self::Pack(Pack { tree, .. })
            | Self::Check { tree, .. }
            | Self::Certificates { tree }
            | Self::Leave { tree }
            | Self::PutAside { tree, .. }
            | Self::Remove { tree, .. }
            | Self::Grab(Grab { tree, .. })
            | Self::Push(Push { tree, .. }) => tree,
            Self::Copy { to, .. } | Self::Move { to, .. } => to,
            Self::Plugin(Plugin { path, .. }) => return Some(path.escape_debug().to_string()),
            Self::Mounts { .. } => return None,
        };
        Some(tree.display().to_string())
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pack {
    /// The beginning of the names of the files.
    pub(crate) name: String,
    pub(crate) tree: PathBuf,
    pub(crate) kernel_version: Option<String>,
    pub(crate) kernel_modules: Vec<String>,
    pub(crate) epoch: u64,
    pub(crate) format: Format,
    pub(crate) mounts: Mounted,
    pub(crate) readers: Readers,
    /// What the site does not make itself.
    pub(crate) parts: Parts,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Grab {
    pub(crate) host: Host,
    pub(crate) tree: PathBuf,
    /// Directories of the node, from its root.
    pub(crate) places: Vec<String>,
    /// Where the node has something mounted, which stays out; `None`: whatever is on another device stays out.
    pub(crate) mounts: Option<Vec<OsString>>,
    /// Patterns of `rsync`.
    pub(crate) exclude: Vec<String>,
    /// Whether anything is changed.
    pub(crate) really: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Push {
    pub(crate) host: Host,
    pub(crate) tree: PathBuf,
    /// Directories of the tree, from its root.
    pub(crate) places: Vec<String>,
    /// Patterns of `rsync`.
    pub(crate) exclude: Vec<String>,
    /// Whether anything is changed.
    pub(crate) really: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plugin {
    /// Its path below the plugins' directory, without an ending.
    pub(crate) path: String,
    pub(crate) arguments: Vec<String>,
    /// Its standard input.
    pub(crate) question: String,
    /// It may take so long, and say so many bytes.
    pub(crate) seconds: u64,
    pub(crate) output: u64,
}

/// Where a node is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Host {
    Address(IpAddr),
    /// A name, for nodes without an address.
    Name(HostName),
}

/// What a node can be called. It becomes a word of a command line, so that it is none that begins an option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct HostName(String);

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let is_plain =
            |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
        let begins = name.starts_with(|character: char| character.is_ascii_alphanumeric());
        if begins && name.chars().all(is_plain) {
            return Ok(Self(name));
        }
        Err(format!("'{name}' is not a host name"))
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

impl std::fmt::Display for HostName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Told {
    Bytes(perilune_image::Progress),
    /// So many files differ.
    Files(u64),
}

/// Is told how far a task is. It never waits, and may be told less than everything.
pub(crate) type Report = Arc<dyn Fn(Told) + Send + Sync>;

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Done {
    Nothing,
    Packed(Packed),
    /// Sentences for the operator.
    Notes(Vec<String>),
    Findings(Vec<Finding>),
    /// Where a tree is now.
    Aside(PathBuf),
    /// `None` where the node does not say.
    Mounts(Option<Vec<OsString>>),
    Count(Count),
    /// What a plugin says.
    Said(String),
}

/// One line of the check list of an OS image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finding {
    /// `good`, `warning` or `fault`.
    pub level: String,
    /// What was looked at: `kernel`, `loader`, `network`, `ssh`, `identity`, `selinux`, `credentials`, `size` or `tree`.
    pub subject: String,
    /// A sentence about it.
    pub text: String,
}

impl From<perilune_image::Finding> for Finding {
    fn from(finding: perilune_image::Finding) -> Self {
        let level = match finding.level {
            perilune_image::Level::Good => "good",
            perilune_image::Level::Warning => "warning",
            perilune_image::Level::Fault => "fault",
        };
        Self { level: level.to_owned(), subject: finding.subject.to_owned(), text: finding.text }
    }
}

/// What differed between a tree and a node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Count {
    /// How many files.
    pub(crate) files: u64,
    /// What `rsync` said of the first of them.
    pub(crate) first: Vec<String>,
}
