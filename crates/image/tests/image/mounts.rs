//! What is mounted in the tree of an image. As root only.
#![expect(clippy::disallowed_methods, reason = "a test may wait for a program")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use perilune_image::{CancelFlag, Error, Mounts, Parts, copy_tree};

use crate::trees::Bench;

/// File systems in memory, mounted at these places of a tree for as long as this lives.
struct Mounted(Vec<PathBuf>);

impl Mounted {
    fn at(tree: &Path, places: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not root: nothing is mounted, so mounts are not tried");
            return None;
        }
        let mut mounted = Self(Vec::new());
        for place in places {
            let place = tree.join(place);
            fs::create_dir_all(&place).unwrap();
            let words = ["-t", "tmpfs", "tmpfs"];
            assert!(Command::new("mount").args(words).arg(&place).status().unwrap().success());
            mounted.0.push(place);
        }
        Some(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for place in &self.0 {
            Command::new("umount").arg("--lazy").arg(place).status().ok();
        }
    }
}

#[test]
fn an_image_with_something_mounted_in_it_is_refused_unless_it_is_said_what_becomes_of_that() {
    let mut bench = Bench::new();
    bench.request.parts = Parts::Archive;
    let tree = bench.image.path().to_owned();
    let Some(_mounted) = Mounted::at(&tree, &["dev/shm", "srv/a", "srv/b c"]) else { return };
    for place in ["dev/shm/x", "srv/a/x", "srv/b c/x"] {
        fs::write(tree.join(place), vec![1; 5000]).unwrap();
    }
    let error = bench.pack().unwrap_err();
    assert!(matches!(error, Error::Mounted { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("/srv/a (tmpfs), /srv/b c (tmpfs)") && !text.contains("shm"), "{text}");
    assert_eq!(bench.names(), [""; 0]);

    bench.request.mounts = Mounts::LeaveOut;
    let without = bench.pack().unwrap();
    let told = without.warnings.join("; ");
    assert!(told.contains("/srv/a (tmpfs) is mounted") && !told.contains("shm"), "{told}");
    bench.request.mounts = Mounts::Include;
    let with = bench.pack().unwrap();
    assert_eq!(with.warnings, [""; 0]);
    let size = |packed: perilune_image::Packed| packed.archive.unwrap().unpacked_size;
    assert_eq!(size(with), size(without) + 10_000);
}

#[test]
fn a_copy_of_an_image_goes_by_the_same_rule() {
    let bench = Bench::new();
    let (tree, place) = (bench.image.path(), tempfile::tempdir().unwrap());
    let Some(_mounted) = Mounted::at(tree, &["proc", "srv/a"]) else { return };
    fs::write(tree.join("proc/x"), "running").unwrap();
    fs::write(tree.join("srv/a/x"), "mounted").unwrap();
    let copy = |name: &str, mounts| {
        let destination = place.path().join(name);
        let copied = copy_tree(tree, &destination, mounts, &mut |_| (), &CancelFlag::default());
        copied.map(|_notes| destination)
    };
    assert!(matches!(copy("refused", Mounts::Refuse), Err(Error::Mounted { .. })));
    assert!(!place.path().join("refused").exists());
    let without = copy("without", Mounts::LeaveOut).unwrap();
    assert!(without.join("srv/a").is_dir() && !without.join("srv/a/x").exists());
    let with = copy("with", Mounts::Include).unwrap();
    assert!(with.join("srv/a/x").exists() && !with.join("proc/x").exists());
}
