//! The list of what will be in the initramfs. Paths of the image keep their shape: a directory that is a symbolic
//! link in the image (as /bin is on merged systems) is the same link in the initramfs.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::FileType;

use crate::{Error, tree::Tree};

pub(crate) struct Contents<'a> {
    tree: &'a Tree,
    nodes: BTreeMap<PathBuf, Node>,
    size: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Directory,
    Symlink(PathBuf),
    /// A file that is copied from its place when the archive is written.
    Copy {
        source: PathBuf,
        mode: u32,
    },
    Bytes {
        data: Vec<u8>,
        mode: u32,
    },
    Device {
        kind: FileType,
        major: u32,
        minor: u32,
    },
}

impl<'a> Contents<'a> {
    pub(crate) fn new(tree: &'a Tree) -> Self {
        Self { tree, nodes: BTreeMap::new(), size: 0 }
    }

    pub(crate) fn tree(&self) -> &'a Tree {
        self.tree
    }

    /// Parents before what is in them.
    pub(crate) fn nodes(&self) -> &BTreeMap<PathBuf, Node> {
        &self.nodes
    }

    /// Bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds a file of the image with the links that lead to it. Returns where it is when it was not in before;
    /// `Ok(None)` when it was, or when the image has no such file.
    pub(crate) fn add(&mut self, path: &Path) -> Result<Option<PathBuf>, Error> {
        let Some(resolved) = self.tree.resolve(path) else { return Ok(None) };
        let full = self.tree.full(&resolved.path);
        let metadata = fs::metadata(&full).map_err(|error| Error::read(&full, error))?;
        if !metadata.is_file() {
            return Ok(None);
        }
        for link in resolved.links {
            let place = self.tree.full(&link);
            let target = fs::read_link(&place).map_err(|error| Error::read(&place, error))?;
            self.insert(link, Node::Symlink(target));
        }
        if self.nodes.contains_key(&resolved.path) {
            return Ok(None);
        }
        self.size += metadata.len();
        let mode = metadata.mode() & 0o755;
        self.insert(resolved.path.clone(), Node::Copy { source: full, mode });
        Ok(Some(resolved.path))
    }

    /// Adds a file that is not the image's.
    pub(crate) fn add_outside_file(
        &mut self,
        path: &Path,
        source: &Path,
        mode: u32,
    ) -> Result<(), Error> {
        self.size += fs::metadata(source).map_err(|error| Error::read(source, error))?.len();
        self.insert(path.to_owned(), Node::Copy { source: source.to_owned(), mode });
        Ok(())
    }

    pub(crate) fn add_bytes(&mut self, path: &Path, data: Vec<u8>, mode: u32) {
        self.size += data.len() as u64;
        let path = self.linked(path);
        self.insert(path, Node::Bytes { data, mode });
    }

    pub(crate) fn add_directory(&mut self, path: &Path) {
        let path = self.linked(path);
        self.insert(path, Node::Directory);
    }

    pub(crate) fn add_device(&mut self, path: &Path, kind: FileType, major: u32, minor: u32) {
        self.insert(path.to_owned(), Node::Device { kind, major, minor });
    }

    /// Where a new path lies when the directories above it are links in the image; those links are added.
    fn linked(&mut self, path: &Path) -> PathBuf {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return path.to_owned();
        };
        let Some(resolved) = self.tree.resolve(parent) else { return path.to_owned() };
        for link in resolved.links {
            if let Ok(target) = fs::read_link(self.tree.full(&link)) {
                self.insert(link, Node::Symlink(target));
            }
        }
        resolved.path.join(name)
    }

    fn insert(&mut self, path: PathBuf, node: Node) {
        for parent in path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
            self.nodes.entry(parent.to_owned()).or_insert(Node::Directory);
        }
        self.nodes.entry(path).or_insert(node);
    }
}
