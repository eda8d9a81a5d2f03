//! A boot loader on the EFI system partition, under the name that firmware tries by itself, so that a replaced mainboard or disk still
//! starts: the distribution's shim and GRUB, which Secure Boot lets pass, or else systemd-boot.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use perilune_plan::{FileSystem, Installation};
use rustix::mount::{UnmountFlags, unmount};

use super::node::{Menu, Settings, grub_directory, write};
use super::signed::Signed;
use super::{Loader, architecture, firmware, signed};
use crate::disk::{self, Made};

const PROGRAMS: &str = "usr/lib/systemd/boot/efi";
/// Where the partition is mounted when the layout gives it no place; seen from inside the root as well.
const ELSEWHERE: &str = "/run/perilune-esp";
const DIRECTORY: &str = "perilune";

/// What is installed.
enum Program {
    Signed(Signed),
    SystemdBoot(PathBuf),
}

pub(super) fn install(loader: &Loader<'_>) -> Result<Installation> {
    let program = program(loader)?;
    let esp = loader.partition(FileSystem::Esp)?;
    let place = match &esp.mount {
        Some(mount) => loader.tree.place(mount),
        None => {
            disk::mount_at(esp, Path::new(ELSEWHERE))?;
            PathBuf::from(ELSEWHERE)
        }
    };
    let written = match &program {
        Program::Signed(signed) => with_grub(loader, signed, &place),
        Program::SystemdBoot(program) => with_systemd_boot(loader, program, esp, &place),
    };
    if esp.mount.is_none() {
        unmount(ELSEWHERE, UnmountFlags::empty())
            .context("the EFI system partition stays mounted")?;
    }
    written?;
    let file = format!("/{}", usual_path());
    if let Some(order) = loader.plan.boot_order {
        firmware::set_order(esp, &file, order, loader.console);
    }
    Ok(Installation { filesystem: Some(esp.uuid.clone()), file: Some(file) })
}

fn with_grub(loader: &Loader<'_>, signed: &Signed, esp: &Path) -> Result<()> {
    let menu = format!("/boot/{}/grub.cfg", grub_directory(loader.tree));
    let (holder, path) = loader.holder(&menu)?;
    signed.install(esp, &holder.uuid, path)?;
    loader.install_grub_menu()?;
    loader.console.line("shim and GRUB are on the EFI system partition");
    Ok(())
}

fn with_systemd_boot(loader: &Loader<'_>, program: &Path, esp: &Made, place: &Path) -> Result<()> {
    loader.fetch_kernel(&place.join(DIRECTORY))?;
    let content = fs::read(program);
    let content = content.with_context(|| format!("cannot read {}", program.display()))?;
    write(&place.join(usual_path()), &content)?;
    let mount = esp.mount.as_deref().unwrap_or(ELSEWHERE);
    let settings = Settings {
        menu: Menu::SystemdBoot,
        title: loader.title(),
        options: loader.options()?,
        place: format!("{mount}/{DIRECTORY}"),
        path: format!("/{DIRECTORY}"),
        filesystem: esp.uuid.clone(),
        menu_place: format!("{mount}/loader"),
        mount: esp.mount.is_none().then(|| ELSEWHERE.to_owned()),
    };
    settings.install(loader.tree, loader.console)?;
    loader.console.line("systemd-boot is on the EFI system partition");
    Ok(())
}

/// The image's program: where there is one that firmware with Secure Boot starts, that one.
fn program(loader: &Loader<'_>) -> Result<Program> {
    if let Some(signed) = signed::find(loader.tree) {
        return Ok(Program::Signed(signed));
    }
    let name = format!("{PROGRAMS}/systemd-boot{}.efi", architecture());
    let places = [format!("{name}.signed"), name];
    if let Some(found) =
        places.iter().map(|path| loader.tree.place(path)).find(|place| place.is_file())
    {
        return Ok(Program::SystemdBoot(found));
    }
    bail!(
        "the image has no boot loader for UEFI (/{}); install shim-signed and grub-efi-amd64-signed (Debian, Ubuntu), shim-x64 and \
         grub2-efi-x64 (EL), or systemd-boot in it and pack it again",
        places.last().map_or(PROGRAMS, String::as_str)
    )
}

/// The program that firmware starts by itself.
fn usual_path() -> String {
    format!("EFI/BOOT/BOOT{}.EFI", architecture().to_uppercase())
}
