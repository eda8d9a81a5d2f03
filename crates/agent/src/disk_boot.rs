//! A node that starts from its own disk with our initramfs: the root is found, mounted and switched to.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};

use crate::console::Console;
use crate::hardware::{Drivers, load_module};
use crate::install::ROOT;
use crate::kernel_arguments::KernelArguments;
use crate::tree::Tree;
use crate::{disk_check, mounts, superblock, switch_root};

/// A controller with many disks takes its time.
const ROOT_LIMIT: Duration = Duration::from_mins(2);

/// Switches to the root with this UUID; returns only when it cannot.
pub fn start(
    uuid: &str,
    arguments: &KernelArguments,
    drivers: &mut Drivers,
    console: &Console,
) -> Result<()> {
    console.phase("Start from disk");
    let root = Path::new(ROOT);
    mounts::unmount_all(root).context("what a former try has mounted cannot be unmounted")?;
    let Some((device, kind)) = drivers.until(console, ROOT_LIMIT, || superblock::find(uuid)) else {
        bail!(
            "no disk has the root with the UUID {uuid}; was the disk replaced? Then let the node boot from the network"
        );
    };
    if disk_check::check(&device, kind, console)? {
        disk_check::tell_system();
    }
    load_module(kind);
    let is_read_only = arguments.get("ro").is_some() && arguments.get("rw").is_none();
    let flags = if is_read_only { MountFlags::RDONLY } else { MountFlags::empty() };
    let mounted =
        fs::create_dir_all(root).and_then(|()| Ok(mount(&device, root, kind, flags, None)?));
    mounted.with_context(|| {
        format!("{} ({kind}) cannot be mounted; {}", device.display(), disk_check::advice(kind))
    })?;
    console.line(&format!("the root is on {} ({kind})", device.display()));
    let init = switch_root::choose_init(&Tree::new(root), arguments.get("init"))?;
    mounts::unquieten();
    switch_root::switch(root, &init, console)
}
