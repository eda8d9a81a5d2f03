//! The table of file systems of a root on disks.

use std::fmt::Write as _;
use std::path::Path;

use perilune_plan::FileSystem;

use crate::console::Console;
use crate::disk::Made;
use crate::tool;
use crate::tree::{self, Tree};

const TABLE: &str = "etc/fstab";
/// How a table names what is on a disk of the machine (fstab(5)).
const LOCAL: [&str; 5] = ["/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="];

/// Puts the disks that were made into the table of the tree. What the table has of other disks, as that of a captured system has, must not
/// keep the node from starting where it has no such disk.
pub fn write(tree: &Tree, made: &[Made], console: &Console) -> Result<(), tree::Error> {
    let is_ours =
        |device: &str| made.iter().any(|made| device.strip_prefix("UUID=") == Some(&made.uuid));
    let text = render(&tree.read(TABLE)?, made);
    let (text, absent) = without_absent(&text, |device| is_ours(device) || is_there(device));
    if !absent.is_empty() {
        console.warning(&format!(
            "the image's /{TABLE} names what this machine does not have: {}; the system starts without (nofail)",
            absent.join(", ")
        ));
    }
    tree.write(TABLE, text, 0o644)
}

/// Whether a device of the table exists.
fn is_there(device: &str) -> bool {
    let plain = device.replace('"', "");
    if !plain.contains('=') {
        return Path::new(&plain).exists();
    }
    // It ends with 2 when nothing has this tag (blkid(8)).
    !matches!(
        tool::end("blkid", ["-c", "/dev/null", "-t", &plain]),
        Ok(tool::End { code: Some(2), .. })
    )
}

/// The table with `nofail` for local devices that are not there, and their lines in short.
fn without_absent(text: &str, is_there: impl Fn(&str) -> bool) -> (String, Vec<String>) {
    let mut absent = Vec::new();
    let mut result = String::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[device, place, kind, ref rest @ ..] = fields.as_slice() else {
            writeln!(result, "{line}").ok();
            continue;
        };
        let options = rest.first().copied().unwrap_or("defaults");
        let is_needed = !options.split(',').any(|word| word == "nofail" || word == "noauto");
        let is_local = LOCAL.iter().any(|start| device.starts_with(start));
        if place == "/" || !is_local || !is_needed || is_there(device) {
            writeln!(result, "{line}").ok();
            continue;
        }
        absent.push(format!("{device} {place} {kind}"));
        let numbers = rest.get(1..).unwrap_or_default().join(" ");
        writeln!(
            result,
            "{}",
            format!("{device} {place} {kind} {options},nofail {numbers}").trim_end()
        )
        .ok();
    }
    (result, absent)
}

/// The image's table with our lines in it, and without what it says of the same places. Lines of other file systems,
/// of a network for instance, stay.
fn render(text: &str, made: &[Made]) -> String {
    let has_swap = made.iter().any(|partition| partition.filesystem == FileSystem::Swap);
    let is_replaced = |line: &&str| {
        let mut fields = line.split_whitespace();
        let (Some(device), Some(place), Some(kind)) = (fields.next(), fields.next(), fields.next())
        else {
            return false;
        };
        let is_ours = made.iter().any(|partition| partition.mount.as_deref() == Some(place));
        !device.starts_with('#') && (place == "/" || is_ours || (kind == "swap" && has_swap))
    };
    let mut result = String::new();
    for line in text.lines().filter(|line| !is_replaced(line)) {
        result.push_str(line);
        result.push('\n');
    }
    for partition in made {
        line(&mut result, partition);
    }
    result
}

/// Writing to a string does not fail.
fn line(text: &mut String, partition: &Made) {
    let Made { uuid, mount, options, filesystem, .. } = partition;
    let (kind, usual, pass) = match filesystem {
        FileSystem::Bios => return,
        FileSystem::Swap => {
            writeln!(text, "UUID={uuid} none swap {} 0 0", options.as_deref().unwrap_or("sw")).ok();
            return;
        }
        // Keys and boot files are nobody else's business.
        FileSystem::Esp => ("vfat", "umask=0077", 2),
        FileSystem::Ext4 => ("ext4", "defaults", 2),
        // It checks itself when it is mounted.
        FileSystem::Xfs => ("xfs", "defaults", 0),
    };
    let Some(mount) = mount else { return };
    let pass = if mount == "/" { pass.min(1) } else { pass };
    writeln!(text, "UUID={uuid} {mount} {kind} {} 0 {pass}", options.as_deref().unwrap_or(usual))
        .ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(filesystem: FileSystem, uuid: &str, mount: Option<&str>) -> Made {
        Made {
            disk: "/dev/vda".into(),
            device: "/dev/vda1".into(),
            filesystem,
            uuid: uuid.to_owned(),
            mount: mount.map(str::to_owned),
            options: None,
        }
    }

    #[test]
    fn our_lines_replace_those_of_the_same_places() {
        let image = "# the image's\nUUID=old / xfs defaults 0 0\nserver:/home /home nfs rw 0 0\n\
                     /dev/sda3 none swap sw 0 0\n#UUID=x / ext4\n";
        let disks = [
            made(FileSystem::Bios, "", None),
            made(FileSystem::Esp, "12AB-34CD", Some("/boot/efi")),
            made(FileSystem::Ext4, "root", Some("/")),
            Made {
                options: Some("noatime".to_owned()),
                ..made(FileSystem::Xfs, "scratch", Some("/scratch"))
            },
            made(FileSystem::Swap, "swap", None),
        ];
        let expected = "# the image's\nserver:/home /home nfs rw 0 0\n#UUID=x / ext4\n\
                        UUID=12AB-34CD /boot/efi vfat umask=0077 0 2\nUUID=root / ext4 defaults 0 1\n\
                        UUID=scratch /scratch xfs noatime 0 0\nUUID=swap none swap sw 0 0\n";
        assert_eq!(render(image, &disks), expected);
    }

    #[test]
    fn disks_of_the_machine_that_an_image_was_captured_from_are_not_waited_for() {
        let image = "# the image's\nUUID=old /boot xfs defaults 0 0\nserver:/home /home nfs rw 0 0\n\
                     UUID=\"here\" /data ext4 noatime 0 2\nLABEL=x none swap\n/dev/sdz1 /a ext4 noauto 0 0\n\
                     /dev/sdz2 /b ext4 ro,nofail\ntmpfs /tmp tmpfs size=1G\n";
        let (text, absent) = without_absent(image, |device| device == "UUID=\"here\"");
        let expected = "# the image's\nUUID=old /boot xfs defaults,nofail 0 0\nserver:/home /home nfs rw 0 0\n\
                        UUID=\"here\" /data ext4 noatime 0 2\nLABEL=x none swap defaults,nofail\n\
                        /dev/sdz1 /a ext4 noauto 0 0\n/dev/sdz2 /b ext4 ro,nofail\ntmpfs /tmp tmpfs size=1G\n";
        assert_eq!(text, expected);
        assert_eq!(absent, ["UUID=old /boot xfs", "LABEL=x none swap"]);
    }

    #[test]
    fn blkid_tells_what_is_there() {
        assert!(is_there("/dev/null") && !is_there("/dev/no-such-disk"));
        for device in ["UUID=0f4ac1cd-0000-4000-8000-00000000abcd", "LABEL=\"no such\""] {
            assert!(!tool::exists("blkid") || !is_there(device), "{device}");
        }
    }

    #[test]
    fn a_root_in_memory_is_not_in_the_table() {
        assert_eq!(
            render("UUID=old / xfs defaults 0 0\n/dev/sda3 none swap sw 0 0\n", &[]),
            "/dev/sda3 none swap sw 0 0\n"
        );
    }
}
