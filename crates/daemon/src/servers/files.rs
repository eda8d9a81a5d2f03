//! Files of other programs: replaced as a whole, and put back when they are refused.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// The ending of a file that waits to be checked.
const STAGED: &str = "perilune-new";
/// The ending of the copy of what was there before the first replacement.
const FORMER: &str = "before-perilune";
/// Mode of new files without and with keys in them.
const OPEN: u32 = 0o644;
const KEYS: u32 = 0o640;

/// A text that is to become a file, beside its place until it is checked: programs may be held to their directories.
#[derive(Debug)]
pub(super) struct Staged {
    place: PathBuf,
    file: PathBuf,
    text: String,
}

/// What a file was before it was replaced.
#[derive(Debug)]
pub(super) struct Replaced {
    place: PathBuf,
    former: Option<Vec<u8>>,
}

/// Writes a text beside its place.
pub(super) fn stage(place: &Path, text: String, has_keys: bool) -> Result<Staged, String> {
    let failed = |file: &Path, error: &io::Error| {
        format!("{} cannot be written: {error}; {}", file.display(), advice(error))
    };
    let file = with_ending(place, STAGED);
    let write = || -> io::Result<()> {
        // What another daemon left there is nobody's.
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mode = if has_keys { KEYS } else { OPEN };
        let mut options = fs::File::options();
        let mut staged = options.write(true).create_new(true).mode(mode).open(&file)?;
        staged.write_all(text.as_bytes())?;
        like_former(place, &staged, mode)?;
        staged.sync_all()
    };
    match write() {
        Ok(()) => Ok(Staged { place: place.to_owned(), file, text }),
        Err(error) => {
            // The disk may be full: half a file helps nobody.
            fs::remove_file(&file).ok();
            Err(failed(&file, &error))
        }
    }
}

/// What somebody must do about it.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on that disk, or name a place on another in luna.ini (docs/servers.md)"
        }
        io::ErrorKind::NotFound => {
            "make that directory, or name another place in luna.ini (docs/servers.md)"
        }
        _ => {
            "let the daemon's user write there, or name another place in luna.ini (docs/servers.md)"
        }
    }
}

/// Whoever could read the former file can read the new one; a new one with keys is for the group of its directory, which is the server's.
fn like_former(place: &Path, staged: &fs::File, mode: u32) -> io::Result<()> {
    if let Ok(former) = fs::metadata(place) {
        // Only root may give files away; the daemon's own are its own already.
        fchown(staged, Some(former.uid()), Some(former.gid())).ok();
        return staged.set_permissions(fs::Permissions::from_mode(former.mode() & 0o777));
    }
    let directory = place.parent().map(fs::metadata).transpose()?;
    if let Some(directory) = directory {
        fchown(staged, None, Some(directory.gid())).ok();
    }
    // The mode at creation was narrowed by the daemon's mask.
    staged.set_permissions(fs::Permissions::from_mode(mode))
}

impl Staged {
    /// Where it is, to be checked.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// What is in it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Puts it in its place. What somebody else had there is kept beside it, once.
    pub(super) fn replace(self) -> Result<Replaced, String> {
        let place = self.place.clone();
        let failed = |error: io::Error| format!("{} cannot be replaced: {error}", place.display());
        let former = match fs::read(&self.place) {
            Ok(former) => Some(former),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let kept = with_ending(&self.place, FORMER);
        if former.is_some() && !kept.exists() {
            fs::copy(&self.place, &kept).map_err(|error| {
                format!("what is in {} cannot be kept: {error}", place.display())
            })?;
        }
        fs::rename(&self.file, &self.place).map_err(failed)?;
        Ok(Replaced { place: self.place.clone(), former })
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a replacement there is none.
        fs::remove_file(&self.file).ok();
    }
}

impl Replaced {
    /// Puts back what was there.
    pub(super) fn put_back(self) -> Result<(), String> {
        let failed = |error: io::Error| {
            format!("{} cannot be put back as it was: {error}", self.place.display())
        };
        match self.former {
            None => fs::remove_file(&self.place).map_err(failed),
            Some(former) => {
                let text = String::from_utf8_lossy(&former).into_owned();
                let staged = stage(&self.place, text, true)?;
                fs::rename(staged.file(), &self.place).map_err(failed)
            }
        }
    }
}

/// Whether a file has this text.
pub(super) fn has(file: &Path, text: &str) -> bool {
    fs::read(file).is_ok_and(|known| known == text.as_bytes())
}

fn with_ending(place: &Path, ending: &str) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_put_back_and_the_first_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("dhcpd.conf");
        fs::write(&place, "the site's own").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o640)).unwrap();
        let replaced = stage(&place, "one".to_owned(), false).unwrap().replace().unwrap();
        assert!(has(&place, "one"));
        assert_eq!(fs::metadata(&place).unwrap().mode() & 0o777, 0o640);
        replaced.put_back().unwrap();
        assert!(has(&place, "the site's own"));
        stage(&place, "two".to_owned(), false).unwrap().replace().unwrap();
        assert!(has(&with_ending(&place, FORMER), "the site's own"));
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().flatten().collect();
        assert_eq!(names.len(), 2, "nothing else is left: {names:?}");
    }

    #[test]
    fn what_is_not_put_in_place_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("named.conf");
        let staged = stage(&place, "text".to_owned(), true).unwrap();
        assert_eq!(fs::metadata(staged.file()).unwrap().mode() & 0o777, 0o640);
        drop(staged);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let replaced = stage(&place, "text".to_owned(), true).unwrap().replace().unwrap();
        replaced.put_back().unwrap();
        assert!(!place.exists());
        let nowhere = stage(&directory.path().join("no/such"), String::new(), false).unwrap_err();
        assert!(nowhere.contains("cannot be written") && nowhere.contains("make that directory"));
        let full = io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
        assert!(advice(&full).starts_with("make room"));
        let denied = io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
        assert!(advice(&denied).starts_with("let the daemon's user"));
    }
}
