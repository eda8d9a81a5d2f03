//! GNU tar reads ours, and we read GNU tar's. `tar` is on every system that runs these tests.
#![expect(clippy::disallowed_methods, reason = "a test may wait for a program")]

use std::{fs, path::Path, process::Command};

use perilune_archive::unpack;

use crate::trees::{assert_same, full_tree, go_on, packed};

fn tar(arguments: &[&str], directory: &Path) {
    let output = Command::new("tar").args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// GNU tar never puts attributes on symbolic links and device nodes back.
fn tree_for_gnu_tar() -> tempfile::TempDir {
    let tree = full_tree();
    for name in ["dangling", "usr/null"] {
        for attribute in ["trusted.link", "trusted.node"] {
            rustix::fs::lremovexattr(tree.path().join(name), attribute).ok();
        }
    }
    tree
}

/// Older installers give `--acls`, newer scripts only `--xattrs`.
#[test]
fn gnu_tar_extracts_what_we_pack() {
    let tree = tree_for_gnu_tar();
    let files = tempfile::tempdir().unwrap();
    let archive = files.path().join("archive.tar");
    fs::write(&archive, packed(tree.path())).unwrap();
    let common = ["--numeric-owner", "--same-owner", "-p", "--xattrs", "--xattrs-include=*"];
    for more in [&[][..], &["--acls"]] {
        let target = tempfile::tempdir().unwrap();
        tar(&[&common, more, &["-xf", archive.to_str().unwrap()]].concat(), target.path());
        assert_same(tree.path(), target.path());
    }
}

#[test]
fn we_unpack_what_gnu_tar_packs() {
    let tree = full_tree();
    let files = tempfile::tempdir().unwrap();
    let archive = files.path().join("archive.tar");
    let to_archive = [
        "--sparse",
        "--xattrs",
        "--xattrs-include=*",
        "--numeric-owner",
        "--exclude=left-out",
        "-cf",
    ];
    tar(&[&to_archive[..], &[archive.to_str().unwrap(), "."]].concat(), tree.path());
    let target = tempfile::tempdir().unwrap();
    unpack(&mut &fs::read(&archive).unwrap()[..], target.path(), &mut go_on).unwrap();
    assert_same(tree.path(), target.path());
}

#[test]
fn we_unpack_the_old_format_of_gnu_tar() {
    let tree = tempfile::tempdir().unwrap();
    let file = fs::File::create(tree.path().join("holes")).unwrap();
    for number in 0..50 {
        std::os::unix::fs::FileExt::write_all_at(&file, &[5; 4096], number << 20).unwrap();
    }
    file.set_len(60 << 20).unwrap();
    fs::write(tree.path().join("n".repeat(200)), "long").unwrap();
    let files = tempfile::tempdir().unwrap();
    let archive = files.path().join("archive.tar");
    tar(&["--sparse", "--format=gnu", "-cf", archive.to_str().unwrap(), "."], tree.path());
    let target = tempfile::tempdir().unwrap();
    unpack(&mut &fs::read(&archive).unwrap()[..], target.path(), &mut go_on).unwrap();
    let read = |root: &Path, name: &str| fs::read(root.join(name)).unwrap();
    for name in ["holes", &"n".repeat(200)] {
        assert!(read(tree.path(), name) == read(target.path(), name), "{name}");
    }
}
