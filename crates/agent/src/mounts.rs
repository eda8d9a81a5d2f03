//! What a first process mounts before anything else works.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::console::Console;

/// Drivers complain; what a person must know stands among the agent's lines.
const QUIET: &str = "4 4 1 7";
const USUAL: &str = "7 4 1 7";
const LEVELS: &str = "/proc/sys/kernel/printk";

struct Wanted {
    kind: &'static str,
    place: &'static str,
    flags: MountFlags,
    options: Option<&'static CStr>,
}

/// Mounts the kernel's file systems. What cannot be mounted is said: a kernel without one may still get far.
pub fn kernel_file_systems(console: &Console) {
    let hardened = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let wanted = [
        Wanted { kind: "proc", place: "/proc", flags: hardened, options: None },
        Wanted { kind: "sysfs", place: "/sys", flags: hardened, options: None },
        Wanted {
            kind: "devtmpfs",
            place: "/dev",
            flags: MountFlags::NOSUID,
            options: Some(c"mode=0755"),
        },
        Wanted {
            kind: "devpts",
            place: "/dev/pts",
            flags: MountFlags::NOSUID,
            options: Some(c"gid=5,mode=620"),
        },
        Wanted {
            kind: "tmpfs",
            place: "/dev/shm",
            flags: MountFlags::NOSUID | MountFlags::NODEV,
            options: None,
        },
        Wanted {
            kind: "tmpfs",
            place: "/run",
            flags: MountFlags::NOSUID | MountFlags::NODEV,
            options: Some(c"mode=0755"),
        },
        Wanted {
            kind: "tmpfs",
            place: "/tmp",
            flags: MountFlags::NOSUID | MountFlags::NODEV,
            options: None,
        },
    ];
    for Wanted { kind, place, flags, options } in wanted {
        let made =
            fs::create_dir_all(place).and_then(|()| Ok(mount(kind, place, kind, flags, options)?));
        if let Err(error) = made {
            console.warning(&format!("{kind} cannot be mounted on {place}: {error}"));
        }
    }
    for (link, target) in
        [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        // A kernel or an earlier start may have made it.
        std::os::unix::fs::symlink(target, Path::new("/dev").join(link)).ok();
    }
}

/// The places that scripts name in their first lines, where the image has them elsewhere.
pub fn usual_directories() {
    for (link, target) in [("/bin", "usr/bin"), ("/sbin", "usr/sbin")] {
        if !Path::new(link).exists() {
            std::os::unix::fs::symlink(target, link).ok();
        }
    }
}

/// Keeps the kernel's chatter off the console, unless it was asked for.
pub fn quieten(is_debugging: bool) {
    if !is_debugging {
        fs::write(LEVELS, QUIET).ok();
    }
}

/// The image's own init sets what it wants; this is what the kernel would have given it.
pub fn unquieten() {
    fs::write(LEVELS, USUAL).ok();
}

/// Whether something is mounted at `place`.
pub fn is_mounted(place: &Path) -> bool {
    mounts().iter().any(|mounted| mounted == place)
}

/// Unmounts everything below `place`, and leaves `place` mounted.
pub fn unmount_below(place: &Path) -> io::Result<()> {
    let is_below = |mounted: &&std::path::PathBuf| mounted.starts_with(place) && *mounted != place;
    for mounted in mounts().iter().rev().filter(is_below) {
        unmount(mounted, UnmountFlags::empty())
            .or_else(|_busy| unmount(mounted, UnmountFlags::DETACH))?;
    }
    Ok(())
}

/// Unmounts everything at and below `place`, the last mounted first.
pub fn unmount_all(place: &Path) -> io::Result<()> {
    for mounted in mounts().iter().rev().filter(|mounted| mounted.starts_with(place)) {
        unmount(mounted, UnmountFlags::empty())
            .or_else(|_busy| unmount(mounted, UnmountFlags::DETACH))?;
    }
    Ok(())
}

/// All mount points, in the order in which they were mounted.
fn mounts() -> Vec<std::path::PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(mount_point).map(std::path::PathBuf::from).collect()
}

/// The fifth field; blanks and the like are written as octal numbers.
fn mount_point(line: &str) -> Option<String> {
    let field = line.split(' ').nth(4)?;
    let plain = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    Some(
        plain
            .iter()
            .fold(field.to_owned(), |text, (code, character)| text.replace(code, character)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_from_the_kernels_list() {
        let line = "36 35 98:0 / /mnt/with\\040blank rw,noatime master:1 - ext4 /dev/vda2 rw";
        assert_eq!(mount_point(line).as_deref(), Some("/mnt/with blank"));
        assert_eq!(mount_point("36 35"), None);
        assert!(is_mounted(Path::new("/proc")) && !is_mounted(Path::new("/no/such/place")));
    }
}
