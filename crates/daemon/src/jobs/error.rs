//! Why a job was not done.

use std::path::PathBuf;

/// The status of a message that tells of a failure.
pub(super) const FAILED: u16 = 500;
/// The status of a message that tells of something that is not there.
pub(super) const MISSING: u16 = 404;

/// Why a job was not done. What was in service before still is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Packing or copying failed.
    #[error(transparent)]
    Image(#[from] perilune_image::Error),
    /// The cluster did not take the result.
    #[error(transparent)]
    Cluster(#[from] crate::cluster::Error),
    /// Another controller has ended it, since this one was not heard.
    #[error(
        "controller {0} has ended this, since this one was not heard for too long; ask for it again"
    )]
    TakenOver(String),
    /// What the job is about is gone.
    #[error("there is no OS image '{0}'")]
    Missing(String),
    /// The node is not known.
    #[error("there is no node '{0}'")]
    NoNode(String),
    /// There is nothing to push, or it cannot be that.
    #[error("{0} is not a tree of an image; clone or grab an image first")]
    NoTree(PathBuf),
    /// What `grab_filesystems` names is no directory from the root.
    #[error("'{0}' in grab_filesystems is not a path from the root; write it like /boot")]
    NoPlace(String),
    /// The program that copies cannot be run.
    #[error("rsync cannot be run; install the package rsync")]
    NoRsync(#[source] std::io::Error),
    /// It did not copy.
    #[error("rsync ended with {}: {complaint}", code.map_or_else(|| "a signal".to_owned(), |code| code.to_string()))]
    Rsync {
        /// Its exit status.
        code: Option<i32>,
        /// The beginning of what it said.
        complaint: String,
    },
    /// Some nodes were not reached; each was told of.
    #[error("{0} of the nodes did not get it; see above")]
    SomeNodes(usize),
    /// The installer cannot be made without our program.
    #[error(
        "the program perilune-agent, which becomes /init of the installer, was not found; looked for {}; install it there, or say \
         where it is with --agent or PERILUNE_AGENT",
        list(.looked_for)
    )]
    NoAgent {
        /// Every place.
        looked_for: Vec<PathBuf>,
    },
    /// It is not for the worker to work there.
    #[error("{}: {reason}", path.display())]
    Refused {
        /// Where it was to work.
        path: PathBuf,
        /// Why it does not.
        reason: String,
    },
    /// The worker told of a failure.
    #[error("{text}")]
    Told {
        /// All of it.
        text: String,
    },
    /// The worker found something in the place of a new tree.
    #[error("{0}")]
    TreeThere(String),
    /// The worker does not answer.
    #[error("the worker at {} cannot be asked; look at `systemctl status perilune-worker.socket perilune-worker.service`", socket.display())]
    NoWorker {
        /// Its socket.
        socket: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A directory or file could not be worked with.
    #[error("cannot {what} {}", path.display())]
    Files {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A program of the site did not do it.
    #[error("{plugin}: {reason}")]
    Plugin {
        /// Which.
        plugin: String,
        /// Why not.
        reason: String,
    },
    /// The program has a defect.
    #[error("the job ended unexpectedly; the log has more")]
    Defect,
}

impl Error {
    /// Whether somebody or the end of the daemon stopped it.
    pub(super) fn is_cancelled(&self) -> bool {
        matches!(self, Self::Image(perilune_image::Error::Cancelled))
    }

    /// The status of the message about it.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Missing(_) | Self::NoNode(_) => MISSING,
            _ => FAILED,
        }
    }
}

/// What a job was doing when it went wrong.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) doing: String,
    pub(super) error: Error,
}

impl Error {
    pub(super) fn while_doing(self, doing: impl Into<String>) -> Failed {
        Failed { doing: doing.into(), error: self }
    }

    pub(super) fn files(
        what: &'static str,
        path: &std::path::Path,
        source: std::io::Error,
    ) -> Self {
        Self::Files { what, path: path.to_owned(), source }
    }
}

/// An error with everything that led to it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
