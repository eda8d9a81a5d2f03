//! Network configuration that an image brings along: of the machine that it was captured from, or of its distribution's installer. It
//! would configure our interfaces a second time, or others that the cluster does not describe. It is put aside, and not lost.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::file::File;
use super::ifupdown;
use super::kind::Kind;
use crate::console::Console;
use crate::tree::{self, Tree};

/// Where it is put, under the path that it had.
const PLACE: &str = "etc/perilune/parked";
/// A file with this in it stays where it is.
const KEEP: &str = "perilune: keep";
/// More names than this are only counted.
const SHOWN: usize = 5;
const INTERFACES: &str = "etc/network/interfaces";

type IsConfiguration = fn(&str) -> bool;
/// A directory, and what in it configures a network.
const PLACES: [(&str, IsConfiguration); 7] = [
    ("etc/NetworkManager/system-connections", |_| true),
    ("etc/systemd/network", |name| ends(name, &["network", "netdev", "link"])),
    ("etc/netplan", |name| ends(name, &["yaml", "yml"])),
    ("etc/network/interfaces.d", |_| true),
    ("etc/sysconfig/network-scripts", |name| {
        begins(name, &["ifcfg-", "route-", "route6-", "rule-"])
    }),
    ("etc/sysconfig/network", |name| name == "routes" || begins(name, &["ifcfg-", "ifroute-"])),
    ("etc/udev/rules.d", |name| name == "70-persistent-net.rules"),
];
const CLOUD: &str = "etc/cloud";
const CLOUD_OFF: &str = "etc/cloud/cloud.cfg.d/99-perilune-network.cfg";

fn ends(name: &str, extensions: &[&str]) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str).unwrap_or_default();
    extensions.contains(&extension)
}

fn begins(name: &str, starts: &[&str]) -> bool {
    name != "ifcfg-lo" && starts.iter().any(|start| name.starts_with(start))
}

/// Puts aside what would work against the files that are written.
pub(super) fn park(
    tree: &Tree,
    kind: Kind,
    written: &[File],
    console: &Console,
) -> Result<(), tree::Error> {
    let mut parked: Vec<PathBuf> = Vec::new();
    for (directory, is_configuration) in PLACES {
        for name in names(tree, directory) {
            let path = Path::new(directory).join(&name);
            let is_ours = written.iter().any(|file| Path::new(&file.path) == path);
            if !is_ours && is_configuration(&name) && is_in_the_way(tree, &path)? {
                tree.rename(&path, Path::new(PLACE).join(&path))?;
                parked.push(path);
            }
        }
    }
    if kind != Kind::Ifupdown
        && tree.exists(INTERFACES)
        && is_in_the_way(tree, Path::new(INTERFACES))?
    {
        tree.rename(INTERFACES, Path::new(PLACE).join(INTERFACES))?;
        tree.write(INTERFACES, ifupdown::LOOPBACK, 0o644)?;
        parked.push(INTERFACES.into());
    }
    if tree.exists(CLOUD) {
        // It would write its own at the first boot of what it takes for a new machine.
        tree.write(CLOUD_OFF, "network: {config: disabled}\n", 0o644)?;
    }
    if !parked.is_empty() {
        let shown: Vec<String> =
            parked.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
        let more = parked.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        console.line(&format!(
            "the image's own network configuration is now below /{PLACE}: {}{more}",
            shown.join(", ")
        ));
    }
    Ok(())
}

/// The files of a directory, in the order of their names.
fn names(tree: &Tree, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(tree.place(directory)).into_iter().flatten().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
    let mut names: Vec<String> =
        files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn is_in_the_way(tree: &Tree, path: &Path) -> Result<bool, tree::Error> {
    let text = tree.read(path)?;
    if text.contains(KEEP) {
        return Ok(false);
    }
    // How a site wants all cards to be named is its choice; the address of one card is not every node's.
    let is_link = path.extension() == Some(OsStr::new("link"));
    Ok(!is_link || text.contains("MACAddress="))
}
