//! What is cut short, changed or too large for the disk is told, never passed over.

use std::{fs, path::Path, process::Command};

use perilune_archive::{Error, unpack, unpack_verified};

use crate::{
    round_trip::compressed,
    trees::{full_tree, go_on, is_root, packed},
};

#[test]
fn an_archive_that_ends_early_is_refused_wherever_it_ends() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("one"), [1; 700]).unwrap();
    fs::write(tree.path().join("n".repeat(150)), [2; 1500]).unwrap();
    let archive = packed(tree.path());
    let end = archive.len() - 1024;
    for length in (0..end).step_by(37).chain([end]) {
        let target = tempfile::tempdir().unwrap();
        let found = unpack(&mut &archive[..length], target.path(), &mut go_on);
        assert!(matches!(found, Err(Error::Truncated { .. })), "{length}: {found:?}");
    }
}

#[test]
fn one_wrong_bit_is_a_mismatch_of_the_checksum() {
    let (archive, checksum) = compressed(&packed(full_tree().path()));
    for position in (0..archive.len()).step_by(archive.len() / 20) {
        let mut damaged = archive.clone();
        damaged[position] ^= 0x10;
        let target = tempfile::tempdir().unwrap();
        let found = unpack_verified(&mut &damaged[..], &checksum, target.path(), &mut go_on);
        assert!(matches!(found, Err(Error::Mismatch { .. })), "{position}: {found:?}");
    }
}

#[test]
fn a_short_download_is_a_mismatch_of_the_checksum() {
    let (archive, checksum) = compressed(&packed(full_tree().path()));
    let target = tempfile::tempdir().unwrap();
    let found =
        unpack_verified(&mut &archive[..archive.len() / 2], &checksum, target.path(), &mut go_on);
    assert!(matches!(found, Err(Error::Mismatch { .. })), "{found:?}");
}

#[test]
fn a_connection_that_breaks_is_told_as_such() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
    }
    let (archive, checksum) = compressed(&packed(full_tree().path()));
    let target = tempfile::tempdir().unwrap();
    let mut input = std::io::Read::chain(&archive[..1000], Broken);
    let found = unpack_verified(&mut input, &checksum, target.path(), &mut go_on);
    let Err(Error::Input { source }) = found else { panic!("{found:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_full_disk_names_the_file_that_did_not_fit() {
    if !is_root() {
        eprintln!("not root: a small file system cannot be mounted, so a full disk is not tried");
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("a-small"), [1; 1000]).unwrap();
    fs::write(tree.path().join("b-large"), vec![1; 4 << 20]).unwrap();
    let archive = packed(tree.path());
    let disk = SmallDisk::mount();
    let found = unpack(&mut &archive[..], disk.0.path(), &mut go_on);
    let Err(Error::DiskFull { path }) = found else { panic!("{found:?}") };
    assert_eq!(path, disk.0.path().join("b-large"));
}

struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs"], directory.path());
        Self(directory)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &[], self.0.path());
    }
}

#[expect(clippy::disallowed_methods, reason = "a test may wait for a program")]
fn run(program: &str, arguments: &[&str], path: &Path) {
    assert!(Command::new(program).args(arguments).arg(path).status().unwrap().success());
}
