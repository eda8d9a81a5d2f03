//! What lets a node start again from its own disk: a boot loader of the image, and the kernel and initramfs that the
//! controller serves.

mod bios;
mod firmware;
mod node;
mod signed;
mod uefi;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow};
use perilune_plan::{FileSystem, Installation, Phase, Plan};

use crate::console::{Console, bytes};
use crate::controller::Controller;
use crate::disk::{Firmware, Made};
use crate::download::Download;
use crate::progress;
use crate::tree::Tree;
use node::{Menu, Settings, grub_directory};

/// Where GRUB finds the kernel.
const DIRECTORY: &str = "/boot/perilune";
/// The names of the kernel and the initramfs there.
const KERNEL: &str = "vmlinuz";
const INITRAMFS: &str = "initramfs";

/// All that a boot loader is installed from and to.
pub struct Loader<'a> {
    pub plan: &'a Plan,
    pub tree: &'a Tree,
    pub disks: &'a [Made],
    pub controller: &'a Controller,
    pub console: &'a Console,
}

impl Loader<'_> {
    /// Answers where the node starts from then.
    pub fn install(&self, firmware: Firmware) -> Result<Installation> {
        match firmware {
            Firmware::Uefi => uefi::install(self),
            Firmware::Bios => bios::install(self),
        }
    }

    fn partition(&self, filesystem: FileSystem) -> Result<&Made> {
        let found = self.disks.iter().find(|partition| partition.filesystem == filesystem);
        found.ok_or_else(|| anyhow!("the disk layout has no partition for a boot loader"))
    }

    /// The partition that holds a path, and the path there.
    fn holder<'p>(&self, path: &'p str) -> Result<(&Made, &'p str)> {
        let holds = |partition: &&Made| {
            let mount = partition.mount.as_deref();
            mount.is_some_and(|mount| {
                mount == "/" || path.strip_prefix(mount).is_some_and(|rest| rest.starts_with('/'))
            })
        };
        let length = |partition: &&Made| partition.mount.as_deref().map_or(0, str::len);
        let found = self.disks.iter().filter(holds).max_by_key(length);
        let partition = found.ok_or_else(|| anyhow!("no disk of this node has a root"))?;
        let mount = partition.mount.as_deref().unwrap_or_default();
        Ok((partition, if mount == "/" { path } else { path.strip_prefix(mount).unwrap_or(path) }))
    }

    /// Has the kernel fetched to where GRUB finds it, and the menu made. Answers the partition with both.
    fn install_grub_menu(&self) -> Result<&Made> {
        self.fetch_kernel(&self.tree.place(DIRECTORY))?;
        let (holder, path) = self.holder(DIRECTORY)?;
        self.tree.make_directory(format!("boot/{}", grub_directory(self.tree)))?;
        let settings = Settings {
            menu: Menu::Grub,
            title: self.title(),
            options: self.options()?,
            place: DIRECTORY.to_owned(),
            path: path.to_owned(),
            filesystem: holder.uuid.clone(),
            menu_place: format!("/boot/{}/grub.cfg", grub_directory(self.tree)),
            mount: None,
        };
        settings.install(self.tree, self.console)?;
        Ok(holder)
    }

    fn title(&self) -> String {
        format!("Perilune: {}", self.plan.image.name)
    }

    /// The kernel's command line.
    fn options(&self) -> Result<String> {
        let (root, _) = self.holder("/sbin/init")?;
        Ok(kernel_command_line(&root.uuid, &self.plan.kernel_arguments))
    }

    /// Fetches the kernel and the initramfs into a directory.
    fn fetch_kernel(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let files =
            [(&self.plan.image.kernel_file, KERNEL), (&self.plan.image.initrd_file, INITRAMFS)];
        files.into_iter().try_for_each(|(file, name)| self.fetch(file, &directory.join(name)))
    }

    fn fetch(&self, file: &str, place: &Path) -> Result<()> {
        let position = AtomicU64::new(0);
        let mut download = Download::open(self.controller, self.console, file, &position)?;
        let total = download.total();
        self.console.line(&format!("{file}, {}", bytes(total)));
        let copy = || -> io::Result<()> {
            let mut target = File::create(place)?;
            io::copy(&mut download, &mut target)?;
            target.sync_all()
        };
        let done = || position.load(Ordering::Relaxed);
        progress::follow(self.controller, self.console, Phase::Bootloader, total, &done, copy)
            .with_context(|| {
                format!("cannot write {}, which needs {}", place.display(), bytes(total))
            })
    }
}

/// The word of UEFI for this processor.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "aa64" } else { "x64" }
}

/// What the node's own start needs; what its start from the network needed stays out.
fn kernel_command_line(root: &str, options: &str) -> String {
    let is_kept = |word: &&str| {
        let of_the_network = ["luna.", "perilune.", "initrd=", "BOOTIF="];
        !of_the_network.iter().any(|start| word.starts_with(start)) && *word != "boot=ramdisk"
    };
    let kept: Vec<&str> = options.split_whitespace().filter(is_kept).collect();
    let options = perilune_plan::with_restart(&kept.join(" "));
    format!("root=UUID={root} rw perilune.root=UUID={root} {options}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_of_a_disk_has_nothing_of_the_network() {
        assert_eq!(
            kernel_command_line("a-b", "console=ttyS0 luna.node=n  initrd=x boot=ramdisk quiet"),
            "root=UUID=a-b rw perilune.root=UUID=a-b panic=30 console=ttyS0 quiet"
        );
        assert_eq!(
            kernel_command_line("a-b", "panic=0"),
            "root=UUID=a-b rw perilune.root=UUID=a-b panic=0"
        );
    }
}
