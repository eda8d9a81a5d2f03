//! The image's GRUB, for machines that boot by BIOS. Its configuration is written here: the image's own scripts would
//! look for an initramfs of the distribution.

use anyhow::{Result, bail};
use perilune_plan::{FileSystem, Installation};

use super::{INITRAMFS, KERNEL, Loader};
use crate::disk::Made;
use crate::install::Inside;
use crate::tool;

/// The program and its directory below `/boot`, as distributions name them.
const PROGRAMS: [(&str, &str); 4] = [
    ("usr/sbin/grub-install", "grub"),
    ("usr/bin/grub-install", "grub"),
    ("usr/sbin/grub2-install", "grub2"),
    ("usr/bin/grub2-install", "grub2"),
];
const MODULES: &str = "usr/lib/grub/i386-pc";
const MORE_MODULES: &str = "usr/share/grub2/i386-pc";
const DIRECTORY: &str = "/boot/perilune";

pub(super) fn install(loader: &Loader<'_>) -> Result<Installation> {
    let tree = loader.tree;
    let program = PROGRAMS.iter().find(|(program, _)| tree.exists(program));
    let has_modules = tree.exists(MODULES) || tree.exists(MORE_MODULES);
    let Some((program, directory)) = program.filter(|_| has_modules) else {
        bail!(
            "the image has no boot loader for BIOS machines; install grub-pc-bin and grub2-common (Debian, Ubuntu), \
             grub2-pc (EL) or grub2-i386-pc (SUSE) in it and pack it again, or boot this machine by UEFI"
        );
    };
    loader.fetch_kernel(&tree.place(DIRECTORY))?;
    let (holder, path) = loader.holder(DIRECTORY)?;
    let text = configuration(&loader.plan.image.name, &holder.uuid, path, &loader.options()?);
    tree.write(format!("boot/{directory}/grub.cfg"), text, 0o600)?;
    let disk = loader.partition(FileSystem::Bios)?.disk.as_path();
    let _inside = Inside::mount(tree.root())?;
    let program = format!("/{program}");
    let words =
        [tree.root().as_os_str(), program.as_ref(), "--target=i386-pc".as_ref(), disk.as_os_str()];
    tool::run("chroot", words)?;
    loader.console.line(&format!("GRUB is on {}", disk.display()));
    // The disk is found by a file system on it; the one with the configuration may be on another.
    let on_disk = |made: &&Made| made.disk == disk && is_searched(made.filesystem);
    let known = Some(holder).filter(on_disk).or_else(|| loader.disks.iter().find(on_disk));
    Ok(Installation {
        filesystem: known.map(|made| made.uuid.clone()),
        file: Some(format!("/boot/{directory}/grub.cfg")),
    })
}

/// Whether GRUB finds a file system of this kind by its UUID.
fn is_searched(filesystem: FileSystem) -> bool {
    matches!(filesystem, FileSystem::Ext4 | FileSystem::Xfs | FileSystem::Esp)
}

fn configuration(image: &str, uuid: &str, path: &str, options: &str) -> String {
    let (title, options) = (quoted(&format!("Perilune: {image}")), words(options));
    format!(
        "set timeout=0\nset default=0\nsearch --no-floppy --fs-uuid --set=root {uuid}\n\
         menuentry {title} {{\n    linux {path}/{KERNEL} {options}\n    initrd {path}/{INITRAMFS}\n}}\n"
    )
}

/// The words of the kernel's command line, none of which may mean anything to GRUB's own language.
fn words(options: &str) -> String {
    let is_plain =
        |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || "._=,:/@%+-".contains(c));
    let words = options
        .split_whitespace()
        .map(|word| if is_plain(word) { word.to_owned() } else { quoted(word) });
    words.collect::<Vec<_>>().join(" ")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_finds_its_partition() {
        let text = configuration("compute", "a-b", "/perilune", "root=UUID=c rw");
        assert!(
            text.contains("--set=root a-b\n")
                && text.contains("linux /perilune/vmlinuz root=UUID=c rw\n"),
            "{text}"
        );
    }

    #[test]
    fn options_mean_nothing_to_grub() {
        assert_eq!(words("quiet a=$b;c  tty=S0,1"), "quiet 'a=$b;c' tty=S0,1");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
