//! The file that a distribution's own installer reads.

use perilune_model::group::DEFAULT_POSTSCRIPT;
use serde::Serialize;

use super::{InstallContext, choice, with_words};
use crate::Error;
use crate::templates::{Composition, Templates, decode_if_encoded};

/// Commands that say which disks are emptied and how they are used, but for `mount`, which is a program, too.
const STORAGE: [&str; 20] = [
    "%include",
    "%ksappend",
    "autopart",
    "bootloader",
    "btrfs",
    "clearpart",
    "fcoe",
    "ignoredisk",
    "iscsi",
    "iscsiname",
    "logvol",
    "nvdimm",
    "part",
    "partition",
    "raid",
    "reqpart",
    "snapshot",
    "volgroup",
    "zerombr",
    "zfcp",
];
/// Those that lay out a file system; without one the installer would ask somebody.
const LAYOUTS: [&str; 8] =
    ["autopart", "btrfs", "logvol", "mount", "part", "partition", "raid", "volgroup"];
/// Options that only kickstart's `mount` has.
const MOUNT_OPTIONS: [&str; 4] = ["--reformat", "--mkfsoptions", "--mountoptions", "--passphrase"];
/// What begins a section, which lasts until `%end`.
const SECTIONS: [&str; 5] = ["%pre", "%pre-install", "%post", "%addon", "%onerror"];

/// Variables of `templ_install_kickstart.cfg`.
#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct KickstartContext {
    #[serde(flatten)]
    install: InstallContext,
    /// The partscript, when it is commands of kickstart; empty when it is a shell script.
    luna_disk_commands: String,
}

pub(crate) fn render(templates: &Templates, context: &InstallContext) -> Result<String, Error> {
    let composition = Composition::kickstart(templates.directories(), choice(context));
    let mut install = with_words(context);
    let partscript = decode_if_encoded(&install.luna_partscript);
    // What a new group says makes a root in memory, which this installer does not have.
    if makes_memory_root(&partscript) {
        install.luna_partscript.clear();
    }
    if install.luna_postscript == DEFAULT_POSTSCRIPT {
        install.luna_postscript.clear();
    }
    let luna_disk_commands = disk_commands(&partscript).unwrap_or_default();
    templates.render(&composition.name(), KickstartContext { install, luna_disk_commands })
}

/// Whether a partscript does nothing but mount a file system in memory.
fn makes_memory_root(script: &str) -> bool {
    let lines = script.lines().map(str::trim);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
    let mounts = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.first() == Some(&"mount") && words.contains(&"tmpfs")
    };
    lines.peek().is_some() && lines.all(|line| mounts(line) || line.starts_with("mkdir "))
}

/// A partscript whose lines are all commands of kickstart, with what it needs besides; nothing where it is a shell script, or empty.
fn disk_commands(script: &str) -> Option<String> {
    let mut commands = Vec::new();
    let mut is_kickstart = false;
    let mut in_section = false;
    for line in script.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(command) = words.first().copied() else { continue };
        if in_section {
            in_section = command != "%end";
        } else if SECTIONS.contains(&command) {
            in_section = true;
            is_kickstart = true;
        } else if command.starts_with("#!") {
            return None;
        } else if command.starts_with('#') {
        } else if command == "mount" {
            let is_own = |word: &&str| MOUNT_OPTIONS.iter().any(|option| word.starts_with(option));
            is_kickstart |= words.iter().any(is_own);
            commands.push(command);
        } else if STORAGE.contains(&command) {
            is_kickstart = true;
            commands.push(command);
        } else {
            return None;
        }
    }
    if !is_kickstart {
        return None;
    }
    let mut text = script.trim_end().to_owned();
    // What another file says is known to the installer alone.
    if commands.iter().any(|command| command.starts_with('%')) {
        return Some(text);
    }
    if !commands.iter().any(|command| LAYOUTS.contains(command)) {
        text.push_str("\nautopart --type=plain");
    }
    if !commands.contains(&"bootloader") {
        text.push_str("\nbootloader");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_a_shell_script() {
        for script in [
            "autopart",
            "# all of sda\n\n  clearpart --drives=sda --all\npart / --grow --size=1 --ondisk=sda",
            "ignoredisk --only-use=nvme0n1\r\nclearpart --all\r\n",
            "mount --reformat=xfs /dev/sda2 /",
            "zerombr\nmount /dev/sda2 /",
            "%pre\necho part / > /tmp/parts\n%end\n%include /tmp/parts",
        ] {
            assert!(disk_commands(script).is_some(), "{script}");
        }
        for script in [
            "",
            "# nothing",
            "mount -t tmpfs tmpfs /sysroot",
            "mount /dev/sda2 /sysroot",
            "#!/bin/bash\nautopart",
            "parted /dev/sda mklabel gpt\nmkfs.xfs /dev/sda1",
            "clearpart --all\necho done",
            "partprobe",
        ] {
            assert_eq!(disk_commands(script), None, "{script}");
        }
    }

    #[test]
    fn a_root_in_memory_is_told_from_other_scripts() {
        for script in [
            "mount -t tmpfs tmpfs /sysroot",
            "#\nmkdir -p /sysroot\nmount -o x -t tmpfs tmpfs /sysroot\n",
        ] {
            assert!(makes_memory_root(script), "{script}");
        }
        for script in
            ["", "mount /dev/sda1 /sysroot", "mount -t tmpfs tmpfs /tmp\nwipefs -a /dev/sda"]
        {
            assert!(!makes_memory_root(script), "{script}");
        }
    }

    #[test]
    fn what_the_installer_would_ask_for_is_added() {
        let added = |script: &str| disk_commands(script).unwrap();
        assert_eq!(
            added("clearpart --drives=sda --all\n"),
            "clearpart --drives=sda --all\nautopart --type=plain\nbootloader"
        );
        assert_eq!(added("part /\nbootloader --timeout=1"), "part /\nbootloader --timeout=1");
        assert_eq!(added("%include /tmp/x"), "%include /tmp/x");
    }
}
