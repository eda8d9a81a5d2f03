//! What of one machine is left in an image: every node would have it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::tree::Tree;

/// A kind of identity, and where a system keeps it. A last name may end with a `*`.
struct Kind {
    what: &'static str,
    places: &'static [&'static str],
}

const KINDS: [Kind; 6] = [
    Kind { what: "a machine id", places: &["etc/machine-id", "var/lib/dbus/machine-id"] },
    Kind { what: "host keys of ssh", places: &["etc/ssh/ssh_host_*"] },
    Kind { what: "an iSCSI initiator name", places: &["etc/iscsi/initiatorname.iscsi"] },
    Kind { what: "an NVMe host id", places: &["etc/nvme/hostid", "etc/nvme/hostnqn"] },
    Kind {
        what: "a random seed",
        places: &[
            "var/lib/systemd/random-seed",
            "var/lib/random-seed",
            "var/lib/urandom/random-seed",
            "boot/loader/random-seed",
            "boot/efi/loader/random-seed",
            "efi/loader/random-seed",
        ],
    },
    Kind { what: "a key for credentials", places: &["var/lib/systemd/credential.secret"] },
];

/// The places of identities, as patterns from the root of a tree that `rsync` reads: who copies a running machine leaves them out.
pub fn identity_patterns() -> impl Iterator<Item = String> {
    KINDS.iter().flat_map(|kind| kind.places).map(|place| format!("/{place}"))
}

/// Sentences about the identities in the tree.
pub(crate) fn left_in(tree: &Tree) -> Vec<String> {
    KINDS.iter().filter_map(|kind| told(tree, kind)).collect()
}

fn told(tree: &Tree, kind: &Kind) -> Option<String> {
    let found: Vec<PathBuf> =
        kind.places.iter().flat_map(|place| files(tree, Path::new(place))).collect();
    let names: Vec<String> = found
        .iter()
        .filter(|place| says_something(tree, place))
        .map(|place| format!("/{}", place.display()))
        .collect();
    if names.is_empty() {
        return None;
    }
    let how = if kind.what == "a machine id" { "empty it" } else { "remove it" };
    Some(format!(
        "the image has {} of one machine, which every node would have: {}; {how} in the image",
        kind.what,
        names.join(", ")
    ))
}

/// The files of the tree that a place means. A link to another of them is none of its own.
fn files(tree: &Tree, place: &Path) -> Vec<PathBuf> {
    let name = place.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(start) = name.strip_suffix('*') else { return vec![place.to_owned()] };
    let directory = place.parent().unwrap_or(Path::new(""));
    let entries = tree.directory(directory).and_then(|found| fs::read_dir(found).ok());
    let names = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<PathBuf> =
        names.filter(|name| name.starts_with(start)).map(|name| directory.join(name)).collect();
    found.sort();
    found
}

/// Whether a file names a machine: packages leave files behind that only say that a name is to be made.
fn says_something(tree: &Tree, place: &Path) -> bool {
    let Some(file) = tree.file(place) else { return false };
    let is_link =
        fs::symlink_metadata(tree.full(place)).is_ok_and(|metadata| metadata.is_symlink());
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    if place.ends_with("initiatorname.iscsi") {
        return lines.any(|line| {
            line.split_once('=')
                .is_some_and(|(key, name)| key.trim() == "InitiatorName" && !name.trim().is_empty())
        });
    }
    if place.ends_with("machine-id") {
        return !is_link && lines.any(|line| line != "uninitialized");
    }
    !text.is_empty()
}
