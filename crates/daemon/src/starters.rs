//! The programs that start a node's own disk: GRUB with a configuration of ours, made from the distribution's packages. Boot scripts
//! have machines fetch them by `/files`. A file of such a name that the site has put there itself stays.

mod make;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perilune_model::Cluster;
use perilune_model::effective::Effective;
use perilune_model::provisioning::InstallPolicy;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::state::State;
use make::{Parts, parts};

/// How long changes of the cluster are gathered before it is asked again what its nodes need.
const GATHERED: Duration = Duration::from_secs(1);
/// Packages that are installed later are found this much later at most.
const EVERY: Duration = Duration::from_mins(1);
/// Where it is written down, in the data directory, which files are ours.
const RECORD: &str = "starters.json";

/// A program that starts a node's own disk.
#[derive(Debug)]
pub(crate) struct Starter {
    /// The file's name, as boot scripts say it.
    pub(crate) file: &'static str,
    /// The platform, as GRUB calls it.
    target: &'static str,
    /// What cannot start from a disk without it.
    machines: &'static str,
    /// GRUB's own modules for the platform, beside those for all.
    modules: &'static [&'static str],
    /// The packages of Debian and Enterprise Linux.
    packages: &'static str,
}

/// All of them.
pub(crate) const STARTERS: [Starter; 3] = [
    Starter {
        // Existing boot templates know this name.
        file: "grub2_efi_autofind.img",
        target: "x86_64-efi",
        machines: "machines that boot by UEFI cannot start from their disks",
        modules: &["efinet"],
        packages: "grub-common and grub-efi-amd64-bin (Debian, Ubuntu), or grub2-tools-minimal and grub2-efi-x64-modules (EL)",
    },
    Starter {
        file: "grub2_efi_autofind_arm64.img",
        target: "arm64-efi",
        machines: "arm64 machines cannot start from their disks",
        modules: &["efinet"],
        packages: "grub-common and grub-efi-arm64-bin (Debian, Ubuntu), or grub2-tools-minimal and grub2-efi-aa64-modules (EL)",
    },
    Starter {
        file: "grub2_pc_autofind.img",
        target: "i386-pc",
        machines: "machines that boot by BIOS start their first disk, whichever was installed",
        modules: &["biosdisk", "pxe"],
        packages: "grub-common and grub-pc-bin (Debian, Ubuntu), or grub2-tools-minimal and grub2-pc-modules (EL)",
    },
];

/// What is known of a file that was made here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    /// What it was made from.
    recipe: String,
    /// The digests by which it is known again: two while one replaces the other.
    digests: Vec<String>,
}

type Record = BTreeMap<String, Made>;

/// Makes what nodes need and is missing or old, until `stop` is cancelled. A site without nodes that start from their disks pays nothing.
pub(crate) async fn follow(state: State, stop: CancellationToken) {
    let mut said = BTreeSet::new();
    let mut changes = state.cluster.subscribe();
    loop {
        let cluster = std::sync::Arc::clone(&changes.borrow_and_update());
        let needed = needed(&cluster, &state.settings.image_directory);
        let images = cluster.images().values();
        let trees: Vec<PathBuf> =
            images.map(|image| image.tree(&state.settings.image_directory)).collect();
        for starter in STARTERS.iter().filter(|starter| needed.contains(starter.target)) {
            let (data, files) = (&state.settings.data_dir, &state.settings.image_files);
            match ensure(starter, data, files, &trees).await {
                Ok(true) => tracing::info!(
                    file = starter.file,
                    "a program that starts nodes' disks was made"
                ),
                Ok(false) => {}
                // Once for each reason: it is tried again and again.
                Err(reason) => {
                    if said.insert((starter.file, reason.clone())) {
                        tracing::warn!(
                            file = starter.file,
                            reason,
                            "a program that starts nodes' disks cannot be made"
                        );
                    }
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
            _ = changes.changed() => {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(GATHERED) => {}
                }
            }
        }
    }
}

/// What cannot start from its disk for want of a file, and what to do. Only for what the cluster has.
pub(crate) fn missing(cluster: &Cluster, files: &Path, images: &Path) -> Vec<String> {
    let needed = needed(cluster, images);
    let missing = STARTERS.iter().filter(|starter| needed.contains(starter.target));
    let missing = missing.filter(|starter| !files.join(starter.file).is_file());
    missing
        .map(|Starter { file, machines, packages, .. }| {
            format!(
                "the file {file} is not in {}, and cannot be made: {machines}. Install {packages} on this machine (the modules may also be \
                 in an image); it is made within a minute",
                files.display()
            )
        })
        .collect()
}

/// The platforms of nodes that may start from their disks. What a machine's firmware is, nobody knows beforehand.
fn needed(cluster: &Cluster, images: &Path) -> BTreeSet<&'static str> {
    let mut trees = BTreeSet::new();
    for node in cluster.nodes().values() {
        let effective = Effective::of_node(cluster, node);
        let policy = effective.install_policy().value;
        let starts_from_disk = !effective.netboot().value
            || matches!(policy, Some(InstallPolicy::Once | InstallPolicy::Never));
        if starts_from_disk {
            trees.insert(effective.image().map(|image| image.tree(images)));
        }
    }
    let targets = trees.into_iter().flat_map(|tree| {
        let is_arm64 = tree.is_some_and(|tree| is_arm64(&tree));
        if is_arm64 { vec!["arm64-efi"] } else { vec!["x86_64-efi", "i386-pc"] }
    });
    targets.collect()
}

fn is_arm64(tree: &Path) -> bool {
    tree.join("usr/lib/ld-linux-aarch64.so.1").exists()
        || tree.join("lib/ld-linux-aarch64.so.1").exists()
}

/// Answers whether the file was made now. Without the packages it is not, and that is no failure.
async fn ensure(
    starter: &Starter,
    data: &Path,
    files: &Path,
    trees: &[PathBuf],
) -> Result<bool, String> {
    let (place, record_file) = (files.join(starter.file), data.join(RECORD));
    let mut record = read(&record_file);
    let known = record.get(starter.file).cloned().unwrap_or_default();
    let is_there = match fs::read(&place) {
        Ok(bytes) if known.digests.contains(&digest(&bytes)) => true,
        // The site's own.
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(format!("{} cannot be read: {error}", place.display())),
    };
    let Some(parts) = parts(starter, trees) else { return Ok(false) };
    let recipe = recipe(starter, &parts);
    if is_there && known.recipe == recipe {
        return Ok(false);
    }
    let bytes = make::make(starter, &parts).await?;
    let new = digest(&bytes);
    // A kill between these steps must not make a file of ours look like the site's own.
    let replaced =
        Made { recipe: String::new(), digests: [known.digests, vec![new.clone()]].concat() };
    record.insert(starter.file.to_owned(), replaced);
    write(&record_file, &record)?;
    put(&place, &bytes)?;
    record.insert(starter.file.to_owned(), Made { recipe, digests: vec![new] });
    write(&record_file, &record)?;
    Ok(true)
}

/// Changes with whatever the program is made from.
fn recipe(starter: &Starter, parts: &Parts) -> String {
    let of_file = |path: &Path| {
        let changed = fs::metadata(path).and_then(|found| found.modified()).ok();
        format!("{} {changed:?}\n", path.display())
    };
    let mut text = of_file(&parts.program) + &of_file(&parts.modules.join("moddep.lst"));
    text += &make::modules(starter, &parts.modules).join(" ");
    digest((text + make::CONFIGURATION).as_bytes())
}

fn read(file: &Path) -> Record {
    let text = fs::read(file).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn write(file: &Path, record: &Record) -> Result<(), String> {
    let text = serde_json::to_vec_pretty(record).map_err(|error| error.to_string())?;
    put(file, &text)
}

/// Puts a file in its place as a whole.
fn put(place: &Path, bytes: &[u8]) -> Result<(), String> {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    let put = || -> io::Result<()> {
        let directory = place.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::Builder::new().prefix(".starter-").tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(place)?;
        Ok(())
    };
    put().map_err(|error| format!("{} cannot be written: {error}", place.display()))
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GRUB for UEFI, where this machine has it.
    fn starter() -> Option<&'static Starter> {
        let [efi, ..] = &STARTERS;
        let able = parts(efi, &[]).is_some();
        assert!(able || std::env::var_os("CI").is_none(), "this test needs {}", efi.packages);
        able.then_some(efi)
    }

    #[tokio::test]
    async fn grub_itself_reads_the_configuration() {
        let checker = ["/usr/bin/grub-script-check", "/usr/bin/grub2-script-check"]
            .into_iter()
            .find(|program| Path::new(program).is_file());
        assert!(checker.is_some() || std::env::var_os("CI").is_none(), "this test needs GRUB");
        let Some(checker) = checker else { return };
        let file = tempfile::NamedTempFile::new().unwrap();
        // The last is what a shell would take, and GRUB does not.
        for (text, is_right) in
            [(make::CONFIGURATION, true), ("if chainloader (hd0)+1 && boot; then\nfi\n", false)]
        {
            fs::write(file.path(), text).unwrap();
            let said = tokio::process::Command::new(checker).arg(file.path()).output().await;
            let said = said.unwrap();
            let errors = String::from_utf8_lossy(&said.stderr);
            assert_eq!(said.status.success(), is_right, "{text}: {errors}");
        }
    }

    #[tokio::test]
    async fn a_program_is_made_once_and_a_file_of_the_site_stays() {
        let Some(starter) = starter() else { return };
        let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ensure = || ensure(starter, data.path(), files.path(), &[]);
        let place = files.path().join(starter.file);
        assert_eq!(ensure().await, Ok(true));
        let made = fs::read(&place).unwrap();
        assert!(made.starts_with(b"MZ"), "it is a program for UEFI");
        assert_eq!(ensure().await, Ok(false));
        assert_eq!(fs::read_dir(files.path()).unwrap().count(), 1, "no litter");
        fs::remove_file(&place).unwrap();
        assert_eq!(ensure().await, Ok(true));
        fs::write(&place, "the site's own").unwrap();
        assert_eq!(ensure().await, Ok(false));
        assert_eq!(fs::read(&place).unwrap(), b"the site's own");
    }

    #[tokio::test]
    async fn a_kill_while_it_is_replaced_leaves_it_ours() {
        let Some(starter) = starter() else { return };
        let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let place = files.path().join(starter.file);
        for content in ["old", "new"] {
            let digests = ["old", "new"].map(|text| digest(text.as_bytes())).to_vec();
            let made = Made { recipe: String::new(), digests };
            let record = Record::from([(starter.file.to_owned(), made)]);
            write(&data.path().join(RECORD), &record).unwrap();
            fs::write(&place, content).unwrap();
            assert_eq!(ensure(starter, data.path(), files.path(), &[]).await, Ok(true));
            assert!(fs::read(&place).unwrap().starts_with(b"MZ"));
        }
    }
}
