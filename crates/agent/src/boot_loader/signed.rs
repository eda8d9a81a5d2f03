//! What an image has that firmware with Secure Boot starts: the distribution's shim, and its GRUB, both signed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::architecture;
use super::node::write;
use crate::tree::Tree;

/// Where GRUB looks for its configuration, as its maker has put it into the program.
const PREFIX: &[u8] = b"/EFI/";

/// The two programs, and what each needs beside it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    shim: PathBuf,
    grub: PathBuf,
    /// The directory of the EFI system partition where that GRUB reads `grub.cfg`.
    directory: String,
}

/// The programs of an image that has both.
pub(super) fn find(tree: &Tree) -> Option<Signed> {
    let (word, target) = match architecture() {
        "aa64" => ("aa64", "arm64-efi-signed"),
        word => (word, "x86_64-efi-signed"),
    };
    let debian = (
        tree.place(format!("usr/lib/shim/shim{word}.efi.signed")),
        tree.place(format!("usr/lib/grub/{target}/grub{word}.efi.signed")),
    );
    // Enterprise Linux has them where the EFI system partition is mounted.
    let directories = fs::read_dir(tree.place("boot/efi/EFI")).into_iter().flatten();
    let mut directories: Vec<PathBuf> =
        directories.filter_map(Result::ok).map(|entry| entry.path()).collect();
    directories.sort();
    let enterprise = directories.into_iter().map(|directory| {
        (directory.join(format!("shim{word}.efi")), directory.join(format!("grub{word}.efi")))
    });
    [debian].into_iter().chain(enterprise).find_map(|(shim, grub)| {
        let directory = directory_of(&fs::read(&grub).ok()?)?;
        shim.is_file().then_some(Signed { shim, grub, directory })
    })
}

/// The directory in the program: `/EFI/` and one word, ended by a zero.
fn directory_of(program: &[u8]) -> Option<String> {
    program.windows(PREFIX.len()).enumerate().filter(|(_, window)| *window == PREFIX).find_map(
        |(at, _)| {
            let rest = program.get(at + PREFIX.len()..)?;
            let word = rest.split(|byte| *byte == 0).next()?;
            let is_word = !word.is_empty()
                && word.len() <= 32
                && word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
            is_word.then(|| String::from_utf8_lossy(word).into_owned())
        },
    )
}

impl Signed {
    /// Puts both on the EFI system partition, at the place that firmware tries by itself, with a configuration that leads to the menu.
    pub(super) fn install(&self, esp: &Path, filesystem: &str, menu: &str) -> Result<()> {
        let word = architecture();
        let usual = esp.join("EFI/BOOT");
        // With this beside it, shim makes boot entries of its own and restarts the machine.
        fs::remove_file(usual.join(format!("fb{word}.efi"))).ok();
        let copies = [
            (&self.grub, format!("grub{word}.efi")),
            (&self.shim, format!("BOOT{}.EFI", word.to_uppercase())),
        ];
        for (from, name) in copies {
            let content =
                fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
            write(&usual.join(name), &content)?;
        }
        let text = configuration(filesystem, menu);
        write(&esp.join("EFI").join(&self.directory).join("grub.cfg"), text.as_bytes())?;
        // Some read it beside the program first.
        write(&usual.join("grub.cfg"), text.as_bytes())
    }
}

fn configuration(filesystem: &str, menu: &str) -> String {
    let directory = menu.rsplit_once('/').map_or("", |(directory, _)| directory);
    format!(
        "search --no-floppy --fs-uuid --set=root {filesystem}\nset prefix=($root){directory}\nconfigfile ($root){menu}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_the_configuration_is_in_the_program() {
        assert_eq!(directory_of(b"MZ\0/EFI/\0x/EFI/debian\0rest").as_deref(), Some("debian"));
        assert_eq!(directory_of(b"MZ\0/EFI/BOOT/x.efi\0"), None);
        assert_eq!(
            directory_of(b"/EFI/never-ends-and-is-longer-than-a-name-of-a-distribution"),
            None
        );
        assert_eq!(directory_of(b""), None);
    }

    #[test]
    fn both_programs_are_needed_and_found_where_distributions_have_them() {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::new(directory.path());
        let word = architecture();
        tree.write(format!("boot/efi/EFI/rocky/shim{word}.efi"), "shim", 0o644).unwrap();
        assert_eq!(find(&tree), None);
        tree.write(format!("boot/efi/EFI/rocky/grub{word}.efi"), "x/EFI/rocky\0", 0o644).unwrap();
        assert_eq!(find(&tree).unwrap().directory, "rocky");
    }

    #[test]
    fn they_are_put_where_firmware_looks_and_lead_to_the_menu() {
        let (from, esp) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (shim, grub) = (from.path().join("shim"), from.path().join("grub"));
        fs::write(&shim, "shim").unwrap();
        fs::write(&grub, "grub").unwrap();
        let word = architecture();
        let usual = esp.path().join("EFI/BOOT");
        fs::create_dir_all(&usual).unwrap();
        fs::write(usual.join(format!("fb{word}.efi")), "").unwrap();
        let signed = Signed { shim, grub, directory: "debian".to_owned() };
        signed.install(esp.path(), "a-b", "/boot/grub/grub.cfg").unwrap();
        assert!(!usual.join(format!("fb{word}.efi")).exists());
        assert_eq!(fs::read(usual.join(format!("grub{word}.efi"))).unwrap(), b"grub");
        let first = usual.join(format!("BOOT{}.EFI", word.to_uppercase()));
        assert_eq!(fs::read(first).unwrap(), b"shim");
        let text = fs::read_to_string(esp.path().join("EFI/debian/grub.cfg")).unwrap();
        assert_eq!(
            text,
            "search --no-floppy --fs-uuid --set=root a-b\nset prefix=($root)/boot/grub\nconfigfile ($root)/boot/grub/grub.cfg\n"
        );
    }
}
