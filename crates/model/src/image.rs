//! Operating system images.

mod pack;
mod save;
mod tag;
mod users;

use std::path::{Path, PathBuf};

pub use pack::packed;
pub use save::{DEFAULT_GRAB_EXCLUDE, clone, remove, save};
use serde::{Deserialize, Serialize};
pub(crate) use tag::leave_tags;
pub use tag::{activate_tag, remove_tag};
pub use users::{members, tag_users, uses_file};

use crate::label::{self, Labels};
use crate::text::{Text, texts};
use crate::{Name, Patch};

/// What packing an image made: names of files that the daemon serves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageFiles {
    /// The kernel.
    pub kernelfile: Option<String>,
    /// The initramfs.
    pub initrdfile: Option<String>,
    /// The archive of the tree.
    pub imagefile: Option<String>,
    /// The version of the kernel that was packed.
    pub kernelversion: Option<String>,
    /// BLAKE3 of the archive, hexadecimal; unset when something else made it.
    pub checksum: Option<String>,
    /// Bytes of the archive.
    pub size: Option<u64>,
    /// Bytes of the tree.
    pub unpacked_size: Option<u64>,
}

impl ImageFiles {
    /// The names of the files that there are.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.kernelfile, &self.initrdfile, &self.imagefile]
            .into_iter()
            .filter_map(Option::as_deref)
    }
}

/// The files of an image as they were when the tag was set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tag {
    /// The name, unique within the image.
    pub name: Name,
    /// The files.
    pub files: ImageFiles,
    /// Options of the kernel at that time.
    pub kerneloptions: Option<String>,
}

/// An operating system tree that is packed and served.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// The name.
    pub name: Name,
    /// The tree; unset means the images' directory and the name.
    pub path: Option<String>,
    /// What packing made.
    pub files: ImageFiles,
    /// The version of the kernel to pack; unset means the newest in the tree.
    pub kernelversion: Option<String>,
    /// Modules for the initramfs, comma-separated; a leading `-` omits one.
    pub kernelmodules: Option<String>,
    /// Options of the kernel.
    pub kerneloptions: Option<String>,
    /// What is grabbed from a node.
    pub grab_filesystems: Option<String>,
    /// What is not.
    pub grab_exclude: Option<String>,
    /// The distribution: `redhat`, `debian`, `ubuntu`, `suse`, …
    pub distribution: Option<String>,
    /// The distribution's release.
    pub osrelease: Option<String>,
    /// Free text, as clients sent it.
    pub comment: Option<String>,
    /// What the site says of it.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The tag that is active.
    pub tag: Option<Name>,
    /// All tags, by name.
    pub tags: Vec<Tag>,
}

/// What clients say of an image in texts.
pub const TEXTS: &[Text<Image, Request>] = texts![
    path,
    kernelversion,
    kernelmodules,
    kerneloptions,
    grab_filesystems,
    grab_exclude,
    distribution,
    osrelease,
    comment,
];

/// What a client asks of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The new name.
    pub new_name: Option<Name>,
    /// The tree.
    pub path: Patch<String>,
    /// The served kernel.
    pub kernelfile: Patch<String>,
    /// The served initramfs.
    pub initrdfile: Patch<String>,
    /// The served archive.
    pub imagefile: Patch<String>,
    /// The kernel to pack.
    pub kernelversion: Patch<String>,
    /// Modules of the initramfs.
    pub kernelmodules: Patch<String>,
    /// Options of the kernel.
    pub kerneloptions: Patch<String>,
    /// What a grab takes.
    pub grab_filesystems: Patch<String>,
    /// What it leaves out.
    pub grab_exclude: Patch<String>,
    /// The distribution.
    pub distribution: Patch<String>,
    /// Its release.
    pub osrelease: Patch<String>,
    /// Free text.
    pub comment: Patch<String>,
    /// Labels; those that are not named stay.
    pub labels: label::Request,
    /// The active tag; one that is new is made.
    pub tag: Patch<Name>,
}

impl Request {
    /// Has the kernel get these arguments.
    pub(crate) fn with_kernel_arguments(self, arguments: &str) -> Self {
        Self { kerneloptions: Patch::Set(arguments.to_owned()), ..self }
    }
}

impl Tag {
    /// What an image boots now, to be kept.
    fn of(image: &Image, name: Name) -> Self {
        Self { name, files: image.files.clone(), kerneloptions: image.kerneloptions.clone() }
    }

    /// Arguments of the kernel at that time.
    pub fn kernel_arguments(&self) -> Option<&str> {
        self.kerneloptions.as_deref()
    }

    /// The same, to be changed.
    pub fn kernel_arguments_mut(&mut self) -> &mut Option<String> {
        &mut self.kerneloptions
    }
}

impl Image {
    /// Arguments of the kernel, as clients sent them.
    pub fn kernel_arguments(&self) -> Option<&str> {
        self.kerneloptions.as_deref()
    }

    /// The image as it was when the tag was set, less what was packed of it.
    fn at(&self, tag: &Tag) -> Self {
        let (files, kerneloptions) = (tag.files.clone(), tag.kerneloptions.clone());
        Self { files, kerneloptions, ..self.clone() }
    }

    /// The tag of this name.
    pub fn tag_named(&self, name: &str) -> Option<&Tag> {
        self.tags.iter().find(|tag| tag.name == name)
    }

    /// Where the tree is; a path that is not absolute is one in the images' directory.
    pub fn tree(&self, images: &Path) -> PathBuf {
        images.join(self.path.as_deref().unwrap_or(self.name.as_str()))
    }

    /// The version of the kernel: the one that is asked for, else the one that was packed.
    pub fn effective_kernelversion(&self) -> Option<&str> {
        self.kernelversion.as_deref().or(self.files.kernelversion.as_deref())
    }
}
