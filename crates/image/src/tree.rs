//! Looking things up in an image as a program inside it would: an absolute symbolic link starts at the image's
//! root, and no link leads out of it.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// As many symbolic links as the kernel follows.
const MOST_LINKS: usize = 40;

/// An operating system tree. Paths are relative to its root.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    root: PathBuf,
}

/// Where a path leads, and the symbolic links on the way there (their own places, links resolved before them).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) path: PathBuf,
    pub(crate) links: Vec<PathBuf>,
}

impl Tree {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The place in the file system of a path that is resolved.
    pub(crate) fn full(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    /// Follows all symbolic links; `None` when nothing is there or the links go round in circles.
    pub(crate) fn resolve(&self, path: &Path) -> Option<Resolved> {
        let mut resolved = Resolved::default();
        let mut pending: Vec<PathBuf> = names_in_reverse(path);
        while let Some(name) = pending.pop() {
            if name == Path::new("..") {
                resolved.path.pop();
                continue;
            }
            let next = resolved.path.join(&name);
            let metadata = fs::symlink_metadata(self.root.join(&next)).ok()?;
            if !metadata.is_symlink() {
                resolved.path = next;
                continue;
            }
            if resolved.links.len() >= MOST_LINKS {
                return None;
            }
            let target = fs::read_link(self.root.join(&next)).ok()?;
            if target.is_absolute() {
                resolved.path = PathBuf::new();
            }
            pending.extend(names_in_reverse(&target));
            resolved.links.push(next);
        }
        Some(resolved)
    }

    /// Where a file is for us to open.
    pub(crate) fn file(&self, path: &Path) -> Option<PathBuf> {
        let found = self.full(&self.resolve(path)?.path);
        found.is_file().then_some(found)
    }

    /// Where a directory is for us to read.
    pub(crate) fn directory(&self, path: &Path) -> Option<PathBuf> {
        let found = self.full(&self.resolve(path)?.path);
        found.is_dir().then_some(found)
    }
}

fn names_in_reverse(path: &Path) -> Vec<PathBuf> {
    let names = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn merged_tree() -> (tempfile::TempDir, Tree) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::create_dir_all(root.path().join("etc/alternatives")).unwrap();
        fs::write(root.path().join("usr/bin/gawk"), "").unwrap();
        symlink("usr/bin", root.path().join("bin")).unwrap();
        symlink("/etc/alternatives/awk", root.path().join("usr/bin/awk")).unwrap();
        symlink("/usr/bin/gawk", root.path().join("etc/alternatives/awk")).unwrap();
        let tree = Tree::new(root.path());
        (root, tree)
    }

    #[test]
    fn every_link_on_the_way_is_told() {
        let (_root, tree) = merged_tree();
        let resolved = tree.resolve(Path::new("/bin/awk")).unwrap();
        assert_eq!(resolved.path, Path::new("usr/bin/gawk"));
        assert_eq!(
            resolved.links,
            ["bin", "usr/bin/awk", "etc/alternatives/awk"].map(PathBuf::from)
        );
    }

    #[test]
    fn links_stay_inside_the_tree() {
        let (root, tree) = merged_tree();
        symlink("../../../../../etc/passwd", root.path().join("up")).unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        assert_eq!(tree.resolve(Path::new("up")), None);
        assert_eq!(tree.resolve(Path::new("loop")), None);
        fs::write(root.path().join("etc/passwd"), "").unwrap();
        assert_eq!(tree.file(Path::new("up")), Some(root.path().join("etc/passwd")));
    }
}
