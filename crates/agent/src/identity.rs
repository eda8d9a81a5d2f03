//! What the node's system is known by: written over whatever the image brought along, which every node with that image would share.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use perilune_plan::{HostKey, Identity, Secret, nvme_host_name};

use crate::console::Console;
use crate::tree::{self, Tree};

const SSH: &str = "etc/ssh";
/// The algorithms that files of host keys are named after; `ed25519` first, since no other word is in it.
const ALGORITHMS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];
/// Where systems keep chance for their next start. What an image has there, all of its nodes would begin with.
const SEEDS: [&str; 3] =
    ["var/lib/systemd/random-seed", "var/lib/urandom/random-seed", "var/lib/random-seed"];
/// As much as the kernel's pool takes.
const SEED_LENGTH: usize = 512;

/// Writes the identity into the tree, for the programs that the tree has. A file that a secret of the site brings is the secret's.
pub fn write(
    tree: &Tree,
    identity: &Identity,
    secrets: &[Secret],
    console: &Console,
) -> Result<()> {
    tree.write("etc/machine-id", format!("{}\n", identity.machine_id), 0o444)?;
    if tree.exists("var/lib/dbus") {
        tree.link("var/lib/dbus/machine-id", "/etc/machine-id")?;
    }
    if tree.exists("etc/iscsi") {
        let text = format!("InitiatorName={}\n", identity.initiator);
        tree.write("etc/iscsi/initiatorname.iscsi", text, 0o600)?;
    }
    if tree.exists("etc/nvme") || tree.exists("usr/sbin/nvme") {
        let uuid = &identity.host_uuid;
        tree.write("etc/nvme/hostid", format!("{uuid}\n"), 0o644)?;
        tree.write("etc/nvme/hostnqn", format!("{}\n", nvme_host_name(uuid)), 0o644)?;
    }
    write_host_keys(tree, &identity.ssh_host_keys, secrets, console)
}

/// Gives the tree chance of its own to start with, and takes away what the image had.
pub fn renew_random_seed(tree: &Tree) -> Result<()> {
    for seed in SEEDS {
        remove(tree, seed)?;
    }
    if tree.exists("var/lib/systemd") {
        let mut bytes = [0; SEED_LENGTH];
        let read = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        read.context("the kernel gives no random numbers")?;
        tree.write(SEEDS[0], bytes, 0o600)?;
    }
    Ok(())
}

fn write_host_keys(
    tree: &Tree,
    keys: &[HostKey],
    secrets: &[Secret],
    console: &Console,
) -> Result<()> {
    if !tree.exists("usr/sbin/sshd") && !tree.exists("etc/ssh/sshd_config") {
        return Ok(());
    }
    let wanted = wanted(tree)?;
    let is_secret = |path: &Path| {
        let plain = |path: &Path| path.strip_prefix("/").unwrap_or(path).to_owned();
        secrets.iter().any(|secret| plain(Path::new(&secret.path)) == plain(path))
    };
    for name in left_behind(tree) {
        remove(tree, Path::new(SSH).join(name))?;
    }
    let group = group_of_keys(tree)?;
    let mut written = Vec::new();
    for path in wanted.iter().filter(|path| !is_secret(path)) {
        let Some(key) = keys.iter().find(|key| algorithm(path) == Some(key.algorithm.as_str()))
        else {
            continue;
        };
        tree.write(path, &key.private, if group.is_some() { 0o640 } else { 0o600 })?;
        if group.is_some() {
            let place = tree.place(path);
            chown(&place, None, group)
                .with_context(|| format!("cannot give {} to its group", path.display()))?;
        }
        let mut public = path.clone().into_os_string();
        public.push(".pub");
        tree.write(PathBuf::from(public), format!("{}\n", key.public), 0o644)?;
        written.push(key.algorithm.as_str());
    }
    if !written.is_empty() {
        console.line(&format!("SSH host keys of the node: {}", written.join(", ")));
    }
    Ok(())
}

/// The private keys that the image's `sshd` reads: those that its configuration names, else the usual ones (`sshd_config`(5)).
fn wanted(tree: &Tree) -> Result<Vec<PathBuf>, tree::Error> {
    let mut named = Vec::new();
    for file in configuration(tree) {
        for line in tree.read(&file)?.lines() {
            let mut words = line.split(|c: char| c.is_whitespace() || c == '=');
            let is_key = words.next().is_some_and(|word| word.eq_ignore_ascii_case("HostKey"));
            let path = words.find(|word| !word.is_empty()).map(|path| path.trim_matches('"'));
            named.extend(path.filter(|_| is_key).map(PathBuf::from));
        }
    }
    named.retain(|path| path.is_absolute());
    if !named.is_empty() {
        return Ok(named);
    }
    let usual = |algorithm| PathBuf::from(format!("/{SSH}/ssh_host_{algorithm}_key"));
    Ok(ALGORITHMS.map(usual).to_vec())
}

fn configuration(tree: &Tree) -> Vec<PathBuf> {
    let directory = Path::new(SSH).join("sshd_config.d");
    let mut files: Vec<PathBuf> = names(tree, &directory)
        .into_iter()
        .filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "conf"))
        .map(|name| directory.join(name))
        .collect();
    files.push(Path::new(SSH).join("sshd_config"));
    files
}

fn algorithm(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    ALGORITHMS.into_iter().find(|algorithm| name.contains(algorithm))
}

/// Host keys that the image has.
fn left_behind(tree: &Tree) -> Vec<String> {
    let mut names = names(tree, Path::new(SSH));
    names.retain(|name| {
        let name = name.strip_suffix(".pub").unwrap_or(name);
        name.starts_with("ssh_host_") && name.ends_with("_key")
    });
    names
}

fn names(tree: &Tree, directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(tree.place(directory)).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Enterprise Linux up to 9 gives host keys to a group, by which `ssh-keysign` reads them for authentication by host.
fn group_of_keys(tree: &Tree) -> Result<Option<u32>, tree::Error> {
    let groups = tree.read("etc/group")?;
    let line = groups.lines().find_map(|line| line.strip_prefix("ssh_keys:"));
    Ok(line.and_then(|line| line.split(':').nth(1)?.parse().ok()))
}

fn remove(tree: &Tree, path: impl AsRef<Path>) -> Result<()> {
    let place = tree.beside(path.as_ref());
    match fs::remove_file(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.as_ref().display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::console::tests::Memory;

    fn identity() -> Identity {
        let key = |algorithm: &str| HostKey {
            algorithm: algorithm.to_owned(),
            public: format!("public {algorithm}"),
            private: format!("private {algorithm}"),
        };
        Identity {
            machine_id: "0123456789abcdef0123456789abcdef".to_owned(),
            host_uuid: "00000000-0000-4000-8000-000000000001".to_owned(),
            initiator: "iqn.2016-04.com.open-iscsi:0001".to_owned(),
            ssh_host_keys: ALGORITHMS.map(key).to_vec(),
        }
    }

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::new(directory.path());
        for (path, text) in files {
            tree.write(path, text, 0o644).unwrap();
        }
        (directory, tree)
    }

    fn write(tree: &Tree, secrets: &[Secret]) -> String {
        let memory = Memory::default();
        super::write(tree, &identity(), secrets, &Console::new(memory.clone())).unwrap();
        memory.text()
    }

    fn mode(tree: &Tree, path: &str) -> u32 {
        fs::metadata(tree.place(path)).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_node_has_its_own_keys_and_numbers_and_nothing_of_the_images() {
        let (_directory, tree) = tree(&[
            ("etc/ssh/sshd_config", "#HostKey /etc/ssh/other\nPort 22\n"),
            ("etc/ssh/ssh_host_dsa_key", "of the image"),
            ("etc/ssh/ssh_host_rsa_key", "of the image"),
            ("etc/ssh/ssh_host_rsa_key.pub", "of the image"),
            ("etc/machine-id", "of the image"),
            ("var/lib/dbus/machine-id", "of the image"),
            ("etc/iscsi/iscsid.conf", ""),
            ("etc/nvme/hostnqn", "of the image"),
            ("var/lib/systemd/random-seed", "of the image"),
            ("var/lib/urandom/random-seed", "of the image"),
        ]);
        let said = write(&tree, &[]);
        renew_random_seed(&tree).unwrap();
        assert!(said.contains("SSH host keys of the node: ed25519, ecdsa, rsa"), "{said}");
        for algorithm in ALGORITHMS {
            let path = format!("etc/ssh/ssh_host_{algorithm}_key");
            assert_eq!(tree.read(&path).unwrap(), format!("private {algorithm}"));
            assert_eq!((mode(&tree, &path), mode(&tree, &format!("{path}.pub"))), (0o600, 0o644));
        }
        assert!(!tree.exists("etc/ssh/ssh_host_dsa_key"));
        assert_eq!(tree.read("etc/machine-id").unwrap(), "0123456789abcdef0123456789abcdef\n");
        assert_eq!(
            tree.read("var/lib/dbus/machine-id").unwrap(),
            tree.read("etc/machine-id").unwrap()
        );
        assert_eq!(
            tree.read("etc/iscsi/initiatorname.iscsi").unwrap(),
            "InitiatorName=iqn.2016-04.com.open-iscsi:0001\n"
        );
        assert_eq!(
            tree.read("etc/nvme/hostnqn").unwrap(),
            "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-4000-8000-000000000001\n"
        );
        let seed = fs::read(tree.place(SEEDS[0])).unwrap();
        assert_eq!((seed.len(), mode(&tree, SEEDS[0])), (SEED_LENGTH, 0o600));
        assert!(!tree.exists(SEEDS[1]));
        renew_random_seed(&tree).unwrap();
        assert_ne!(fs::read(tree.place(SEEDS[0])).unwrap(), seed, "another one at each boot");
    }

    #[test]
    fn an_image_without_a_program_gets_no_files_for_it() {
        let (_directory, tree) = tree(&[("etc/hostname", "")]);
        write(&tree, &[]);
        for path in ["etc/ssh", "etc/iscsi", "etc/nvme", "var/lib/dbus"] {
            assert!(!tree.exists(path), "{path}");
        }
    }

    #[test]
    fn keys_are_where_sshd_looks_for_them() {
        let (_directory, tree) = tree(&[
            ("etc/ssh/sshd_config", "hostkey /etc/ssh/ssh_host_ed25519_key\n"),
            ("etc/ssh/sshd_config.d/10.conf", "HostKey=\"/var/keys/my_rsa\"\nHostKey /x/unknown\n"),
        ]);
        write(&tree, &[]);
        assert_eq!(tree.read("var/keys/my_rsa").unwrap(), "private rsa");
        assert!(tree.exists("etc/ssh/ssh_host_ed25519_key"));
        assert!(!tree.exists("etc/ssh/ssh_host_ecdsa_key") && !tree.exists("x/unknown"));
    }

    #[test]
    fn a_key_that_is_a_secret_of_the_site_stays_that() {
        let (_directory, tree) = tree(&[("etc/ssh/sshd_config", "")]);
        let path = "/etc/ssh/ssh_host_rsa_key".to_owned();
        write(
            &tree,
            &[Secret {
                name: "key".to_owned(),
                content: String::new(),
                path,
                owner: None,
                mode: None,
            }],
        );
        // Beside another private key sshd would not take it.
        assert!(!tree.exists("etc/ssh/ssh_host_rsa_key.pub"));
        assert!(tree.exists("etc/ssh/ssh_host_ed25519_key"));
    }

    #[test]
    fn the_group_of_keys_may_read_them_where_there_is_one() {
        let own = rustix::process::getgid().as_raw();
        let group = format!("root:x:0:\nssh_keys:x:{own}:\n");
        let (_directory, tree) = tree(&[("etc/ssh/sshd_config", ""), ("etc/group", &group)]);
        write(&tree, &[]);
        let path = "etc/ssh/ssh_host_rsa_key";
        assert_eq!(mode(&tree, path), 0o640);
        assert_eq!(fs::metadata(tree.place(path)).unwrap().gid(), own);
    }
}
