//! Files that appear whole or not at all. They are written under hidden names beside their places and renamed at
//! the end, so that whatever happens in between leaves the files of before in service.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use crate::Error;

const PREFIX: &str = ".perilune-";
const SUFFIX: &str = ".part";

/// Who may read a file, beside the process that makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Readers {
    /// Every user of this machine.
    #[default]
    Everybody,
    /// This group alone.
    Group(u32),
}

impl Readers {
    /// Has these read a file, and nobody else.
    pub fn admit(self, file: &File) -> io::Result<()> {
        let mode = match self {
            Self::Everybody => 0o644,
            Self::Group(group) => {
                fchown(file, None, Some(group))?;
                0o640
            }
        };
        file.set_permissions(Permissions::from_mode(mode))
    }
}

/// Whose a file is, and who may read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// `None`: the user of this process.
    pub(crate) owner: Option<u32>,
    pub(crate) readers: Readers,
}

impl Access {
    fn grant(self, file: &File) -> io::Result<()> {
        self.readers.admit(file)?;
        // Last: only the owner may set the mode.
        self.owner.map_or(Ok(()), |owner| fchown(file, Some(owner), None))
    }
}

/// A file in the making; it is removed unless it is published.
pub(crate) struct Part {
    path: PathBuf,
    place: PathBuf,
    published: bool,
}

impl Part {
    pub(crate) fn create(
        directory: &Path,
        name: &str,
        access: Access,
    ) -> Result<(Self, File), Error> {
        let path = directory.join(format!("{PREFIX}{name}{SUFFIX}"));
        // What a former run left goes; nothing that lies there is ever written to, least of all what a link leads to.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::write(&path, error));
            }
            _ => {}
        }
        let file = File::options().create_new(true).write(true).mode(0o600).open(&path);
        let file = file.map_err(|error| Error::write(&path, error))?;
        let part = Self { path, place: directory.join(name), published: false };
        access.grant(&file).map_err(|error| Error::write(&part.path, error))?;
        Ok((part, file))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The name that the file will have.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Puts the file in its place. Its data must have been synchronised.
    pub(crate) fn publish(mut self) -> Result<(), Error> {
        fs::rename(&self.path, &self.place).map_err(|error| Error::write(&self.place, error))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished file could not be removed");
        }
    }
}

/// Removes what a killed process left unfinished in `files_dir`. To be called before the first packing.
pub fn clean_litter(files_dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::read(files_dir, error);
    let mut removed = Vec::new();
    for entry in fs::read_dir(files_dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let is_litter =
            name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if is_litter && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::remove_file(entry.path()).map_err(|error| Error::write(entry.path(), error))?;
            removed.push(entry.path());
        }
    }
    removed.sort();
    Ok(removed)
}
