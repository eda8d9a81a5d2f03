//! Kernels come and go on a node as its distribution brings and removes them, and it starts from its disk all along.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use perilune_testkit::machine::Firmware;
use perilune_testkit::process::{command, run};
use perilune_testkit::{Limit, Machine, Stop};

use super::node::Node;
use crate::build::target_directory;
use crate::follow::{Boot, Follower};
use crate::scenario;

/// A package that means the kernel of clouds; the image has the other one.
const SECOND: &str = "linux-image-cloud-amd64";
/// Unpacks half a gigabyte, and makes an initramfs, on a machine that is emulated.
const PACKAGE_SECONDS: u64 = 1800;
/// Each entry of GRUB's menu must have its files. Prints how many entries there are.
const MENU: &str = "set -e; menu=/boot/grub/grub.cfg; test \"$(grep -c '^ *linux */perilune\\|^ *linux */boot/perilune' $menu)\" = \
    \"$(grep -c '^ *initrd */perilune\\|^ *initrd */boot/perilune' $menu)\"; \
    for file in $(awk '$1 == \"linux\" || $1 == \"initrd\" {print $2}' $menu | grep perilune); do test -s $file; done; \
    grep -c -- '--id perilune' $menu";

pub(super) fn test(bench: &Follower<'_>) -> Result<()> {
    let package = package(bench.perilune.stop)?;
    for (number, firmware) in (21..).zip([Firmware::Bios, Firmware::UefiWithoutRom]) {
        let node = Node { bench, member: scenario::on_disk(number, firmware) };
        node.describe()?;
        let machine = node.start()?;
        node.explained(&machine, see_through(&node, &machine, &package))?;
        machine.power_off();
    }
    Ok(())
}

fn see_through(node: &Node<'_>, machine: &Machine, package: &Path) -> Result<()> {
    let Node { bench, member } = node;
    let boot = node.installed(None)?;
    let boot = node.reset(machine, &boot, Boot::Disk)?;
    let first = running(node)?;
    bench.event(member, &format!("runs {first} from its disk; another kernel is installed"));

    bench.copy(&member.address(), package, "/root/kernel.deb")?;
    let install =
        "DEBIAN_FRONTEND=noninteractive dpkg -i /root/kernel.deb 2>&1; rm /root/kernel.deb";
    bench.ssh_within(&member.address(), install, PACKAGE_SECONDS)?;
    ensure!(node.ssh(MENU)?.trim() == "2", "the menu has not two entries of ours");
    let boot = node.reset(machine, &boot, Boot::Disk)?;
    let second = running(node)?;
    ensure!(first != second, "it still runs {first}");
    bench.event(member, &format!("runs {second}; update-grub writes the menu"));

    bench.ssh_within(&member.address(), "update-grub 2>&1", PACKAGE_SECONDS)?;
    node.ssh("grep -q '/etc/grub.d/10_linux' /boot/grub/grub.cfg")
        .context("the distribution's menu was not written")?;
    ensure!(node.ssh(MENU)?.trim() == "2", "the menu has lost entries of ours");
    let boot = node.reset(machine, &boot, Boot::Disk)?;
    ensure!(running(node)? == second, "after update-grub it does not run {second}");

    bench.event(member, &format!("{first} is removed"));
    let remove = format!(
        "DEBIAN_FRONTEND=noninteractive dpkg --purge linux-image-amd64 linux-image-{first} 2>&1"
    );
    bench.ssh_within(&member.address(), &remove, PACKAGE_SECONDS)?;
    ensure!(node.ssh(MENU)?.trim() == "1", "the menu has not one entry of ours");
    node.ssh(&format!("test ! -e /boot/vmlinuz-{first} && test ! -e /boot/perilune/vmlinuz"))
        .context("what was removed is still there")?;
    node.reset(machine, &boot, Boot::Disk)?;
    ensure!(running(node)? == second, "without {first} it does not run {second}");
    bench.event(member, &format!("runs {second}, its only kernel"));
    Ok(())
}

fn running(node: &Node<'_>) -> Result<String> {
    Ok(node.ssh("uname -r")?.trim().to_owned())
}

/// The second kernel, from the distribution's mirror unless it is here already.
pub(super) fn package(stop: &Stop) -> Result<PathBuf> {
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this subject needs Debian's packages");
    }
    let limit = Limit::seconds(600).unless(stop);
    let known = run(command("apt-cache").args(["depends", "--important", SECOND]), &limit)?;
    let mut names = known.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let name = names.find(|name| name.starts_with("linux-image-"));
    let name = name.with_context(|| format!("{SECOND} is not known here: {known}"))?;
    let directory = target_directory().join("demo/packages");
    std::fs::create_dir_all(&directory)?;
    let is_it = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(&format!("{name}_"))
    };
    let found = || -> Result<Option<PathBuf>> {
        let entries = std::fs::read_dir(&directory)?;
        Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).find(is_it))
    };
    if let Some(package) = found()? {
        return Ok(package);
    }
    run(command("apt-get").args(["download", name]).current_dir(&directory), &limit)?;
    found()?.with_context(|| format!("{name} was not downloaded"))
}
