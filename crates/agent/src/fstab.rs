//! The table of file systems of a root on disks.

use std::fmt::Write as _;

use perilune_plan::FileSystem;

use crate::disk::Made;

/// The image's table with our lines in it, and without what it says of the same places. Lines of other file systems,
/// of a network for instance, stay.
pub fn render(text: &str, made: &[Made]) -> String {
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
    fn a_root_in_memory_is_not_in_the_table() {
        assert_eq!(
            render("UUID=old / xfs defaults 0 0\n/dev/sda3 none swap sw 0 0\n", &[]),
            "/dev/sda3 none swap sw 0 0\n"
        );
    }
}
