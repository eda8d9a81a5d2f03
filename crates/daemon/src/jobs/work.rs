//! What a job does, as it is stored.

use std::path::PathBuf;

use perilune_image::{ArchiveFormat, Mounts};
use perilune_model::Name;
use serde::{Deserialize, Serialize};

use super::message::Time;

/// What is to be done. All of it is safe to do twice, because a daemon that was killed does it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// Make kernel, initramfs and archive of an image, and have nodes boot from them.
    PackImage {
        /// The image.
        image: Name,
        /// The form of the archive.
        #[serde(default)]
        format: Format,
        /// What becomes of file systems that are mounted in the tree.
        #[serde(default)]
        mounts: Mounted,
    },
    /// Copy the tree of an image to that of another, which the cluster has already.
    CloneImage {
        /// The image to copy.
        source: Name,
        /// The image to make.
        target: Name,
        /// Whether it is packed afterwards.
        pack: bool,
        /// What becomes of file systems that are mounted in the tree.
        #[serde(default)]
        mounts: Mounted,
    },
    /// Bring the tree of an image to what a running node has.
    GrabImage {
        /// The node.
        node: Name,
        /// The image.
        image: Name,
        /// Whether anything is changed; else it is only told what would be.
        really: bool,
        /// Whether it is packed afterwards.
        pack: bool,
    },
    /// Bring running nodes to what an image has.
    PushImage {
        /// The nodes.
        to: Receiver,
        /// The image.
        image: Name,
        /// Whether anything is changed; else it is only told what would be.
        really: bool,
    },
    /// Give the tree of an image the authorities of the controller's subscription.
    RefreshCertificates {
        /// The image.
        image: Name,
    },
    /// Remove files that nodes could boot from, unless they are used again.
    RemoveFiles {
        /// Names in the directory of files.
        files: Vec<String>,
    },
    /// Remove the tree of an image that is gone.
    RemoveTree {
        /// Where it is.
        tree: PathBuf,
    },
}

/// Which nodes an image is pushed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receiver {
    /// One node.
    Node(Name),
    /// The nodes of a group.
    Group(Name),
}

impl Receiver {
    /// Its name.
    pub fn name(&self) -> &Name {
        match self {
            Self::Node(name) | Self::Group(name) => name,
        }
    }
}

/// The form of an archive, by the end of its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// What our own installer unpacks fastest.
    #[default]
    #[serde(rename = "tar.zst")]
    Zstd,
    /// For older installers.
    #[serde(rename = "tar.gz")]
    Gzip,
    /// For older installers.
    #[serde(rename = "tar.bz2")]
    Bzip2,
}

impl From<Format> for ArchiveFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Zstd => Self::TarZstd,
            Format::Gzip => Self::TarGzip,
            Format::Bzip2 => Self::TarBzip2,
        }
    }
}

/// What becomes of file systems that are mounted in the tree of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mounted {
    /// They are a failure that names them.
    #[default]
    Refuse,
    /// What is in them stays out.
    LeaveOut,
    /// What is in them belongs to the image.
    Include,
}

impl From<Mounted> for Mounts {
    fn from(mounted: Mounted) -> Self {
        match mounted {
            Mounted::Refuse => Self::Refuse,
            Mounted::LeaveOut => Self::LeaveOut,
            Mounted::Include => Self::Include,
        }
    }
}

/// Work that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Counts jobs; the lower one goes first.
    pub number: u64,
    /// What its messages are fetched by.
    pub request: String,
    /// Who asked.
    pub user: String,
    /// When it was asked for.
    pub created: Time,
    /// When it is to be done at the earliest.
    pub due: Time,
    /// Part of the names of the files that it makes; no other job has the same.
    pub epoch: u64,
    /// What is to be done.
    pub work: Work,
    /// Somebody does not want it any more; it ends as soon as it can.
    #[serde(default)]
    pub cancelled: bool,
    /// It is being done, for other controllers to see; this one knows better.
    #[serde(default)]
    pub begun: bool,
}

impl Work {
    /// Packing as it is done unless something else is asked for.
    pub fn pack(image: Name) -> Self {
        Self::PackImage { image, format: Format::default(), mounts: Mounted::default() }
    }

    /// The images that nothing else may work on meanwhile.
    pub fn images(&self) -> Vec<&Name> {
        match self {
            Self::CloneImage { source, target, .. } => vec![target, source],
            Self::PackImage { image, .. }
            | Self::GrabImage { image, .. }
            | Self::RefreshCertificates { image }
            | Self::PushImage { image, .. } => vec![image],
            Self::RemoveFiles { .. } | Self::RemoveTree { .. } => Vec::new(),
        }
    }

    /// The image that the work is about.
    pub fn target(&self) -> Option<&Name> {
        match self {
            Self::PackImage { image, .. }
            | Self::GrabImage { image, .. }
            | Self::RefreshCertificates { image }
            | Self::PushImage { image, .. } => Some(image),
            Self::CloneImage { target, .. } => Some(target),
            Self::RemoveFiles { .. } | Self::RemoveTree { .. } => None,
        }
    }

    /// The image whose tree must be there.
    pub fn tree(&self) -> Option<&Name> {
        match self {
            Self::CloneImage { source, .. } => Some(source),
            other => other.target(),
        }
    }

    /// The image that is packed.
    pub fn packs(&self) -> Option<&Name> {
        match self {
            Self::PackImage { image, .. } => Some(image),
            Self::CloneImage { target, pack, .. } => Some(target).filter(|_| *pack),
            Self::GrabImage { image, really, pack, .. } => Some(image).filter(|_| *really && *pack),
            Self::PushImage { .. }
            | Self::RefreshCertificates { .. }
            | Self::RemoveFiles { .. }
            | Self::RemoveTree { .. } => None,
        }
    }

    /// Whether doing the one does the other.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::RemoveFiles { .. }, _) => false,
            _ => self == other,
        }
    }

    /// What is done to what, as it stands in messages.
    pub fn title(&self) -> String {
        match self {
            Self::PackImage { image, .. } => format!("pack osimage {image}"),
            Self::CloneImage { source, target, .. } => format!("clone osimage {source}->{target}"),
            Self::GrabImage { image, .. } => format!("grab osimage {image}"),
            Self::PushImage { image, .. } => format!("push osimage {image}"),
            Self::RefreshCertificates { image } => {
                format!("refresh certificates of osimage {image}")
            }
            Self::RemoveFiles { files } => format!("cleanup of {}", files.join(", ")),
            Self::RemoveTree { tree } => format!("removal of {}", tree.display()),
        }
    }

    /// The words that existing clients know the work by: the part of the program, the task and what it is about.
    pub fn task(&self) -> (&'static str, String) {
        match self {
            Self::PackImage { image, .. } => ("osimage", format!("pack_n_build_osimage {image}")),
            Self::CloneImage { source, target, pack: true, .. } => {
                ("osimage", format!("clone_n_pack_osimage {source}:{target}"))
            }
            Self::CloneImage { source, target, pack: false, .. } => {
                ("osimage", format!("clone_osimage {source}:{target}"))
            }
            Self::GrabImage { node, image, really, pack } => {
                let task = if *pack { "grab_n_pack_n_build_osimage" } else { "grab_osimage" };
                ("osimage", format!("{task} {node}:{image}:{really}"))
            }
            Self::PushImage { to, image, really } => {
                let task = match to {
                    Receiver::Node(_) => "push_osimage_to_node",
                    Receiver::Group(_) => "push_osimage_to_group",
                };
                ("osimage", format!("{task} {}:{image}:{really}", to.name()))
            }
            Self::RefreshCertificates { image } => {
                ("osimage", format!("update_certs_osimage {image}"))
            }
            Self::RemoveFiles { files } => {
                ("housekeeper", format!("cleanup_old_file {}", files.join(",")))
            }
            Self::RemoveTree { tree } => {
                ("housekeeper", format!("remove_osimage_path {}", tree.display()))
            }
        }
    }
}
