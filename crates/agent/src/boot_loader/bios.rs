//! The image's GRUB, for machines that boot by BIOS. Its menu is made by a program of ours: the image's own scripts would look for an
//! initramfs of the distribution.

use anyhow::{Result, bail};
use perilune_plan::{FileSystem, Installation};

use super::Loader;
use super::node::grub_directory;
use crate::disk::Made;
use crate::inside::Inside;
use crate::tool;

/// The program, as distributions name it.
const PROGRAMS: [&str; 4] = [
    "usr/sbin/grub-install",
    "usr/bin/grub-install",
    "usr/sbin/grub2-install",
    "usr/bin/grub2-install",
];
const MODULES: &str = "usr/lib/grub/i386-pc";
const MORE_MODULES: &str = "usr/share/grub2/i386-pc";

pub(super) fn install(loader: &Loader<'_>) -> Result<Installation> {
    let tree = loader.tree;
    let program = PROGRAMS.iter().find(|program| tree.exists(program));
    let has_modules = tree.exists(MODULES) || tree.exists(MORE_MODULES);
    let Some(program) = program.filter(|_| has_modules) else {
        bail!(
            "the image has no boot loader for BIOS machines; install grub-pc-bin and grub2-common (Debian, Ubuntu), \
             grub2-pc (EL) or grub2-i386-pc (SUSE) in it and pack it again, or boot this machine by UEFI"
        );
    };
    let holder = loader.install_grub_menu()?;
    let disk = loader.partition(FileSystem::Bios)?.disk.as_path();
    let inside = Inside::mount(tree.root())?;
    let program = format!("/{program}");
    let words =
        [tree.root().as_os_str(), program.as_ref(), "--target=i386-pc".as_ref(), disk.as_os_str()];
    tool::run("chroot", words)?;
    drop(inside);
    loader.console.line(&format!("GRUB is on {}", disk.display()));
    // The disk is found by a file system on it; the one with the configuration may be on another.
    let on_disk = |made: &&Made| made.disk == disk && is_searched(made.filesystem);
    let known = Some(holder).filter(on_disk).or_else(|| loader.disks.iter().find(on_disk));
    Ok(Installation {
        filesystem: known.map(|made| made.uuid.clone()),
        file: Some(format!("/boot/{}/grub.cfg", grub_directory(tree))),
    })
}

/// Whether GRUB finds a file system of this kind by its UUID.
fn is_searched(filesystem: FileSystem) -> bool {
    matches!(filesystem, FileSystem::Ext4 | FileSystem::Xfs | FileSystem::Esp)
}
