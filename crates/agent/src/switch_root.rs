//! The last step: the root becomes the root, the initramfs gives its memory back, and the image's own init takes over.
#![expect(clippy::disallowed_methods, reason = "the program becomes another one")]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use rustix::mount::{UnmountFlags, mount_move, unmount};
use rustix::process::{chdir, chroot};

use crate::console::Console;
use crate::mounts;
use crate::tree::Tree;

/// Where an init may be.
const PLACES: [&str; 5] =
    ["/sbin/init", "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/etc/init", "/bin/init"];

/// Which program takes over: the one that the kernel command line names, or the first that the tree has.
pub fn choose_init(tree: &Tree, asked: Option<&str>) -> Result<String> {
    if let Some(asked) = asked.filter(|path| !path.is_empty()) {
        if tree.exists(asked) {
            return Ok(asked.to_owned());
        }
        bail!("the image has no {asked}, which the kernel argument init= names");
    }
    let found = PLACES.iter().find(|place| tree.exists(place));
    let found = found.ok_or_else(|| {
        anyhow!(
            "the image has no init ({}); install systemd in it and pack it again",
            PLACES.join(", ")
        )
    })?;
    Ok((*found).to_owned())
}

/// Does not return when it succeeds.
pub fn switch(root: &Path, init: &str, console: &Console) -> Result<()> {
    for place in ["dev", "proc", "sys", "run"] {
        let (old, new) = (Path::new("/").join(place), root.join(place));
        if !mounts::is_mounted(&old) {
            continue;
        }
        fs::create_dir_all(&new).with_context(|| format!("the image has no /{place}"))?;
        mount_move(&old, &new).with_context(|| format!("cannot move /{place} into the root"))?;
    }
    unmount("/tmp", UnmountFlags::DETACH).ok();
    console.line(&format!("starting {init}"));
    let memory = fs::metadata("/").map(|found| found.dev());
    if let Ok(device) = memory {
        empty(Path::new("/"), device);
    }
    chdir(root).context("cannot enter the root")?;
    mount_move(".", "/").context("cannot make the root the root")?;
    chroot(".").context("cannot change to the root")?;
    chdir("/").context("cannot enter the root")?;
    // The arguments that the kernel did not understand are meant for the init.
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let error = Command::new(init).args(arguments).env_clear().env("TERM", "linux").exec();
    Err(error).with_context(|| format!("cannot start {init} of the image"))
}

/// Removes everything of this file system; what is mounted in it is left alone. What cannot be removed only keeps
/// its memory.
fn empty(directory: &Path, device: u64) {
    for entry in fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.dev() != device {
            continue;
        }
        if found.is_dir() {
            empty(&path, device);
            fs::remove_dir(&path).ok();
        } else {
            fs::remove_file(&path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_init_of_the_image_is_found_or_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::new(directory.path());
        assert!(choose_init(&tree, None).unwrap_err().to_string().contains("install systemd"));
        tree.write("/usr/lib/systemd/systemd", "", 0o755).unwrap();
        tree.link("/usr/sbin/init", "/lib/systemd/systemd").unwrap();
        tree.link("/sbin", "usr/sbin").unwrap();
        tree.link("/lib", "usr/lib").unwrap();
        assert_eq!(choose_init(&tree, None).unwrap(), "/sbin/init");
        tree.write("/bin/sh", "", 0o755).unwrap();
        assert_eq!(choose_init(&tree, Some("/bin/sh")).unwrap(), "/bin/sh");
        assert!(choose_init(&tree, Some("/bin/zsh")).is_err());
    }

    #[test]
    fn emptying_leaves_other_file_systems_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        fs::write(directory.path().join("a/b/c"), "").unwrap();
        let device = fs::metadata(directory.path()).unwrap().dev();
        empty(directory.path(), device + 1);
        assert!(directory.path().join("a/b/c").exists());
        empty(directory.path(), device);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
