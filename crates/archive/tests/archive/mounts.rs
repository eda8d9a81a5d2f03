//! Trees with subvolumes, with what is mounted in them, and deeper than a path can be long. As root only.
#![expect(clippy::disallowed_methods, reason = "a test may wait for a program")]

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use perilune_archive::{Error, Options, Summary, copy, measure, pack};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, mkdirat, openat, renameat_with};

use crate::trees::{go_on, is_root, unpacked};

fn run(program: &str, words: &[&std::ffi::OsStr]) {
    assert!(Command::new(program).args(words).status().unwrap().success(), "{program} {words:?}");
}

/// Something mounted for as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    fn new(words: &[&str], source: &Path, place: &Path) -> Self {
        let mut all: Vec<&std::ffi::OsStr> = words.iter().map(AsRef::as_ref).collect();
        all.extend([source.as_os_str(), place.as_os_str()]);
        run("mount", &all);
        Self(place.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

fn listed(tree: &Path, options: &Options) -> Result<(Summary, String), Error> {
    let mut bytes = Vec::new();
    let totals = measure(tree, options)?;
    let summary = pack(tree, &mut bytes, options, &mut go_on)?;
    assert_eq!(totals.members, summary.members);
    let target = unpacked(&bytes);
    let mut found = Command::new("find");
    found.arg(".").args(["-type", "f"]).current_dir(target.path());
    let mut names: Vec<String> = String::from_utf8(found.output().unwrap().stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    names.sort();
    Ok((summary, names.join(" ")))
}

fn mounts_of(error: &Error) -> Vec<String> {
    let Error::Mounted { mounts, .. } = error else { panic!("{error}") };
    mounts.iter().map(ToString::to_string).collect()
}

/// A tree with `etc/file` on a file system of its own kind.
fn btrfs() -> Option<(tempfile::TempDir, Mounted, PathBuf)> {
    let is_there = Command::new("mkfs.btrfs").arg("--version").output().is_ok();
    if !is_root() || !is_there {
        eprintln!("not root, or no mkfs.btrfs: subvolumes are not tried");
        return None;
    }
    let place = tempfile::tempdir().unwrap();
    let (disk, at) = (place.path().join("disk"), place.path().join("mounted"));
    File::create(&disk).unwrap().set_len(256 << 20).unwrap();
    fs::create_dir(&at).unwrap();
    run("mkfs.btrfs", &["-q".as_ref(), disk.as_os_str()]);
    let mounted = Mounted::new(&["-o", "loop"], &disk, &at);
    let tree = at.join("images/compute");
    fs::create_dir_all(tree.join("etc")).unwrap();
    fs::write(tree.join("etc/file"), "file").unwrap();
    Some((place, mounted, tree))
}

fn subvolume(path: &Path) {
    let words = ["subvolume".as_ref(), "create".as_ref(), path.as_os_str()];
    assert!(Command::new("btrfs").args(words).output().unwrap().status.success());
}

#[test]
fn subvolumes_belong_to_the_tree() {
    let Some((_place, _mounted, tree)) = btrfs() else { return };
    subvolume(&tree.join("var"));
    subvolume(&tree.join("var/log"));
    subvolume(&tree.join("usr"));
    for file in ["var/a", "var/log/b", "usr/c"] {
        fs::write(tree.join(file), "inside").unwrap();
    }
    let (_, files) = listed(&tree, &Options::default()).unwrap();
    assert_eq!(files, "./etc/file ./usr/c ./var/a ./var/log/b");
    let destination = tempfile::tempdir().unwrap();
    copy(&tree, destination.path(), &Options::default(), &mut go_on).unwrap();
    assert_eq!(fs::read(destination.path().join("var/log/b")).unwrap(), b"inside");
}

#[test]
fn a_tree_that_is_a_subvolume_and_a_mount_is_one_tree() {
    let Some((_place, mounted, tree)) = btrfs() else { return };
    subvolume(&tree.with_file_name("snapshot"));
    fs::create_dir(tree.with_file_name("snapshot/etc")).unwrap();
    fs::write(tree.with_file_name("snapshot/etc/other"), "other").unwrap();
    subvolume(&tree.with_file_name("snapshot/srv"));
    fs::write(tree.with_file_name("snapshot/srv/data"), "data").unwrap();
    let place = tempfile::tempdir().unwrap();
    let _bound = Mounted::new(&["--bind"], &mounted.0.join("images/snapshot"), place.path());
    let (_, files) = listed(place.path(), &Options::default()).unwrap();
    assert_eq!(files, "./etc/other ./srv/data");
}

#[test]
fn a_subvolume_that_is_mounted_is_named_as_any_mount_is() {
    let Some((place, mounted, tree)) = btrfs() else { return };
    subvolume(&mounted.0.join("@home"));
    fs::create_dir(tree.join("home")).unwrap();
    let disk = Command::new("findmnt").args(["-no", "SOURCE"]).arg(&mounted.0).output().unwrap();
    let disk = String::from_utf8(disk.stdout).unwrap();
    let _home = Mounted::new(&["-o", "subvol=@home"], Path::new(disk.trim()), &tree.join("home"));
    let error = measure(&tree, &Options::default()).unwrap_err();
    let [only] = &mounts_of(&error)[..] else { panic!("{error}") };
    assert!(only.starts_with("/home (btrfs of /dev/loop") && only.contains("@home"), "{only}");
    drop(place);
}

#[test]
fn all_that_is_mounted_in_a_tree_is_named_and_nothing_is_made_without_it() {
    if !is_root() {
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    let at = |path: &str| tree.path().join(path);
    for directory in ["etc", "proc", "dev/pts", "var/cache", "opt/proc", "srv/again"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    fs::write(at("etc/resolv.conf"), "own").unwrap();
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("file"), "other").unwrap();
    let _mounts = [
        // Where only a running system has files, a mount takes nothing from the tree.
        Mounted::new(&["-t", "proc"], Path::new("proc"), &at("proc")),
        Mounted::new(&["-t", "tmpfs"], Path::new("tmpfs"), &at("dev/pts")),
        Mounted::new(&["-t", "tmpfs"], Path::new("tmpfs"), &at("var/cache")),
        Mounted::new(&["-t", "proc"], Path::new("proc"), &at("opt/proc")),
        Mounted::new(&["--bind"], &other.path().join("file"), &at("etc/resolv.conf")),
        Mounted::new(&["--bind"], tree.path(), &at("srv/again")),
    ];
    fs::write(at("var/cache/file"), "cached").unwrap();
    let options = Options::default();
    let mut output = Vec::new();
    let destination = tempfile::tempdir().unwrap();
    let errors = [
        measure(tree.path(), &options).unwrap_err(),
        pack(tree.path(), &mut output, &options, &mut go_on).unwrap_err(),
        copy(tree.path(), destination.path(), &options, &mut go_on).unwrap_err(),
    ];
    for error in errors {
        let names = mounts_of(&error);
        let places: Vec<&str> = names.iter().filter_map(|name| name.split(' ').next()).collect();
        assert_eq!(places, ["/etc/resolv.conf", "/opt/proc", "/srv/again", "/var/cache"]);
        assert!(error.to_string().contains("/var/cache (tmpfs)"), "{error}");
    }

    // Left out by name.
    let mut without = options.clone();
    without
        .empty_directories
        .extend(["etc/resolv.conf", "opt/proc", "srv/again", "var/cache"].map(PathBuf::from));
    let (_, files) = listed(tree.path(), &without).unwrap();
    assert_eq!(files, "");

    // Taken along.
    let mut with = Options { one_file_system: false, ..options };
    with.empty_directories.extend(["opt/proc", "srv/again"].map(PathBuf::from));
    let (_, files) = listed(tree.path(), &with).unwrap();
    assert_eq!(files, "./etc/resolv.conf ./var/cache/file");
}

/// A directory whose path is longer than the kernel takes, with a file, a link and a directory in it.
fn deep(tree: &Path) -> usize {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let name = "d".repeat(250);
    let mut directory = openat(CWD, tree, flags, Mode::empty()).unwrap();
    for _level in 0..20 {
        mkdirat(&directory, &name, Mode::RWXU).unwrap();
        directory = openat(&directory, &name, flags, Mode::empty()).unwrap();
    }
    let near = tempfile::tempdir_in(tree).unwrap();
    fs::write(near.path().join("file"), "deep").unwrap();
    fs::create_dir(near.path().join("directory")).unwrap();
    symlink("target", near.path().join("link")).unwrap();
    for name in ["file", "directory", "link"] {
        renameat_with(CWD, near.path().join(name), &directory, name, RenameFlags::empty()).unwrap();
    }
    20 * 251
}

#[test]
fn a_tree_may_be_deeper_than_a_path_can_be_long() {
    let tree = tempfile::tempdir().unwrap();
    let length = deep(tree.path());
    assert!(length > 4096);
    let mut bytes = Vec::new();
    let summary = pack(tree.path(), &mut bytes, &Options::default(), &mut go_on).unwrap();
    assert_eq!((summary.members, summary.warnings.len()), (24, 0));
    let unpacked = unpacked(&bytes);
    let copied = tempfile::tempdir().unwrap();
    copy(tree.path(), copied.path(), &Options::default(), &mut go_on).unwrap();
    for result in [unpacked.path(), copied.path()] {
        let script =
            "for level in $(seq 20); do cd -P d*; done; cat file; readlink link; ls -d directory";
        let output =
            Command::new("bash").arg("-c").arg(script).current_dir(result).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "deeptarget\ndirectory\n");
    }
}

#[test]
fn a_tree_of_a_thousand_levels_needs_no_thousand_open_files() {
    let tree = tempfile::tempdir().unwrap();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut directory = openat(CWD, tree.path(), flags, Mode::empty()).unwrap();
    for _level in 0..1200 {
        mkdirat(&directory, "d", Mode::RWXU).unwrap();
        directory = openat(&directory, "d", flags, Mode::empty()).unwrap();
    }
    let mut bytes = Vec::new();
    let summary = pack(tree.path(), &mut bytes, &Options::default(), &mut go_on).unwrap();
    assert_eq!(summary.members, 1201);
}
