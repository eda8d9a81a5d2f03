//! File systems by their UUID, read from their superblocks: there is no udev that would make links.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::disk::uuid;

/// A kind of file system, where its mark is, and where its UUID.
struct Form {
    kind: &'static str,
    mark: &'static [u8],
    mark_at: u64,
    uuid_at: u64,
}

const FORMS: [Form; 3] = [
    Form { kind: "ext4", mark: &[0x53, 0xef], mark_at: 1024 + 56, uuid_at: 1024 + 104 },
    Form { kind: "xfs", mark: b"XFSB", mark_at: 0, uuid_at: 32 },
    Form { kind: "btrfs", mark: b"_BHRfS_M", mark_at: 65536 + 64, uuid_at: 65536 + 32 },
];

/// What is on a device: the kernel's name of the file system, and its UUID.
pub fn read(device: &Path) -> Option<(&'static str, String)> {
    let device = File::open(device).ok()?;
    FORMS.iter().find_map(|form| {
        let mut mark = [0; 8];
        let mark = mark.get_mut(..form.mark.len())?;
        device.read_exact_at(mark, form.mark_at).ok()?;
        let mut bytes = [0; 16];
        device.read_exact_at(&mut bytes, form.uuid_at).ok()?;
        (mark == form.mark).then(|| (form.kind, uuid::text(bytes)))
    })
}

/// The identity of whatever file system is on a device, as a table of file systems or a boot loader names it.
pub fn identity(device: &Path) -> Option<String> {
    read(device).map(|(_, uuid)| uuid).or_else(|| fat_number(device))
}

/// The number of a FAT file system, such as `ABCD-1234`. FAT of 32 bits has it at another place than the older ones.
fn fat_number(device: &Path) -> Option<String> {
    let mut sector = [0; 512];
    File::open(device).ok()?.read_exact_at(&mut sector, 0).ok()?;
    let has = |mark: &[u8], at: usize| sector.get(at..).is_some_and(|rest| rest.starts_with(mark));
    let at = match () {
        () if !has(&[0x55, 0xaa], 510) => return None,
        () if has(b"FAT32", 82) => 67,
        () if has(b"FAT1", 54) => 39,
        () => return None,
    };
    let bytes: [u8; 4] = sector.get(at..at + 4)?.try_into().ok()?;
    let number = u32::from_le_bytes(bytes);
    Some(format!("{:04X}-{:04X}", number >> 16, number & 0xffff))
}

/// The device with the file system of this UUID, and its kind.
pub fn find(wanted: &str) -> Option<(PathBuf, &'static str)> {
    let entries = fs::read_dir("/sys/class/block").into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    names.into_iter().find_map(|name| {
        let device = Path::new("/dev").join(name);
        let (kind, uuid) = read(&device)?;
        (uuid == wanted).then_some((device, kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool;

    const UUID: &str = "0f4ac1cd-0000-4000-8000-00000000abcd";

    fn image(size: u64) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(size).unwrap();
        file
    }

    #[test]
    fn file_systems_are_known_by_their_superblocks() {
        let made: [(&str, &str, &[&str]); 2] = [
            ("mkfs.ext4", "ext4", &["-q", "-F", "-U", UUID]),
            ("mkfs.xfs", "xfs", &["-q", "-f", "-m", "uuid=0f4ac1cd-0000-4000-8000-00000000abcd"]),
        ];
        for (program, kind, words) in made {
            if !tool::exists(program) {
                continue;
            }
            let file = image(320 << 20);
            let words = words.iter().map(AsRef::as_ref).chain([file.path().as_os_str()]);
            tool::run(program, words).unwrap();
            assert_eq!(read(file.path()), Some((kind, UUID.to_owned())));
            assert_eq!(identity(file.path()).as_deref(), Some(UUID));
        }
        for width in ["16", "32"] {
            if !tool::exists("mkfs.vfat") {
                continue;
            }
            let file = image(320 << 20);
            let words = ["-F", width, "-i", "ABCD1234"].map(AsRef::as_ref);
            tool::run("mkfs.vfat", words.into_iter().chain([file.path().as_os_str()])).unwrap();
            assert_eq!(identity(file.path()).as_deref(), Some("ABCD-1234"), "{width}");
        }
    }

    #[test]
    fn an_empty_or_short_device_has_none() {
        assert_eq!(read(image(1 << 20).path()), None);
        assert_eq!(read(image(10).path()), None);
        assert_eq!(identity(image(1 << 20).path()), None);
        assert_eq!(read(Path::new("/no/such/device")), None);
    }
}
