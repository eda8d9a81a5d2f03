//! Makes the operating system image that the machines run, from the distribution's packages. It is kept under
//! `target/demo`, and made again only when its recipe changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use perilune_testkit::process::{command, run};
use perilune_testkit::{Limit, Stop};

use crate::build::target_directory;

/// A mirror may be slow, and software of half a gigabyte is unpacked.
const LIMIT_SECONDS: u64 = 1200;
const DEBIAN_SUITE: &str = "bookworm";
const DEBIAN_PACKAGES: &[&str] = &[
    "ca-certificates",
    "curl",
    "dbus",
    "dosfstools",
    "e2fsprogs",
    "fdisk",
    "ipmitool",
    "iproute2",
    "kmod",
    // That of clouds knows no BMCs.
    "linux-image-amd64",
    "openssh-server",
    "procps",
    "systemd-boot",
    "systemd-sysv",
    "udev",
    "util-linux",
    "zstd",
];
const ENTERPRISE_LINUX_PACKAGES: &[&str] = &[
    "NetworkManager",
    "bash",
    "curl",
    "dosfstools",
    "e2fsprogs",
    "ipmitool",
    "iproute",
    "kernel-core",
    "kernel-modules",
    "kmod",
    "openssh-server",
    "passwd",
    "procps-ng",
    "systemd",
    "systemd-boot-unsigned",
    "systemd-udev",
    "util-linux",
    "zstd",
];
/// What lets a node start from its disk by BIOS, and with Secure Boot, and what a change of its kernel calls.
const DEBIAN_LOADERS: &[&str] =
    &["grub-pc-bin", "grub2-common", "grub-efi-amd64-signed", "shim-signed", "efibootmgr"];
const ENTERPRISE_LINUX_LOADERS: &[&str] =
    &["grub2-pc", "grub2-tools", "grub2-efi-x64", "shim-x64", "efibootmgr"];
/// What no node of a demonstration reads.
const LEFT_OUT: &[&str] = &[
    "/usr/share/man/*",
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/lib/modules/*/kernel/sound/*",
    "/lib/modules/*/kernel/drivers/bluetooth/*",
    "/lib/modules/*/kernel/drivers/gpu/*",
    "/lib/modules/*/kernel/drivers/iio/*",
    "/lib/modules/*/kernel/drivers/infiniband/*",
    "/lib/modules/*/kernel/drivers/media/*",
    "/lib/modules/*/kernel/drivers/net/ethernet/*",
    "/lib/modules/*/kernel/drivers/net/wireless/*",
    "/lib/modules/*/kernel/drivers/scsi/*",
    "/lib/modules/*/kernel/drivers/staging/*",
    "/lib/modules/*/kernel/drivers/usb/*",
];

/// Which image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As small as a demonstration needs it.
    Usual,
    /// With the boot loaders for every way to start from a disk.
    WithLoaders,
}

/// An operating system tree.
pub(crate) struct Image {
    pub(crate) name: &'static str,
    pub(crate) tree: PathBuf,
}

/// Makes the image of this host's own distribution, unless it is there already.
pub(crate) fn make(kind: Kind, stop: &Stop) -> Result<Image> {
    let directory = target_directory().join("demo");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let recipe = Recipe { distribution: Distribution::of_this_host()?, kind };
    let image = Image { name: recipe.name(), tree: directory.join(recipe.name()) };
    let made_from = directory.join(format!("{}.recipe", recipe.name()));
    let mut making = recipe.command(&directory.join("making"));
    let text = perilune_testkit::process::describe(&making);
    if image.tree.is_dir()
        && fs::read_to_string(&made_from).is_ok_and(|made_from| made_from == text)
    {
        return Ok(image);
    }
    remove(&made_from)?;
    remove(&image.tree)?;
    let unfinished = directory.join("making");
    remove(&unfinished)?;
    run(&mut making, &Limit::seconds(LIMIT_SECONDS).unless(stop))
        .context("the operating system image was not made")?;
    recipe.finish(&unfinished, stop)?;
    fs::rename(&unfinished, &image.tree)?;
    fs::write(&made_from, text)?;
    Ok(image)
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

enum Distribution {
    Debian,
    EnterpriseLinux,
}

struct Recipe {
    distribution: Distribution,
    kind: Kind,
}

impl Distribution {
    fn of_this_host() -> Result<Self> {
        if Path::new("/usr/bin/mmdebstrap").exists() {
            Ok(Self::Debian)
        } else if Path::new("/usr/bin/dnf").exists() {
            Ok(Self::EnterpriseLinux)
        } else {
            bail!(
                "neither mmdebstrap nor dnf is here: `./run` installs what is needed on Debian 12 and EL 9"
            )
        }
    }
}

impl Recipe {
    fn name(&self) -> &'static str {
        match (&self.distribution, self.kind) {
            (Distribution::Debian, Kind::Usual) => "debian",
            (Distribution::Debian, Kind::WithLoaders) => "debian-loaders",
            (Distribution::EnterpriseLinux, Kind::Usual) => "el",
            (Distribution::EnterpriseLinux, Kind::WithLoaders) => "el-loaders",
        }
    }

    fn packages(&self) -> Vec<&'static str> {
        let (usual, loaders) = match self.distribution {
            Distribution::Debian => (DEBIAN_PACKAGES, DEBIAN_LOADERS),
            Distribution::EnterpriseLinux => (ENTERPRISE_LINUX_PACKAGES, ENTERPRISE_LINUX_LOADERS),
        };
        let loaders = if self.kind == Kind::WithLoaders { loaders } else { &[] };
        [usual, loaders].concat()
    }

    /// Makes a tree at `tree`, which does not exist yet.
    fn command(&self, tree: &Path) -> Command {
        match self.distribution {
            Distribution::Debian => {
                let mut words = command("mmdebstrap");
                words.args(["--variant=minbase", "--aptopt=Acquire::Retries \"3\""]);
                words.args(LEFT_OUT.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
                words.arg(format!("--include={}", self.packages().join(",")));
                words.arg(
                    "--customize-hook=chroot \"$1\" systemctl enable --quiet systemd-networkd ssh",
                );
                words.arg(DEBIAN_SUITE).arg(tree);
                // The kernel's package would make an initramfs that nobody boots.
                words.env("INITRD", "No");
                words
            }
            Distribution::EnterpriseLinux => {
                let mut words = command("dnf");
                words.args([
                    "install",
                    "--assumeyes",
                    "--nodocs",
                    "--setopt=install_weak_deps=False",
                ]);
                words
                    .args(["--setopt=tsflags=nodocs", "--releasever=9", "--installroot"])
                    .arg(tree);
                words.args(self.packages());
                words
            }
        }
    }

    /// What the package manager leaves to do.
    fn finish(&self, tree: &Path, stop: &Stop) -> Result<()> {
        if let Distribution::EnterpriseLinux = self.distribution {
            let limit = Limit::seconds(120).unless(stop);
            let systemctl = ["systemctl", "enable", "sshd", "NetworkManager"];
            run(command("chroot").arg(tree).args(systemctl), &limit)?;
            // A labelled tree would need relabelling on a root without labels.
            fs::write(tree.join("etc/selinux/config"), "SELINUX=disabled\nSELINUXTYPE=targeted\n")
                .ok();
        }
        // Each node gets its own from the controller.
        for file in ["etc/hostname", "etc/machine-id"] {
            fs::write(tree.join(file), "")
                .with_context(|| format!("cannot empty {file} of the image"))?;
        }
        Ok(())
    }
}
