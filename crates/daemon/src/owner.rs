//! Whose a data directory is. A package's daemon has a user of its own; what root makes for it beforehand must be that user's, or the
//! daemon cannot read it.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User, initgroups, setgid, setuid};

/// The directory that a daemon's packages make for its user.
const OF_DAEMON: &str = "files";

/// The number of a user of this machine, who may be named by his number.
pub fn user_named(name: &str) -> Result<Option<u32>, Errno> {
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    Ok(User::from_name(name)?.map(|user| user.uid.as_raw()))
}

/// Where this process is root, and the data directory was made for another user: it is that user from now on. Nothing that lies in the
/// directory can lead root elsewhere then.
pub fn become_owner(data_dir: &Path) -> Result<(), Errno> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let Ok(found) = data_dir.join(OF_DAEMON).symlink_metadata() else { return Ok(()) };
    if found.uid() == 0 || !found.is_dir() {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(found.uid()), Gid::from_raw(found.gid()));
    let known = User::from_uid(user)?;
    let name = known.and_then(|known| CString::new(known.name).ok());
    match name {
        Some(name) => initgroups(&name, group)?,
        None => nix::unistd::setgroups(&[group])?,
    }
    setgid(group)?;
    setuid(user)
}
