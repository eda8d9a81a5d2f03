//! A tree with everything an image may hold, and a description of a tree that two trees can be compared by.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File, Permissions},
    io::{Seek, SeekFrom, Write},
    ops::ControlFlow,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use perilune_archive::{Options, Progress, pack, unpack};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lgetxattr, llistxattr,
    lsetxattr, makedev, mknodat, utimensat,
};

pub(crate) fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(crate) fn packed(tree: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let summary = pack(tree, &mut bytes, &Options::default(), &mut go_on).unwrap();
    assert_eq!(summary.warnings, Vec::<String>::new());
    bytes
}

pub(crate) fn unpacked(bytes: &[u8]) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    let summary = unpack(&mut &bytes[..], target.path(), &mut go_on).unwrap();
    assert_eq!(summary.warnings, Vec::<String>::new());
    target
}

/// The tests of owners, devices and capabilities say nothing unless they run as root.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not root: owners, device nodes and capabilities are left out of the test tree");
    }
    root
}

/// Everything at once. Times are set last, so that they are exact.
pub(crate) fn full_tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let at = |name: &str| tree.path().join(name);
    fs::create_dir_all(at("etc/secret")).unwrap();
    fs::create_dir_all(at("usr/lib/modules")).unwrap();
    fs::write(at("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(at("etc/shadow"), "secret").unwrap();
    fs::set_permissions(at("etc/shadow"), Permissions::from_mode(0o000)).unwrap();
    fs::write(at("usr/su"), vec![7; 100_000]).unwrap();
    symlink("usr/lib", at("lib")).unwrap();
    symlink("/nowhere/at all", at("dangling")).unwrap();
    symlink("x".repeat(300), at("long-link")).unwrap();
    fs::hard_link(at("usr/su"), at("usr/su-again")).unwrap();
    fs::hard_link(at("dangling"), at("dangling-again")).unwrap();
    add_awkward_names(tree.path());
    add_holes(tree.path());
    for directory in ["proc", "sys", "dev", "run", "tmp"] {
        fs::create_dir(at(directory)).unwrap();
        fs::write(at(directory).join("left-out"), "x").unwrap();
    }
    fs::set_permissions(at("tmp"), Permissions::from_mode(0o1777)).unwrap();
    mknodat(CWD, at("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    drop(UnixListener::bind(at("socket")).unwrap());
    add_attributes(tree.path());
    if is_root() {
        add_what_root_can(tree.path());
    }
    fs::set_permissions(at("etc/secret"), Permissions::from_mode(0o500)).unwrap();
    set_time(&at("etc/passwd"), 1_000_000_000, 123_456_789);
    set_time(&at("empty"), -5, 250_000_000);
    set_time(&at("dangling"), 1_234_567_890, 0);
    set_time(&at("etc/secret"), 86_400, 0);
    set_time(&at("etc"), 86_401, 1);
    tree
}

fn add_awkward_names(tree: &Path) {
    for length in [1, 92, 96, 97, 98, 99, 100, 101, 102, 155, 255] {
        fs::write(tree.join("n".repeat(length)), length.to_string()).unwrap();
    }
    let deep: PathBuf = (0..30).map(|level| format!("{level}-a-rather-long-name")).collect();
    fs::create_dir_all(tree.join(&deep)).unwrap();
    fs::write(tree.join(&deep).join("file"), "deep").unwrap();
    fs::hard_link(tree.join(&deep).join("file"), tree.join("usr/link-to-deep")).unwrap();
    fs::write(tree.join(OsStr::from_bytes(b"latin-\xe9\xff")), "not UTF-8").unwrap();
    let long: Vec<u8> = std::iter::repeat_n(0xe9, 200).collect();
    fs::write(tree.join(OsStr::from_bytes(&long)), "long, not UTF-8").unwrap();
    fs::write(tree.join("new\nline = %41 \"quoted\" "), "odd").unwrap();
}

fn add_holes(tree: &Path) {
    let mut file = File::create(tree.join("hole-first")).unwrap();
    file.seek(SeekFrom::Start(10 << 20)).unwrap();
    file.write_all(b"end").unwrap();
    let file = File::create(tree.join("hole-last")).unwrap();
    file.write_all_at(&[1; 5000], 0).unwrap();
    file.set_len(64 << 20).unwrap();
    File::create(tree.join("only-hole")).unwrap().set_len(1 << 30).unwrap();
    let file = File::create(tree.join("many-holes")).unwrap();
    for number in 0..100 {
        file.write_all_at(&[3; 4096], number * 65536).unwrap();
    }
    file.set_len(100 * 65536 + 77).unwrap();
    fs::write(tree.join("zeros-without-hole"), vec![0; 70_000]).unwrap();
}

fn add_attributes(tree: &Path) {
    let set = |name: &str, attribute: &str, value: &[u8]| {
        lsetxattr(tree.join(name), attribute, value, XattrFlags::empty()).unwrap();
    };
    set("etc/passwd", "user.note", b"line\nline\n\x00binary=yes");
    set("etc/passwd", "user.a=b%c", b"");
    set("etc", "user.directory", b"yes");
    set("hole-last", "user.sparse", b"too");
    // user::rw-, user:1000:r--, group::r--, mask::r--, other::---
    let list = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xe8\x03\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    set("etc/passwd", "system.posix_acl_access", list);
    set("usr", "system.posix_acl_default", list);
}

fn add_what_root_can(tree: &Path) {
    let at = |name: &str| tree.join(name);
    lchown(at("usr/su"), Some(1234), Some(4_000_000)).unwrap();
    lchown(at("dangling"), Some(65534), Some(3)).unwrap();
    lchown(at("etc/secret"), Some(3_000_000_000), Some(9)).unwrap();
    fs::set_permissions(at("usr/su"), Permissions::from_mode(0o6755)).unwrap();
    fs::write(at("usr/ping"), "ping").unwrap();
    lchown(at("usr/ping"), Some(12), Some(12)).unwrap();
    // cap_net_raw,cap_dac_override... in a value that holds a newline byte.
    let capability = b"\x01\0\0\x02\x0a\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    lsetxattr(at("usr/ping"), "security.capability", capability, XattrFlags::empty()).unwrap();
    let mode = Mode::from_raw_mode(0o620);
    mknodat(CWD, at("usr/null"), FileType::CharacterDevice, mode, makedev(1, 3)).unwrap();
    mknodat(CWD, at("usr/disk"), FileType::BlockDevice, mode, makedev(259, 70_000)).unwrap();
    lsetxattr(at("dangling"), "trusted.link", b"on a symlink", XattrFlags::empty()).unwrap();
    lsetxattr(at("usr/null"), "trusted.node", b"on a node", XattrFlags::empty()).unwrap();
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Description {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    device: u64,
    size: u64,
    has_holes: bool,
    contents: Option<blake3::Hash>,
    target: Option<PathBuf>,
    /// The first of the names of the same file.
    first_name: PathBuf,
    attributes: BTreeMap<String, Vec<u8>>,
}

/// Everything about a tree but its sockets, and what is in the directories that only a running system fills.
pub(crate) fn described(tree: &Path) -> BTreeMap<PathBuf, Description> {
    let mut names = vec![PathBuf::new()];
    collect(tree, Path::new(""), &mut names);
    let mut first_names = BTreeMap::new();
    let mut all = BTreeMap::new();
    for name in names {
        let full = tree.join(&name);
        let metadata = fs::symlink_metadata(&full).unwrap();
        let identity = (metadata.dev(), metadata.ino());
        let first_name = first_names.entry(identity).or_insert_with(|| name.clone()).clone();
        let is_file = metadata.is_file();
        let description = Description {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            device: metadata.rdev(),
            size: if is_file { metadata.size() } else { 0 },
            has_holes: is_file && metadata.blocks() * 512 < metadata.size() / 2,
            contents: is_file.then(|| contents_of(&full)),
            target: fs::read_link(&full).ok(),
            first_name,
            attributes: attributes_of(&full),
        };
        all.insert(name, description);
    }
    all
}

fn contents_of(file: &Path) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let opened = File::open(file).unwrap();
    if opened.metadata().unwrap().size() < 1 << 28 {
        hasher.update_reader(opened).unwrap();
    }
    hasher.finalize()
}

fn collect(tree: &Path, directory: &Path, names: &mut Vec<PathBuf>) {
    let mut here: Vec<_> =
        fs::read_dir(tree.join(directory)).unwrap().map(|entry| entry.unwrap()).collect();
    here.sort_by_key(fs::DirEntry::file_name);
    for entry in here {
        let name = directory.join(entry.file_name());
        let kind = FileType::from_raw_mode(entry.metadata().unwrap().mode());
        if kind == FileType::Socket || entry.file_name() == "left-out" {
            continue;
        }
        names.push(name.clone());
        if kind == FileType::Directory {
            collect(tree, &name, names);
        }
    }
}

fn attributes_of(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 65536];
    let length = llistxattr(path, &mut names[..]).unwrap();
    let mut attributes = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 65536];
        let length = lgetxattr(path, name, &mut value[..]).unwrap();
        value.truncate(length);
        attributes.insert(String::from_utf8(name.to_vec()).unwrap(), value);
    }
    attributes
}

/// Compares name by name, so that a failure shows one difference and not two trees.
pub(crate) fn assert_same(expected: &Path, found: &Path) {
    let (expected, found) = (described(expected), described(found));
    for (name, description) in &expected {
        assert_eq!(Some(description), found.get(name), "{}", name.display());
    }
    assert_eq!(expected.len(), found.len());
}
