//! What runs inside the root, by chroot, sees the kernel's file systems there.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::mount::mount_bind_recursive;

use crate::mounts;

/// The kernel's file systems, seen from inside the root for as long as this lives, for what runs there by chroot.
pub struct Inside<'a> {
    root: &'a Path,
}

impl<'a> Inside<'a> {
    pub fn mount(root: &'a Path) -> Result<Self> {
        let inside = Self { root };
        for place in ["proc", "sys", "dev", "run"] {
            let target = root.join(place);
            let mounted = fs::create_dir_all(&target)
                .and_then(|()| Ok(mount_bind_recursive(Path::new("/").join(place), &target)?));
            mounted.with_context(|| format!("cannot mount /{place} inside the root"))?;
        }
        Ok(inside)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        for place in ["proc", "sys", "dev", "run"] {
            // What stays mounted is covered by what is moved there in the end.
            mounts::unmount_all(&self.root.join(place)).ok();
        }
    }
}
