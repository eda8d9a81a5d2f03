//! Archives that try to write where they must not.

use std::{fs, os::unix::fs::symlink, path::Path};

use perilune_archive::{Error, unpack};
use tar::{EntryType, Header};

use crate::trees::go_on;

struct Writer(Vec<u8>);

impl Writer {
    fn add(mut self, kind: EntryType, name: &str, target: &str, data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn unpack_into(mut self, target: &Path) -> Result<perilune_archive::Summary, Error> {
        self.0.resize(self.0.len() + 1024, 0);
        unpack(&mut &self.0[..], target, &mut go_on)
    }
}

/// A directory to unpack into, beside a file that must stay as it is.
fn target_beside_a_treasure() -> (tempfile::TempDir, std::path::PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let target = outer.path().join("target");
    fs::create_dir(&target).unwrap();
    fs::write(outer.path().join("treasure"), "gold").unwrap();
    (outer, target)
}

fn refused(archive: Writer) {
    let (outer, target) = target_beside_a_treasure();
    let found = archive.unpack_into(&target);
    assert!(matches!(found, Err(Error::Unsafe { .. })), "{found:?}");
    assert_eq!(fs::read_to_string(outer.path().join("treasure")).unwrap(), "gold");
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 2);
}

#[test]
fn a_name_that_leads_upwards_is_refused() {
    for name in ["../treasure", "./a/../../treasure", ".."] {
        refused(Writer(Vec::new()).add(EntryType::Regular, name, "", b"lead"));
    }
}

#[test]
fn an_absolute_name_is_refused() {
    refused(Writer(Vec::new()).add(EntryType::Regular, "/etc/treasure", "", b"lead"));
}

#[test]
fn writing_through_a_symbolic_link_of_the_archive_is_refused() {
    for leads_to in ["..", "/"] {
        refused(Writer(Vec::new()).add(EntryType::Symlink, "./door", leads_to, b"").add(
            EntryType::Regular,
            "./door/treasure",
            "",
            b"lead",
        ));
    }
}

#[test]
fn a_hard_link_to_the_outside_is_refused() {
    for outside in ["../treasure", "/etc/passwd"] {
        refused(Writer(Vec::new()).add(EntryType::Link, "./mine", outside, b""));
    }
    refused(Writer(Vec::new()).add(EntryType::Symlink, "./door", "..", b"").add(
        EntryType::Link,
        "./mine",
        "./door/treasure",
        b"",
    ));
}

#[test]
fn writing_through_a_symbolic_link_that_was_there_is_refused() {
    let (outer, target) = target_beside_a_treasure();
    symlink("..", target.join("door")).unwrap();
    let archive = Writer(Vec::new()).add(EntryType::Regular, "./door/treasure", "", b"lead");
    assert!(matches!(archive.unpack_into(&target), Err(Error::Unsafe { .. })));
    assert_eq!(fs::read_to_string(outer.path().join("treasure")).unwrap(), "gold");
}

#[test]
fn a_link_that_was_there_is_replaced_and_not_followed() {
    let (outer, target) = target_beside_a_treasure();
    symlink("../treasure", target.join("file")).unwrap();
    symlink("..", target.join("directory")).unwrap();
    Writer(Vec::new())
        .add(EntryType::Regular, "./file", "", b"new")
        .add(EntryType::Directory, "./directory/", "", b"")
        .add(EntryType::Regular, "./directory/treasure", "", b"new")
        .unpack_into(&target)
        .unwrap();
    assert_eq!(fs::read_to_string(outer.path().join("treasure")).unwrap(), "gold");
    assert_eq!(fs::read_to_string(target.join("directory/treasure")).unwrap(), "new");
    assert!(target.join("file").symlink_metadata().unwrap().is_file());
}

#[test]
fn a_name_may_turn_from_a_directory_into_a_file_and_back() {
    let (_outer, target) = target_beside_a_treasure();
    Writer(Vec::new())
        .add(EntryType::Directory, "./a/b/", "", b"")
        .add(EntryType::Regular, "./a/b", "", b"file")
        .add(EntryType::Directory, "./a/b/", "", b"")
        .add(EntryType::Regular, "./a/b/c", "", b"again")
        .unpack_into(&target)
        .unwrap();
    assert_eq!(fs::read_to_string(target.join("a/b/c")).unwrap(), "again");
}

#[test]
fn an_absurd_extended_header_does_not_take_memory() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::XHeader);
    header.set_size(1 << 60);
    header.set_cksum();
    let target = tempfile::tempdir().unwrap();
    let found = Writer(header.as_bytes().to_vec()).unpack_into(target.path());
    assert!(matches!(found, Err(Error::Malformed { .. })), "{found:?}");
}
