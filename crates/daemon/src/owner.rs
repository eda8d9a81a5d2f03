//! Whose a data directory is. A package's daemon has a user of its own; what root makes for it beforehand must be that user's, or the
//! daemon cannot read it.

use std::ffi::CString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User, initgroups, setgid, setuid};

/// The directory that a daemon's packages make for its user.
const OF_DAEMON: &str = "files";
const STICKY: u32 = 0o1000;

/// The number of a user of this machine, who may be named by his number.
pub fn user_named(name: &str) -> Result<Option<u32>, Errno> {
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    Ok(User::from_name(name)?.map(|user| user.uid.as_raw()))
}

/// Whom the data directory was made for, where this process is root and that is somebody else: as packages make it, the directory is root's
/// and sticky, and the user's group may write to it.
pub fn other_owner(data_dir: &Path) -> Option<(Uid, Gid)> {
    if !Uid::effective().is_root() {
        return None;
    }
    let whole = data_dir.metadata().ok()?;
    let found = data_dir.join(OF_DAEMON).symlink_metadata().ok().filter(Metadata::is_dir)?;
    let is_of_package =
        whole.uid() == 0 && whole.mode() & STICKY != 0 && whole.gid() == found.gid();
    let is_other = is_of_package && found.uid() != 0;
    is_other.then(|| (Uid::from_raw(found.uid()), Gid::from_raw(found.gid())))
}

/// Where this process is root, and the data directory was made for another user: it is that user from now on. Nothing that lies in the
/// directory can lead root elsewhere then.
pub fn become_owner(data_dir: &Path) -> Result<(), Errno> {
    let Some((user, group)) = other_owner(data_dir) else { return Ok(()) };
    let known = User::from_uid(user)?;
    let name = known.and_then(|known| CString::new(known.name).ok());
    match name {
        Some(name) => initgroups(&name, group)?,
        None => nix::unistd::setgroups(&[group])?,
    }
    setgid(group)?;
    setuid(user)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    #[test]
    fn a_data_directory_is_its_users_as_packages_make_it_and_nobodys_otherwise() {
        let is_root = Uid::effective().is_root();
        assert!(is_root || std::env::var_os("CI").is_none(), "this test needs root");
        let directory = tempfile::tempdir().unwrap();
        let (data, files) = (directory.path(), directory.path().join("files"));
        assert_eq!(other_owner(data), None);
        fs::create_dir(&files).unwrap();
        fs::set_permissions(data, Permissions::from_mode(0o1775)).unwrap();
        assert_eq!(other_owner(data), None);
        if !is_root {
            return;
        }
        chown(data, Some(0), Some(65534)).unwrap();
        chown(&files, Some(65534), Some(65534)).unwrap();
        let somebody = (Uid::from_raw(65534), Gid::from_raw(65534));
        assert_eq!(other_owner(data), Some(somebody));
        // A site's web server may own the files of a daemon that is root.
        fs::set_permissions(data, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(other_owner(data), None);
    }

    #[test]
    fn users_are_named_by_name_and_by_number() {
        assert_eq!(user_named("root"), Ok(Some(0)));
        assert_eq!(user_named("65001"), Ok(Some(65001)));
        assert_eq!(user_named("nobody-of-this-name"), Ok(None));
    }
}
