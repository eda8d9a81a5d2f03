//! What can go wrong with an image, in words for the operator who asked for it.

use std::{io, path::PathBuf};

/// Why boot files could not be made, or a tree not be copied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the image {} is not a directory; make an operating system tree there first, for example with mmdebstrap or dnf --installroot", path.display())]
    NoTree { path: PathBuf },
    #[error("the image {} has no kernel: nothing is in lib/modules; install one in it (Debian: linux-image-amd64, EL: kernel-core, SUSE: kernel-default)", path.display())]
    NoKernel { path: PathBuf },
    #[error("the image has no kernel {wanted}; it has {}; install it in the image or choose another kernelversion", available.join(", "))]
    NoSuchKernel { wanted: String, available: Vec<String> },
    #[error(
        "the image has modules of kernel {version} but not the kernel itself (boot/vmlinuz-{version} or lib/modules/{version}/vmlinuz); install the kernel package again in it"
    )]
    NoKernelFile { version: String },
    #[error(
        "the image has no lib/modules/{version}/modules.dep; run `chroot IMAGE depmod {version}`"
    )]
    NoModuleIndex { version: String },
    #[error("the agent {} is not a static program: {reason}; build it with target-feature=+crt-static", path.display())]
    AgentNotStatic { path: PathBuf, reason: &'static str },
    #[error(
        "{what} {value:?} cannot be part of a file name; use letters, digits, dots, dashes and underscores"
    )]
    InvalidName { what: &'static str, value: String },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("no space left on the file system of {}; free some and try again; nothing that was there before is lost", path.display())]
    DiskFull { path: PathBuf },
    #[error("cannot understand {}: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
    #[error("cannot pack {}", path.display())]
    Archive { path: PathBuf, source: perilune_archive::Error },
    #[error("{} is already there; remove it or choose another name", path.display())]
    AlreadyThere { path: PathBuf },
    #[error("{} lies inside {}; a tree cannot be copied into itself", destination.display(), source_tree.display())]
    IntoItself { source_tree: PathBuf, destination: PathBuf },
    #[error(
        "{mounted}, or say what becomes of them: --mounts include takes what is in them along, --mounts leave-out does without"
    )]
    Mounted { mounted: perilune_archive::Error },
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    pub(crate) fn read(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Read { path: path.into(), source: source.into() }
    }

    pub(crate) fn write(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.into(), source.into());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Write { path, source },
        }
    }

    pub(crate) fn malformed(path: impl Into<PathBuf>, reason: &dyn std::fmt::Display) -> Self {
        Self::Malformed { path: path.into(), reason: reason.to_string() }
    }

    /// What went wrong with an archive of `tree` that is written to `output`.
    pub(crate) fn archive(
        tree: &std::path::Path,
        output: &std::path::Path,
        source: perilune_archive::Error,
    ) -> Self {
        match source {
            perilune_archive::Error::Cancelled => Self::Cancelled,
            perilune_archive::Error::OutputFull => Self::DiskFull { path: output.to_owned() },
            perilune_archive::Error::DiskFull { path } => Self::DiskFull { path },
            mounted @ perilune_archive::Error::Mounted { .. } => Self::Mounted { mounted },
            perilune_archive::Error::Output { source } => Self::write(output, source),
            source => Self::Archive { path: tree.to_owned(), source },
        }
    }
}
