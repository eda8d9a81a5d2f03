//! A root in memory.

use std::ffi::CString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};

use crate::console::{Console, bytes};

/// What the files of a tree need beyond their contents: their last pages, directories, inodes; and what a running
/// system writes.
const ROOM: u64 = 128 << 20;
/// Beside its root, a system needs memory to run in.
const TO_RUN: u64 = 256 << 20;

/// Mounts a root in memory that is large enough for a tree of `unpacked` bytes.
pub fn make(
    root: &Path,
    unpacked: Option<u64>,
    limit: Option<u64>,
    console: &Console,
) -> Result<()> {
    let meminfo = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let size = size(total(&meminfo)?, unpacked, limit)?;
    let options =
        CString::new(format!("mode=0755,size={size}")).context("the options of the root")?;
    // Each node of a large machine takes its share, so that none runs out first.
    let spread = CString::new(format!("mode=0755,size={size},mpol=interleave"))
        .context("the options of the root")?;
    let mounted = mount("root", root, "tmpfs", MountFlags::empty(), spread.as_c_str())
        .or_else(|_no_numa| mount("root", root, "tmpfs", MountFlags::empty(), options.as_c_str()));
    mounted.context("cannot mount a root in memory")?;
    console.line(&format!("the root is in memory, at most {}", bytes(size)));
    Ok(())
}

/// What the cluster allows, else half of the memory, and more when the tree needs it; never so much that the system cannot run.
fn size(total: u64, unpacked: Option<u64>, limit: Option<u64>) -> Result<u64> {
    let needed =
        unpacked.map_or(0, |unpacked| unpacked.saturating_add(unpacked / 16).saturating_add(ROOM));
    if needed.saturating_add(TO_RUN) > total {
        bail!(
            "this machine has {} of memory, and needs {}: {} for the image and {} to run; give it more memory, or make the \
             image smaller",
            bytes(total),
            bytes(needed.saturating_add(TO_RUN)),
            bytes(needed),
            bytes(TO_RUN)
        );
    }
    match limit {
        Some(limit) if limit < needed => bail!(
            "the image needs {} of memory for its files, and its memory_limit is {}; make that larger, or the image smaller",
            bytes(needed),
            bytes(limit)
        ),
        Some(limit) => Ok(limit.min(total - TO_RUN)),
        None => Ok(needed.max(total / 2).max(1)),
    }
}

fn total(meminfo: &str) -> Result<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes
        .map(|kibibytes| kibibytes << 10)
        .context("/proc/meminfo does not say how much memory there is")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIBIBYTE: u64 = 1 << 30;

    #[test]
    fn the_root_gets_what_it_needs() {
        assert_eq!(size(8 * GIBIBYTE, None, None).unwrap(), 4 * GIBIBYTE);
        assert_eq!(size(8 * GIBIBYTE, Some(GIBIBYTE), None).unwrap(), 4 * GIBIBYTE);
        assert!(size(2 * GIBIBYTE, Some(GIBIBYTE), None).unwrap() > GIBIBYTE);
    }

    #[test]
    fn the_cluster_may_limit_the_root() {
        let limited = |limit| size(8 * GIBIBYTE, Some(GIBIBYTE), Some(limit * GIBIBYTE));
        assert_eq!(limited(2).unwrap(), 2 * GIBIBYTE);
        assert_eq!(limited(7).unwrap(), 7 * GIBIBYTE);
        assert_eq!(limited(100).unwrap(), 8 * GIBIBYTE - TO_RUN);
        let error = limited(1).unwrap_err().to_string();
        assert!(error.contains("its memory_limit is 1.0 GiB"), "{error}");
    }

    #[test]
    fn too_little_memory_is_said_in_numbers() {
        for total in [512 << 20, 1000 << 20, GIBIBYTE] {
            for unpacked in [Some(GIBIBYTE), Some(u64::MAX)] {
                let error = size(total, unpacked, None).unwrap_err().to_string();
                let has = format!("this machine has {} of memory", bytes(total));
                assert!(error.contains(&has) && !error.contains("disk"), "{error}");
            }
        }
        assert!(size(100 << 20, None, None).unwrap_err().to_string().contains("100 MiB"));
    }

    #[test]
    fn the_kernel_says_how_much_memory_there_is() {
        assert_eq!(total("MemTotal:        2048 kB\nMemFree: 1 kB\n").unwrap(), 2 << 20);
        assert!(total("MemFree: 1 kB\n").is_err());
    }
}
