//! The tree that becomes the node's root, as a place to read from and write to. Symbolic links in it mean what they
//! will mean when it is the root: nothing is read or written outside of it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// Why a file of the tree cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {} in the image", path.display())]
pub struct Error {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a path of the tree is for us, all links followed. What does not exist stays as it is named.
    pub fn place(&self, path: impl AsRef<Path>) -> PathBuf {
        let mut done = PathBuf::new();
        let mut left: Vec<PathBuf> = pieces(path.as_ref());
        let mut links = 0;
        while let Some(piece) = left.pop() {
            if piece.as_os_str() == ".." {
                done.pop();
                continue;
            }
            let next = done.join(&piece);
            match fs::read_link(self.root.join(&next)) {
                Ok(target) if links < MOST_LINKS => {
                    links += 1;
                    if target.is_absolute() {
                        done = PathBuf::new();
                    }
                    left.extend(pieces(&target));
                }
                _ => done = next,
            }
        }
        self.root.join(done)
    }

    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.place(path).exists()
    }

    /// Whether there is something of this name, be it a link that leads nowhere now.
    pub fn is_link(&self, path: impl AsRef<Path>) -> bool {
        self.beside(path.as_ref()).is_symlink()
    }

    /// The text of a file; empty when there is no such file.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<String, Error> {
        match fs::read(self.place(&path)) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(source) => Err(Error { verb: "read", path: path.as_ref().to_owned(), source }),
        }
    }

    /// Writes a file as a whole, with the directories above it; a link of that name is replaced.
    pub fn write(
        &self,
        path: impl AsRef<Path>,
        content: impl AsRef<[u8]>,
        mode: u32,
    ) -> Result<(), Error> {
        self.write_with(path.as_ref(), content.as_ref(), mode, None)
    }

    /// The same, for a user and a group; as it is without. Nobody else can read the file before it is theirs.
    pub fn write_as(
        &self,
        path: impl AsRef<Path>,
        content: impl AsRef<[u8]>,
        mode: u32,
        owner: Option<(u32, u32)>,
    ) -> Result<(), Error> {
        self.write_with(path.as_ref(), content.as_ref(), mode, owner)
    }

    fn write_with(
        &self,
        path: &Path,
        content: &[u8],
        mode: u32,
        owner: Option<(u32, u32)>,
    ) -> Result<(), Error> {
        let failed = |source| Error { verb: "write", path: path.to_owned(), source };
        let place = self.beside(path);
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = place.with_file_name(format!(".{name}.perilune"));
        let write = || {
            fs::create_dir_all(place.parent().unwrap_or(&self.root))?;
            match fs::remove_file(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode & 0o600)
                .open(&unfinished)?;
            file.write_all(content)?;
            if let Some((user, group)) = owner {
                std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
            }
            fs::set_permissions(&unfinished, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
            fs::rename(&unfinished, &place)
        };
        write().map_err(failed)
    }

    /// A symbolic link, which replaces a file or link of its name.
    pub fn link(&self, path: impl AsRef<Path>, target: &str) -> Result<(), Error> {
        let failed = |source| Error { verb: "link", path: path.as_ref().to_owned(), source };
        let place = self.beside(path.as_ref());
        let link = || {
            fs::create_dir_all(place.parent().unwrap_or(&self.root))?;
            match fs::remove_file(&place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            std::os::unix::fs::symlink(target, &place)
        };
        link().map_err(failed)
    }

    /// Gives a file or link another name, with the directories above it; what had that name is replaced.
    pub fn rename(&self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> Result<(), Error> {
        let failed = |source| Error { verb: "move", path: path.as_ref().to_owned(), source };
        let place = self.beside(target.as_ref());
        let rename = || {
            fs::create_dir_all(place.parent().unwrap_or(&self.root))?;
            fs::rename(self.beside(path.as_ref()), &place)
        };
        rename().map_err(failed)
    }

    pub fn make_directory(&self, path: impl AsRef<Path>) -> Result<PathBuf, Error> {
        let place = self.place(&path);
        fs::create_dir_all(&place).map_err(|source| Error {
            verb: "create",
            path: path.as_ref().to_owned(),
            source,
        })?;
        Ok(place)
    }

    /// The place of a name in its directory: links are followed up to there, and not the name itself.
    pub fn beside(&self, path: &Path) -> PathBuf {
        let parent = self.place(path.parent().unwrap_or(Path::new("")));
        path.file_name().map_or_else(|| parent.clone(), |name| parent.join(name))
    }
}

/// The pieces of a path, the first one last.
fn pieces(path: &Path) -> Vec<PathBuf> {
    let pieces = path.components().rev().filter_map(|piece| match piece {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn tree() -> (tempfile::TempDir, Tree) {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::new(directory.path());
        (directory, tree)
    }

    #[test]
    fn files_are_written_with_their_mode_and_directories() {
        let (_directory, tree) = tree();
        tree.write("/etc/secret/key", "one", 0o600).unwrap();
        tree.write("etc/secret/key", "two", 0o600).unwrap();
        assert_eq!(tree.read("/etc/secret/key").unwrap(), "two");
        let mode = fs::metadata(tree.place("etc/secret/key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(tree.read("etc/none").unwrap(), "");
    }

    #[test]
    fn links_lead_nowhere_outside() {
        let (directory, tree) = tree();
        fs::create_dir_all(directory.path().join("usr/lib")).unwrap();
        symlink("usr/lib", directory.path().join("lib")).unwrap();
        symlink("/../../../lib", directory.path().join("up")).unwrap();
        assert_eq!(tree.place("/usr/../up/x"), directory.path().join("usr/lib/x"));
        symlink("loop", directory.path().join("loop")).unwrap();
        assert!(tree.place("loop/x").starts_with(directory.path()));
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let (directory, tree) = tree();
        let outside = tempfile::NamedTempFile::new().unwrap();
        fs::create_dir(directory.path().join("etc")).unwrap();
        symlink(outside.path(), directory.path().join("etc/hostname")).unwrap();
        assert!(tree.is_link("etc/hostname"));
        tree.write("etc/hostname", "node001\n", 0o644).unwrap();
        assert_eq!(fs::read_to_string(outside.path()).unwrap(), "");
        assert_eq!(tree.read("etc/hostname").unwrap(), "node001\n");
        tree.link("etc/hostname", "other").unwrap();
        assert!(tree.is_link("etc/hostname"));
    }

    #[test]
    fn a_file_in_the_way_is_an_error_that_names_it() {
        let (directory, tree) = tree();
        fs::write(directory.path().join("etc"), "").unwrap();
        let error = tree.write("etc/hostname", "x", 0o644).unwrap_err().to_string();
        assert_eq!(error, "cannot write etc/hostname in the image");
    }
}
