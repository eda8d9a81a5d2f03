//! Labels for SELinux. Those of the image come with its archive; what was written since has none, or those of where it was written.

use std::ffi::OsStr;

use anyhow::Result;

use crate::console::Console;
use crate::tool;
use crate::tree::{self, Tree};

const CONFIGURATION: &str = "etc/selinux/config";
/// Asks the system to label itself at its start, which takes a second start.
const LATER: &str = ".autorelabel";
/// The policy of a system that names none.
const USUAL: &str = "targeted";
const LABELLER: [&str; 2] = ["usr/sbin/setfiles", "sbin/setfiles"];

/// The policy by which the system of this root labels files: one that it has, and that is enforced or permissive. Whether the cluster
/// wants more security than that is another matter.
pub fn policy(tree: &Tree) -> Result<Option<String>, tree::Error> {
    let text = tree.read(CONFIGURATION)?;
    let values = |key: &'static str| {
        let values = text.lines().filter_map(move |line| line.trim().strip_prefix(key));
        values.filter_map(|rest| Some(rest.trim_start().strip_prefix('=')?.trim()))
    };
    // The system reads these words without regard to case, and what may follow them.
    let mode = values("SELINUX").find_map(|value| {
        let word = value.split(|c: char| !c.is_ascii_alphabetic()).next()?.to_ascii_lowercase();
        match word.as_str() {
            "enforcing" | "permissive" => Some(true),
            "disabled" => Some(false),
            _ => None,
        }
    });
    let mut policies = values("SELINUXTYPE").filter_map(|value| value.split_whitespace().next());
    let policy = policies.next_back().unwrap_or(USUAL);
    let is_name = !policy.starts_with('.') && !policy.contains('/');
    let labels = mode == Some(true) && is_name && tree.exists(contexts(policy));
    Ok(labels.then(|| policy.to_owned()))
}

/// Where a policy says which file has which label.
fn contexts(policy: &str) -> String {
    format!("etc/selinux/{policy}/contexts/files/file_contexts")
}

/// Labels the files of the root by its own policy, with the kernel's file systems mounted inside. What cannot be done now is left to
/// the system.
pub fn files(tree: &Tree, policy: &str, console: &Console) -> Result<(), tree::Error> {
    let contexts = format!("/{}", contexts(policy));
    let labeller = LABELLER.into_iter().find(|place| tree.exists(place));
    let labelled = match labeller {
        Some(labeller) => {
            let labeller = format!("/{labeller}");
            let words =
                [labeller.as_str(), "-F", "-e", "/proc", "-e", "/sys", "-e", "/dev", "-e", "/run"];
            let words = [tree.root().as_os_str()].into_iter().chain(words.map(OsStr::new));
            tool::run("chroot", words.chain([OsStr::new(&contexts), OsStr::new("/")]))
                .map_err(|error| error.to_string())
        }
        None => Err("the image has no setfiles".to_owned()),
    };
    match labelled {
        Ok(_) => console.line("files have their labels for SELinux"),
        Err(reason) => {
            console.warning(&format!(
                "files could not be labelled for SELinux, so the system does it at its start: {reason}"
            ));
            tree.write(LATER, "", 0o644)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::tests::Memory;

    fn tree(configuration: &str) -> (tempfile::TempDir, Tree) {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::new(directory.path());
        tree.write(CONFIGURATION, configuration, 0o644).unwrap();
        (directory, tree)
    }

    #[test]
    fn a_system_says_whether_it_labels_and_by_which_policy() {
        for (configuration, expected) in [
            ("# a comment\nSELINUX=enforcing\nSELINUXTYPE=targeted\n", Some("targeted")),
            ("SELINUXTYPE = mls\n SELINUX = permissive\n", Some("mls")),
            ("SELINUX=Enforcing # by the site\nSELINUXTYPE=targeted   \n", Some("targeted")),
            ("SELINUX=permissive\n", Some("targeted")),
            ("SELINUX=disabled\nSELINUXTYPE=targeted\n", None),
            ("#SELINUX=enforcing\nSELINUXTYPE=targeted\n", None),
            ("SELINUX=enforcing\nSELINUXTYPE=minimum\n", None),
            ("SELINUX=enforcing\nSELINUXTYPE=../../etc\n", None),
            ("", None),
        ] {
            let (_directory, tree) = tree(configuration);
            for policy in ["targeted", "mls"] {
                tree.write(contexts(policy), "", 0o644).unwrap();
            }
            assert_eq!(policy(&tree).unwrap().as_deref(), expected, "{configuration}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(policy(&Tree::new(empty.path())).unwrap(), None);
    }

    #[test]
    fn without_a_program_for_it_the_system_labels_itself_later() {
        let (_directory, tree) = tree("SELINUX=enforcing\nSELINUXTYPE=targeted\n");
        let memory = Memory::default();
        files(&tree, "targeted", &Console::new(memory.clone())).unwrap();
        assert!(tree.exists(LATER));
        assert!(memory.text().contains("the image has no setfiles"));
    }
}
