//! systemd-boot on the EFI system partition, under the name that firmware tries by itself: no variable of the
//! firmware is written, so that a replaced mainboard or disk still starts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use perilune_plan::{FileSystem, Installation};
use rustix::mount::{UnmountFlags, unmount};

use super::{INITRAMFS, KERNEL, Loader};
use crate::disk;

const PROGRAMS: &str = "usr/lib/systemd/boot/efi";
/// Where the partition is mounted when the layout gives it no place.
const ELSEWHERE: &str = "/run/esp";
const DIRECTORY: &str = "perilune";

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
    let written = fill(loader, &program, &place);
    if esp.mount.is_none() {
        unmount(ELSEWHERE, UnmountFlags::empty())
            .context("the EFI system partition stays mounted")?;
    }
    written?;
    Ok(Installation {
        filesystem: Some(esp.uuid.clone()),
        file: Some(format!("/{}", usual_path())),
    })
}

fn fill(loader: &Loader<'_>, program: &Path, esp: &Path) -> Result<()> {
    loader.fetch_kernel(&esp.join(DIRECTORY))?;
    let content = fs::read(program);
    let content = content.with_context(|| format!("cannot read {}", program.display()))?;
    write(&esp.join(usual_path()), &content)?;
    write(
        &esp.join("loader/loader.conf"),
        b"default perilune.conf\ntimeout 0\nconsole-mode keep\n",
    )?;
    let entry = entry(&loader.plan.image.name, &loader.options()?);
    write(&esp.join("loader/entries/perilune.conf"), entry.as_bytes())?;
    loader.console.line("systemd-boot is on the EFI system partition");
    Ok(())
}

fn entry(image: &str, options: &str) -> String {
    format!(
        "title Perilune: {image}\nlinux /{DIRECTORY}/{KERNEL}\ninitrd /{DIRECTORY}/{INITRAMFS}\noptions {options}\n"
    )
}

fn write(place: &Path, content: &[u8]) -> Result<()> {
    let write = || {
        fs::create_dir_all(place.parent().unwrap_or(place))?;
        fs::write(place, content)
    };
    write().with_context(|| format!("cannot write {}", place.display()))
}

/// The image's program: where there is one that firmware with Secure Boot starts, that one.
fn program(loader: &Loader<'_>) -> Result<PathBuf> {
    let name = format!("{PROGRAMS}/systemd-boot{}.efi", architecture());
    let places = [format!("{name}.signed"), name];
    if let Some(found) =
        places.iter().map(|path| loader.tree.place(path)).find(|place| place.is_file())
    {
        return Ok(found);
    }
    bail!(
        "the image has no boot loader for UEFI (/{}); install systemd-boot (Debian, Ubuntu, SUSE) or \
         systemd-boot-unsigned (Fedora, EL) in it and pack it again",
        places.last().map_or(PROGRAMS, String::as_str)
    )
}

/// The program that firmware starts by itself.
fn usual_path() -> String {
    format!("EFI/BOOT/BOOT{}.EFI", architecture().to_uppercase())
}

/// The word of UEFI for this processor.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "aa64" } else { "x64" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_kernel_and_initramfs() {
        let expected = "title Perilune: compute\nlinux /perilune/vmlinuz\ninitrd /perilune/initramfs\noptions root=UUID=x rw\n";
        assert_eq!(entry("compute", "root=UUID=x rw"), expected);
    }
}
