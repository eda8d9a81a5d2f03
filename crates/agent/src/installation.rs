//! What the controller is told of an installation on a disk: where the node starts from by itself.

use std::fs;
use std::path::{Path, PathBuf};

use perilune_plan::Installation;

use crate::disk::Firmware;
use crate::superblock;

/// File systems that go with the machine's power.
const OF_MEMORY: [&str; 4] = ["tmpfs", "ramfs", "overlay", "rootfs"];
/// Where firmware or boot scripts find a loader, relative to its partition: what distributions install, then what any machine starts.
const LOADERS: [&str; 4] = ["shimx64.efi", "grubx64.efi", "shimaa64.efi", "grubaa64.efi"];
const USUAL_LOADERS: [&str; 2] = ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/BOOTAA64.EFI"];

/// Something that is mounted below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mounted {
    place: PathBuf,
    kind: String,
    device: PathBuf,
}

/// What a script has installed, told by what it has mounted; nothing for a root in memory.
pub fn of_mounts(root: &Path, firmware: Firmware) -> Option<Installation> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    of(&parse(&mountinfo), root, firmware)
}

fn of(mounts: &[Mounted], root: &Path, firmware: Firmware) -> Option<Installation> {
    let at = |place: &Path| mounts.iter().rfind(|mounted| mounted.place == place);
    let system = at(root)?;
    if OF_MEMORY.contains(&system.kind.as_str()) {
        return None;
    }
    let told = match firmware {
        Firmware::Bios => {
            let holder = at(&root.join("boot")).unwrap_or(system);
            (Some(holder), Some("/boot".to_owned()))
        }
        Firmware::Uefi => {
            let places = ["boot/efi", "efi", "boot"].map(|place| root.join(place));
            let esp = places.iter().find_map(|place| at(place).filter(|esp| esp.kind == "vfat"));
            (esp, esp.and_then(|esp| loader(&esp.place)))
        }
    };
    let (holder, file) = told;
    let filesystem = holder.and_then(|holder| superblock::identity(&holder.device));
    Some(Installation { filesystem, file })
}

/// The program that is started of an EFI system partition.
fn loader(esp: &Path) -> Option<String> {
    if let Some(usual) = USUAL_LOADERS.iter().find(|path| esp.join(path).is_file()) {
        return Some(format!("/{usual}"));
    }
    let entries = fs::read_dir(esp.join("EFI")).ok()?.filter_map(Result::ok);
    let mut directories: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    directories.sort();
    let paths = LOADERS.iter().flat_map(|name| directories.iter().map(move |of| of.join(name)));
    let found = paths.into_iter().find(|path| path.is_file())?;
    Some(format!("/{}", found.strip_prefix(esp).ok()?.display()))
}

/// The kernel's list. Blanks in a place are written as numbers; no place of ours has any.
fn parse(mountinfo: &str) -> Vec<Mounted> {
    let line = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        Some(Mounted {
            place: before.split(' ').nth(4)?.into(),
            kind: after.next()?.to_owned(),
            device: after.next()?.into(),
        })
    };
    mountinfo.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(root: &Path, lines: &[(&str, &str, &str)]) -> Vec<Mounted> {
        let line = |(place, kind, device): &(&str, &str, &str)| {
            let place = root.join(place).display().to_string();
            let place = place.trim_end_matches('/');
            format!("36 35 98:0 / {place} rw shared:1 - {kind} {device} rw")
        };
        let text = lines.iter().map(line).collect::<Vec<_>>().join("\n");
        parse(&text)
    }

    #[test]
    fn a_root_in_memory_is_no_installation() {
        let root = Path::new("/sysroot");
        for kind in OF_MEMORY {
            let mounts = mounts(root, &[("", kind, "tmpfs")]);
            assert_eq!(of(&mounts, root, Firmware::Bios), None, "{kind}");
        }
        assert_eq!(of(&[], root, Firmware::Bios), None);
    }

    #[test]
    fn what_a_script_has_mounted_tells_where_the_node_starts_from() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let fat = root.join("fat.image");
        let mut content = vec![0; 512];
        content[510..].copy_from_slice(&[0x55, 0xaa]);
        content[82..87].copy_from_slice(b"FAT32");
        content[67..71].copy_from_slice(&[0x34, 0x12, 0xcd, 0xab]);
        fs::write(&fat, content).unwrap();
        fs::create_dir_all(root.join("boot/efi/EFI/rocky")).unwrap();
        fs::write(root.join("boot/efi/EFI/rocky/shimx64.efi"), "").unwrap();
        let fat = fat.display().to_string();
        let mounts = mounts(root, &[("", "xfs", "/none"), ("boot/efi", "vfat", &fat)]);
        assert_eq!(
            of(&mounts, root, Firmware::Uefi),
            Some(Installation {
                filesystem: Some("ABCD-1234".to_owned()),
                file: Some("/EFI/rocky/shimx64.efi".to_owned())
            })
        );
        let bios = of(&mounts, root, Firmware::Bios).unwrap();
        assert_eq!(bios.start(), None, "its file system is not known");
    }
}
