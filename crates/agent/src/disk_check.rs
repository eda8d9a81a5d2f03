//! The root is checked before it is mounted: what a power cut has left behind is put right, and what needs a person is told to one.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::console::Console;
use crate::tool;

/// Of e2fsck's exit status, what is no failure: corrected, and corrected so that a mounted system would have to restart.
const MENDED: i32 = 1 | 2;
/// systemd checks no root for which this exists.
const CHECKED: &str = "/run/initramfs/fsck-root";

/// Checks the file system on a device, when it is of a kind that does not check itself as it is mounted. Answers whether it was checked.
pub fn check(device: &Path, kind: &str, console: &Console) -> Result<bool> {
    // xfs and btrfs replay their logs when they are mounted; their checkers are for what that does not mend.
    if kind != "ext4" {
        return Ok(false);
    }
    if !tool::exists("e2fsck") {
        console.warning(
            "the root is not checked: e2fsck is not in the initramfs; install e2fsprogs in the image and pack the image again",
        );
        return Ok(false);
    }
    console.line(&format!("checking {}", device.display()));
    let ended = tool::end("e2fsck", ["-p".as_ref(), device.as_os_str()])?;
    // Without a number it was killed.
    match ended.code {
        Some(0) => {}
        Some(code) if code & !MENDED == 0 => {
            console.line(&format!("it was mended: {}", tool::quote(&ended.said)));
        }
        _ => bail!(
            "the file system on {device} is damaged, and e2fsck does not mend that by itself ({said}); \
             run `e2fsck -f {device}` in the shell, or have the node installed anew",
            device = device.display(),
            said = tool::quote(&ended.said)
        ),
    }
    Ok(true)
}

/// Spares the root a second check. That it is checked twice is no failure.
pub fn tell_system() {
    let mark = Path::new(CHECKED);
    fs::create_dir_all(mark.parent().unwrap_or(mark)).and_then(|()| fs::write(mark, "")).ok();
}

/// What to do about a file system that cannot be mounted.
pub fn advice(kind: &str) -> &'static str {
    match kind {
        "xfs" => "run xfs_repair on it in the shell",
        "btrfs" => "run btrfs check on it in the shell",
        _ => "run fsck on it in the shell",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::tests::Memory;

    fn file_system() -> Option<tempfile::NamedTempFile> {
        let able = ["e2fsck", "mkfs.ext4", "debugfs"].into_iter().all(tool::exists);
        assert!(able || std::env::var_os("CI").is_none(), "this test needs e2fsprogs");
        if !able {
            return None;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(32 << 20).unwrap();
        let words = ["-q", "-F"].map(AsRef::as_ref);
        tool::run("mkfs.ext4", words.into_iter().chain([file.path().as_os_str()])).unwrap();
        Some(file)
    }

    fn change(file: &Path, request: &str) {
        let words = ["-w", "-R", request].map(AsRef::as_ref);
        tool::run("debugfs", words.into_iter().chain([file.as_os_str()])).unwrap();
    }

    fn checked(file: &Path) -> (Result<bool>, String) {
        let memory = Memory::default();
        let result = check(file, "ext4", &Console::new(memory.clone()));
        (result, memory.text())
    }

    #[test]
    fn what_a_power_cut_leaves_is_mended_and_a_damaged_root_is_told() {
        let Some(file) = file_system() else { return };
        let (result, said) = checked(file.path());
        assert!(result.unwrap());
        assert!(!said.contains("mended"), "{said}");
        change(file.path(), "set_super_value state 0");
        let (result, said) = checked(file.path());
        assert!(result.unwrap());
        assert!(said.contains("mended: "), "{said}");
        // The root is no directory: nothing that is done unasked.
        change(file.path(), "set_inode_field <2> mode 0");
        change(file.path(), "set_super_value state 0");
        let (result, _) = checked(file.path());
        let error = result.unwrap_err().to_string();
        assert!(error.contains("Root inode is not a directory"), "{error}");
        assert!(error.contains("run `e2fsck -f "), "{error}");
    }
}
