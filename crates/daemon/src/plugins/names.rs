//! Where a plugin is looked for, and whether one may run as root.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Files that come with every existing site, and do what is done here, or nothing.
const DELIVERED: [&str; 24] = [
    "boot/detection/switchport.py",
    "boot/detection/cloud.py",
    "boot/detection/default.py",
    "boot/provision/default.py",
    "boot/provision/http.py",
    "boot/provision/kickstart.py",
    "boot/provision/torrent.py",
    "control/default.py",
    "control/dell.py",
    "hooks/control/default.py",
    "hooks/luna/default.py",
    "hooks/monitor/default.py",
    "hooks/monitor/node.py",
    "osimage/operations/image/default.py",
    "osimage/operations/image/ubuntu.py",
    "osimage/operations/osgrab/default.py",
    "osimage/operations/ospush/default.py",
    "osimage/filesystem/default.py",
    "osimage/other/cleanup.py",
    "osuser/obol.py",
    "export/default.py",
    "import/default.py",
    "hooks/default.py",
    "hooks/config/default.py",
];

/// Whether a file, by its path below the plugins' directory, has the name of one that came with the former daemon.
pub(crate) fn is_delivered(file: &str) -> bool {
    DELIVERED.contains(&file)
}

/// Names that may stand for each other, the nearest first, then `default`.
pub(crate) fn each<'a>(keys: impl IntoIterator<Item = Option<&'a str>>) -> Vec<String> {
    let keys = keys.into_iter().flatten().filter(|key| is_plain(key));
    keys.chain(["default"]).map(str::to_owned).collect()
}

/// Names of a distribution and its release: `redhat9`, `redhat/9`, `redhat/default`, `redhat`, `default`.
pub(crate) fn of_release(distribution: Option<&str>, release: Option<&str>) -> Vec<String> {
    let mut names = Vec::new();
    if let Some(one) = distribution.filter(|one| is_plain(one)) {
        if let Some(two) = release.filter(|two| is_plain(two)) {
            names.extend([format!("{one}{two}"), format!("{one}/{two}")]);
        }
        names.extend([format!("{one}/default"), one.to_owned()]);
    }
    names.push("default".to_owned());
    names
}

/// Texts of the cluster become names of files: none leads elsewhere.
pub(crate) fn is_plain(key: &str) -> bool {
    !key.is_empty() && !key.starts_with('.') && !key.contains(['/', '\0'])
}

/// Bits of a mode: that the group and others may write, and that in a directory they may change only what is theirs.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Nobody but root, or whom the daemon runs as, can write what runs as root: the file, and the directories up to that of the plugins.
pub(super) fn check_owners(file: &Path, top: &Path) -> Result<(), String> {
    let own = rustix::process::geteuid().as_raw();
    for path in file.ancestors().take_while(|path| path.starts_with(top)) {
        // A link is judged by what it leads to.
        let metadata =
            std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        // Where everybody may add things and take away only his own, what is there stays.
        let is_shared = metadata.is_dir() && metadata.mode() & STICKY != 0;
        let is_safe = [0, own].contains(&metadata.uid())
            && (is_shared || metadata.mode() & WRITABLE_BY_OTHERS == 0);
        if !is_safe {
            return Err(format!(
                "it would run as root, and others than root can write {}; chown it to root, and chmod go-w",
                path.display()
            ));
        }
    }
    Ok(())
}
