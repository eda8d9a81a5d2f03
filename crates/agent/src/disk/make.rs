//! Makes what was decided: the only place that writes to whole disks.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use perilune_plan::FileSystem;
use rustix::mount::{MountFlags, mount};

use super::Made;
use super::layout::{Partition, Target};
use crate::console::{Console, bytes};
use crate::hardware::load_module;
use crate::{tool, wait};

/// The kernel reads a new table, and makes the partitions' devices.
const APPEAR_LIMIT: Duration = Duration::from_secs(30);

/// Lays the disks out and mounts them below `root`. All that was on them is lost.
pub fn make(targets: &[Target<'_>], root: &Path, console: &Console) -> Result<Vec<Made>> {
    targets.iter().try_for_each(check)?;
    let mut made = Vec::new();
    for target in targets {
        made.extend(lay_out(target, console)?);
    }
    mount_all(&made, root)?;
    Ok(made)
}

/// Whether all of a disk can be made, found out before the first byte of any is written.
fn check(target: &Target<'_>) -> Result<()> {
    for program in ["wipefs", "sfdisk"] {
        if !tool::exists(program) {
            bail!(
                "{program} is not in the initramfs; install util-linux (Debian: fdisk) in the image and pack the image again"
            );
        }
    }
    for partition in &target.partitions {
        has_tools(partition.filesystem)?;
        if partition.mount.is_some() {
            can_mount(partition.filesystem)?;
        }
    }
    let disk = target.disk;
    for device in disk.partitions().into_iter().chain([disk.device()]) {
        if let Some(user) = user_of(&device) {
            bail!(
                "{} is in use by {user}, so /dev/{} cannot be laid out; take it out of use in a prescript, or name another disk",
                device.display(),
                disk.name
            );
        }
    }
    Ok(())
}

/// Whether the kernel has the driver of a file system, or its module is here.
fn can_mount(filesystem: FileSystem) -> Result<()> {
    let kind = kind(filesystem);
    load_module(kind);
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.lines().any(|line| line.split_whitespace().last() == Some(kind)) {
        return Ok(());
    }
    bail!(
        "the kernel of the image cannot mount {kind}; choose another file system, or install its module and pack the image again"
    )
}

/// What keeps a device from being laid out: a device that is made of it, or where it is mounted.
fn user_of(device: &Path) -> Option<String> {
    let name = device.file_name()?;
    let holders = Path::new("/sys/class/block").join(name).join("holders");
    if let Some(holder) = fs::read_dir(holders).into_iter().flatten().find_map(Result::ok) {
        return Some(format!("/dev/{}", holder.file_name().display()));
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounted = mounts.lines().find(|line| line.split(' ').next() == device.to_str())?;
    Some(format!("what is mounted at {}", mounted.split(' ').nth(1)?))
}

fn has_tools(filesystem: FileSystem) -> Result<()> {
    let program = match filesystem {
        FileSystem::Esp => "mkfs.vfat",
        FileSystem::Ext4 => "mkfs.ext4",
        FileSystem::Xfs => "mkfs.xfs",
        FileSystem::Swap => "mkswap",
        FileSystem::Bios => return Ok(()),
    };
    let package = match filesystem {
        FileSystem::Esp => "dosfstools",
        FileSystem::Xfs => "xfsprogs",
        _ => "e2fsprogs or util-linux",
    };
    if !tool::exists(program) {
        bail!(
            "{program} is not in the initramfs; install {package} in the image and pack the image again"
        );
    }
    Ok(())
}

fn lay_out(target: &Target<'_>, console: &Console) -> Result<Vec<Made>> {
    let disk = target.disk;
    console.line(&format!(
        "/dev/{}, {}: all that was on it is replaced",
        disk.name,
        bytes(disk.size)
    ));
    // What was in a partition would be found again in a new one at the same place.
    for old in disk.partitions().iter().chain([&disk.device()]) {
        tool::run(
            "wipefs",
            ["--all".as_ref(), "--force".as_ref(), "--quiet".as_ref(), old.as_os_str()],
        )?;
    }
    let device = disk.device();
    let words = ["--quiet", "--wipe", "always", "--wipe-partitions", "always"];
    let words = words.iter().map(AsRef::as_ref).chain([device.as_os_str()]);
    tool::feed("sfdisk", words, &target.script())?;
    let mut made = Vec::new();
    for (number, partition) in (1..).zip(&target.partitions) {
        let device = disk.partition(number);
        let appeared = wait::until(APPEAR_LIMIT, || device.exists().then_some(()));
        appeared.with_context(|| {
            format!("{} does not appear; is /dev/{} in use?", device.display(), disk.name)
        })?;
        fill(partition, &device)?;
        let place =
            partition.mount.as_deref().map(|mount| format!(" for {mount}")).unwrap_or_default();
        console.line(&format!("{}: {}{place}", device.display(), kind(partition.filesystem)));
        made.push(Made {
            disk: disk.device(),
            device,
            filesystem: partition.filesystem,
            uuid: partition.table_identity(),
            mount: partition.mount.clone(),
            options: partition.options.clone(),
        });
    }
    Ok(made)
}

/// Makes what belongs on a partition.
fn fill(partition: &Partition, device: &Path) -> Result<()> {
    let device = device.to_string_lossy();
    let identity = partition.identity.as_str();
    let label = |flag: &'static str| {
        partition.label.as_deref().map(|label| [flag, label]).into_iter().flatten()
    };
    match partition.filesystem {
        FileSystem::Bios => return Ok(()),
        FileSystem::Esp => {
            let words = ["-F", "32", "-i", identity]
                .into_iter()
                .chain(label("-n"))
                .chain([device.as_ref()]);
            tool::run("mkfs.vfat", words)
        }
        FileSystem::Ext4 => {
            let words = ["-q", "-F", "-U", identity]
                .into_iter()
                .chain(label("-L"))
                .chain([device.as_ref()]);
            tool::run("mkfs.ext4", words)
        }
        FileSystem::Xfs => {
            let uuid = format!("uuid={identity}");
            let words = ["-q", "-f", "-m", uuid.as_str()]
                .into_iter()
                .chain(label("-L"))
                .chain([device.as_ref()]);
            tool::run("mkfs.xfs", words)
        }
        FileSystem::Swap => {
            let words =
                ["-q", "-U", identity].into_iter().chain(label("-L")).chain([device.as_ref()]);
            tool::run("mkswap", words)
        }
    }
    .with_context(|| format!("{device} cannot be made {}", kind(partition.filesystem)))?;
    Ok(())
}

/// The kernel's name of a file system.
pub(super) fn kind(filesystem: FileSystem) -> &'static str {
    match filesystem {
        FileSystem::Esp => "vfat",
        FileSystem::Bios => "space for the boot loader",
        FileSystem::Ext4 => "ext4",
        FileSystem::Xfs => "xfs",
        FileSystem::Swap => "swap",
    }
}

/// Mounts what has a place, the root first and each directory before what lies in it.
fn mount_all(made: &[Made], root: &Path) -> Result<()> {
    let mut places: Vec<(PathBuf, &Made)> = Vec::new();
    for partition in made {
        let Some(place) = &partition.mount else { continue };
        places.push((root.join(place.trim_start_matches('/')), partition));
    }
    places.sort_by_key(|(place, _)| place.components().count());
    for (place, partition) in places {
        mount_at(partition, &place)?;
    }
    Ok(())
}

/// Mounts one partition.
pub(crate) fn mount_at(partition: &Made, place: &Path) -> Result<()> {
    let kind = kind(partition.filesystem);
    load_module(kind);
    // An image may have files for this place, with modes and owners that FAT does not know.
    let options = (partition.filesystem == FileSystem::Esp).then_some(c"quiet");
    let mounted = fs::create_dir_all(place)
        .and_then(|()| Ok(mount(&partition.device, place, kind, MountFlags::empty(), options)?));
    mounted.with_context(|| {
        format!("{} cannot be mounted at {}", partition.device.display(), place.display())
    })
}
