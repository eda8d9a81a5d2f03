//! What a site looks at before nodes boot an image: whether it can boot, start from a disk, be reached, and whether something is in it
//! that should not be.

use std::{
    fs,
    path::{Path, PathBuf},
};

use perilune_archive::Options;

use crate::{
    CancelFlag, Error, Mounts, credentials, identity, initramfs, kernel, mounts::measured,
    tree::Tree,
};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Good,
    /// Worth to know; some nodes may need it.
    Warning,
    /// The image cannot be packed, or no node can use it.
    Fault,
}

/// One line of the check list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    /// One word: what was looked at.
    pub subject: &'static str,
    pub text: String,
}

/// What is to be checked.
#[derive(Clone, Debug)]
pub struct CheckRequest {
    /// The directory of the operating system.
    pub tree: PathBuf,
    /// The kernel that is packed; the newest one when not given.
    pub kernel_version: Option<String>,
    /// Modules as in [`crate::Request`].
    pub kernel_modules: Vec<String>,
}

/// Goes through the whole list. Nothing is written.
pub fn check(request: &CheckRequest, cancel: &CancelFlag) -> Result<Vec<Finding>, Error> {
    if !request.tree.is_dir() {
        return Err(Error::NoTree { path: request.tree.clone() });
    }
    let tree = Tree::new(&request.tree);
    let mut list = List(Vec::new());
    list.kernel(&tree, request, cancel);
    list.loader(&tree);
    list.disk(&tree);
    list.network(&tree);
    list.ssh(&tree);
    list.identity(&tree);
    list.policy(&tree);
    list.credentials(&tree, cancel)?;
    list.size(request, cancel)?;
    Ok(list.0)
}

struct List(Vec<Finding>);

/// Programs that configure the network, and the services that start them.
const NETWORK: [(&str, &str, &[&str]); 6] = [
    ("netplan", "", &["usr/sbin/netplan"]),
    ("NetworkManager", "NetworkManager.service", &["usr/sbin/NetworkManager"]),
    (
        "systemd-networkd",
        "systemd-networkd.service",
        &["usr/lib/systemd/systemd-networkd", "lib/systemd/systemd-networkd"],
    ),
    ("wicked", "wicked.service", &["usr/sbin/wicked"]),
    ("ifupdown", "networking.service", &["usr/sbin/ifup", "sbin/ifup"]),
    ("network-scripts", "network.service", &["etc/sysconfig/network-scripts/ifup"]),
];
const UEFI_LOADERS: [&str; 2] = [
    "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
    "usr/lib/systemd/boot/efi/systemd-bootaa64.efi",
];
/// Signed programs of Debian and Ubuntu; Enterprise Linux has them below [`SIGNED_DIRECTORIES`].
const SIGNED: [[&str; 2]; 2] = [
    ["usr/lib/shim/shimx64.efi.signed", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"],
    ["usr/lib/shim/shimaa64.efi.signed", "usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed"],
];
const SIGNED_DIRECTORIES: &str = "boot/efi/EFI";
const SIGNED_NAMES: [[&str; 2]; 2] =
    [["shimx64.efi", "grubx64.efi"], ["shimaa64.efi", "grubaa64.efi"]];
/// What makes the initramfs of a kernel that a node gets from its distribution.
const INITRAMFS_MAKERS: [&str; 4] =
    ["usr/sbin/update-initramfs", "usr/bin/dracut", "usr/sbin/dracut", "sbin/dracut"];
const CHECKERS: [&str; 3] = ["usr/sbin/e2fsck", "sbin/e2fsck", "usr/bin/e2fsck"];
const BIOS_LOADERS: [&str; 4] = [
    "usr/sbin/grub-install",
    "usr/bin/grub-install",
    "usr/sbin/grub2-install",
    "usr/bin/grub2-install",
];
const BIOS_MODULES: [&str; 2] = ["usr/lib/grub/i386-pc", "usr/share/grub2/i386-pc"];
impl List {
    fn add(&mut self, level: Level, subject: &'static str, text: impl Into<String>) {
        self.0.push(Finding { level, subject, text: text.into() });
    }

    fn kernel(&mut self, tree: &Tree, request: &CheckRequest, cancel: &CancelFlag) {
        let mut notes = Vec::new();
        let chosen = kernel::choose(&request.tree, request.kernel_version.as_deref(), &mut notes);
        let version = chosen.and_then(|version| kernel::file_of(tree, &version).map(|_| version));
        let version = match version {
            Ok(version) => version,
            Err(error) => return self.add(Level::Fault, "kernel", error.to_string()),
        };
        let wanted = initramfs::Wanted {
            tree,
            kernel_version: &version,
            kernel_modules: &request.kernel_modules,
            // Only the image is looked at, and nothing is written.
            agent: &request.tree,
            packed: 0,
        };
        match initramfs::collect(&wanted, &mut notes, cancel) {
            Ok(_) => self.add(Level::Good, "kernel", version.as_str()),
            Err(error) => self.add(Level::Fault, "kernel", error.to_string()),
        }
        for note in notes {
            self.add(Level::Warning, "kernel", note);
        }
    }

    fn loader(&mut self, tree: &Tree) {
        let has =
            |places: &[&str]| places.iter().any(|place| tree.file(Path::new(place)).is_some());
        if has_signed(tree) {
            self.add(
                Level::Good,
                "loader",
                "UEFI machines start from disk with the distribution's shim and GRUB, also with Secure Boot",
            );
        } else if has(&UEFI_LOADERS) {
            self.add(
                Level::Good,
                "loader",
                "UEFI machines start from disk with systemd-boot; for Secure Boot install shim-signed and grub-efi-amd64-signed (Debian, Ubuntu) or shim-x64 and grub2-efi-x64 (EL)",
            );
        } else {
            self.add(
                Level::Warning,
                "loader",
                "UEFI machines cannot be installed to disk; install shim-signed and grub-efi-amd64-signed (Debian, Ubuntu), shim-x64 and grub2-efi-x64 (EL), or systemd-boot",
            );
        }
        let has_modules =
            BIOS_MODULES.iter().any(|place| tree.directory(Path::new(place)).is_some());
        if has(&BIOS_LOADERS) && has_modules {
            self.add(Level::Good, "loader", "BIOS machines start from disk with GRUB");
        } else {
            self.add(
                Level::Warning,
                "loader",
                "BIOS machines cannot be installed to disk; install grub-pc-bin and grub2-common (Debian, Ubuntu), grub2-pc (EL) or grub2-i386-pc (SUSE)",
            );
        }
    }

    /// What only nodes need that start from a disk.
    fn disk(&mut self, tree: &Tree) {
        let has =
            |places: &[&str]| places.iter().any(|place| tree.file(Path::new(place)).is_some());
        let wanted: [(&[&str], &str, &str); 2] = [
            (
                &INITRAMFS_MAKERS,
                "kernels that are installed on a node are started from its disk",
                "a kernel that is installed on a node is not started from its disk; install initramfs-tools or dracut",
            ),
            (
                &CHECKERS,
                "a root with ext4 is checked when a node starts from its disk",
                "a root with ext4 is not checked when a node starts from its disk; install e2fsprogs",
            ),
        ];
        for (places, good, lacks) in wanted {
            let is_there = has(places);
            let (level, text) =
                if is_there { (Level::Good, good) } else { (Level::Warning, lacks) };
            self.add(level, "disk", text);
        }
    }

    fn network(&mut self, tree: &Tree) {
        let installed: Vec<_> = NETWORK
            .iter()
            .filter(|(_, _, places)| {
                places.iter().any(|place| tree.file(Path::new(place)).is_some())
            })
            .collect();
        let enabled = installed
            .iter()
            .find(|(_, service, _)| service.is_empty() || is_enabled(tree, service));
        match (enabled, installed.first()) {
            (Some((name, ..)), _) => self.add(Level::Good, "network", format!("{name} configures the network")),
            (None, Some((name, service, _))) => self.add(
                Level::Warning,
                "network",
                format!("{name} is there but not enabled; run `chroot IMAGE systemctl enable {service}`"),
            ),
            (None, None) => self.add(
                Level::Fault,
                "network",
                "nothing configures the network of a node; install NetworkManager, systemd-networkd, netplan, wicked or ifupdown",
            ),
        }
    }

    fn ssh(&mut self, tree: &Tree) {
        if tree.file(Path::new("usr/sbin/sshd")).is_none() {
            return self.add(
                Level::Warning,
                "ssh",
                "there is no sshd, so that nobody can log in over the network; install openssh-server",
            );
        }
        let services = ["ssh.service", "sshd.service", "ssh.socket", "sshd.socket"];
        if services.iter().any(|service| is_enabled(tree, service)) {
            self.add(Level::Good, "ssh", "sshd is there and enabled");
        } else {
            self.add(
                Level::Warning,
                "ssh",
                "sshd is there but not enabled; run `chroot IMAGE systemctl enable ssh` (Debian) or `sshd`",
            );
        }
    }

    fn identity(&mut self, tree: &Tree) {
        let left = identity::left_in(tree);
        if left.is_empty() {
            self.add(Level::Good, "identity", "nothing of one machine is left in the image");
        }
        for text in left {
            self.add(Level::Warning, "identity", text);
        }
    }

    fn policy(&mut self, tree: &Tree) {
        let text = tree
            .file(Path::new("etc/selinux/config"))
            .and_then(|file| fs::read_to_string(file).ok())
            .unwrap_or_default();
        let value = |key: &str| {
            let values = text.lines().filter_map(|line| line.trim().strip_prefix(key));
            values.filter_map(|rest| rest.trim_start().strip_prefix('=')).map(str::trim).next_back()
        };
        let Some(mode @ ("enforcing" | "permissive")) = value("SELINUX") else {
            return self.add(Level::Good, "selinux", "SELinux is off, or the image has none");
        };
        let policy = value("SELINUXTYPE").unwrap_or("targeted");
        let contexts = format!("etc/selinux/{policy}/contexts/files/file_contexts");
        let lacks = if tree.file(Path::new(&contexts)).is_none() {
            Some(format!(
                "the policy '{policy}' is not installed (/{contexts}); install selinux-policy-{policy}"
            ))
        } else if ["usr/sbin/setfiles", "sbin/setfiles"]
            .iter()
            .all(|place| tree.file(Path::new(place)).is_none())
        {
            Some("setfiles is missing, so that a node labels its files at its first start; install policycoreutils".to_owned())
        } else {
            None
        };
        let level = if lacks.is_none() { Level::Good } else { Level::Warning };
        let text = match lacks {
            None => format!("{mode}, policy {policy}"),
            Some(lacks) => format!("SELinux is {mode}, but {lacks}"),
        };
        self.add(level, "selinux", text);
    }

    fn credentials(&mut self, tree: &Tree, cancel: &CancelFlag) -> Result<(), Error> {
        let found = credentials::left_in(tree, cancel)?;
        if found.is_empty() {
            self.add(
                Level::Good,
                "credentials",
                "no configuration of a controller with its passwords, no key, no login",
            );
        }
        for text in found {
            self.add(Level::Fault, "credentials", text);
        }
        Ok(())
    }

    fn size(&mut self, request: &CheckRequest, cancel: &CancelFlag) -> Result<(), Error> {
        cancel.check()?;
        let mut notes = Vec::new();
        match measured(&request.tree, &mut Options::default(), Mounts::Refuse, &mut notes) {
            Ok(totals) => {
                let mebibytes = totals.bytes >> 20;
                self.add(
                    Level::Good,
                    "size",
                    format!("{} files of {mebibytes} MiB; a node without a disk needs that memory and more", totals.members),
                );
            }
            Err(error) => {
                let error = Error::archive(&request.tree, &request.tree, error);
                self.add(Level::Fault, "size", error.to_string());
            }
        }
        Ok(())
    }
}

/// Whether there are a shim and a GRUB that are signed.
fn has_signed(tree: &Tree) -> bool {
    let both = |paths: [&Path; 2]| paths.iter().all(|path| tree.file(path).is_some());
    if SIGNED.iter().any(|[shim, grub]| both([Path::new(shim), Path::new(grub)])) {
        return true;
    }
    let base = Path::new(SIGNED_DIRECTORIES);
    let entries = tree.directory(base).and_then(|found| fs::read_dir(found).ok());
    let mut directories =
        entries.into_iter().flatten().filter_map(|entry| Some(base.join(entry.ok()?.file_name())));
    directories.any(|directory| {
        SIGNED_NAMES.iter().any(|[shim, grub]| both([&directory.join(shim), &directory.join(grub)]))
    })
}

/// Whether a unit is started with the system. Links of a unit lead to where it would be on the node.
fn is_enabled(tree: &Tree, unit: &str) -> bool {
    let base = Path::new("etc/systemd/system");
    let entries = tree.directory(base).and_then(|found| fs::read_dir(found).ok());
    let mut directories =
        entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name()));
    directories.any(|directory| {
        let name = directory.to_string_lossy();
        let wants = name.ends_with(".wants") || name.ends_with(".requires");
        wants && fs::symlink_metadata(tree.full(&base.join(&directory).join(unit))).is_ok()
    })
}
