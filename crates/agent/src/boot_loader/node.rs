//! What lets a node keep up with its own kernels: a program that copies them to where its boot loader finds them and writes the menu,
//! what that goes by, and the distribution's hooks that call it. The first menu is made by the same program.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::console::Console;
use crate::inside::Inside;
use crate::tool;
use crate::tree::Tree;

const PROGRAM: &str = "usr/lib/perilune/kernels";
const TEXT: &str = include_str!("kernels.sh");
const SETTINGS: &str = "etc/perilune/boot.conf";

/// What writes the menu, and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Menu {
    Grub,
    SystemdBoot,
}

/// What the node's program goes by.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) menu: Menu,
    /// The name of the image, as people see it in the menu.
    pub(super) title: String,
    /// The kernel's command line.
    pub(super) options: String,
    /// The directory with kernels, on the node; and as the boot loader names it.
    pub(super) place: String,
    pub(super) path: String,
    /// The file system that the boot loader finds it on.
    pub(super) filesystem: String,
    /// Where the menu is: a file of GRUB, or the directory of systemd-boot.
    pub(super) menu_place: String,
    /// Where the program mounts that file system, when nothing else does.
    pub(super) mount: Option<String>,
}

impl Settings {
    /// Puts everything into the node's root, and has the first menu made there.
    pub(super) fn install(&self, tree: &Tree, console: &Console) -> Result<()> {
        let running = rustix::system::uname().release().to_string_lossy().into_owned();
        tree.write(SETTINGS, self.render(&kernels(tree), &running), 0o644)?;
        tree.write(PROGRAM, TEXT, 0o755)?;
        for hook in hooks(tree, self.menu) {
            tree.write(hook.place, hook.text, hook.mode)?;
            console.line(&format!("/{}", hook.place));
        }
        let _inside = Inside::mount(tree.root())?;
        let program = format!("/{PROGRAM}");
        tool::run("chroot", [tree.root().as_os_str(), "/bin/sh".as_ref(), program.as_ref()])
            .context("the menu of the boot loader cannot be made")?;
        Ok(())
    }

    /// Shell, as the program reads it.
    fn render(&self, image_kernels: &[String], running: &str) -> String {
        let (loader, title, options) = match self.menu {
            Menu::Grub => ("grub", quoted(&self.title), grub_words(&self.options)),
            Menu::SystemdBoot => ("systemd-boot", self.title.clone(), self.options.clone()),
        };
        // The installer runs the kernel of the image. Were it another one, none would be taken for the controller's.
        let known = image_kernels.iter().any(|version| version == running);
        let kernel = if known { running } else { "" };
        let values = [
            ("loader", loader),
            ("title", title.as_str()),
            ("options", options.as_str()),
            ("kernel", kernel),
            ("image_kernels", &image_kernels.join(" ")),
            ("place", &self.place),
            ("path", &self.path),
            ("filesystem", &self.filesystem),
            ("menu", &self.menu_place),
            ("mount", self.mount.as_deref().unwrap_or_default()),
        ];
        let lines = values.iter().map(|(key, value)| format!("{key}={}\n", quoted(value)));
        format!("# What /{PROGRAM} goes by; run it after a change.\n{}", lines.collect::<String>())
    }
}

/// The versions whose modules are in the image.
fn kernels(tree: &Tree) -> Vec<String> {
    let entries = fs::read_dir(tree.place("lib/modules")).into_iter().flatten();
    let directories = entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        directories.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.contains(char::is_whitespace));
    names.sort();
    names
}

/// A file that makes the distribution call the program.
struct Hook {
    place: &'static str,
    text: &'static str,
    mode: u32,
}

/// The hooks of the image's own kind. Their names put them behind those that make the initramfs, or GRUB's menu.
fn hooks(tree: &Tree, menu: Menu) -> Vec<Hook> {
    const CALL: &str = "#!/bin/sh\n# Of Perilune.\nexec /usr/lib/perilune/kernels\n";
    let debian = [
        Hook { place: "etc/kernel/postinst.d/zzz-perilune", text: CALL, mode: 0o755 },
        Hook { place: "etc/kernel/postrm.d/zzz-perilune", text: CALL, mode: 0o755 },
        Hook { place: "etc/initramfs/post-update.d/zzz-perilune", text: CALL, mode: 0o755 },
    ];
    let systemd = Hook {
        place: "etc/kernel/install.d/95-perilune.install",
        text: "#!/bin/sh\n# Of Perilune.\ncase \"$1\" in\nadd) exec /usr/lib/perilune/kernels ;;\n\
               remove) exec /usr/lib/perilune/kernels remove \"$2\" ;;\nesac\n",
        mode: 0o755,
    };
    let grub = Hook {
        place: "etc/grub.d/09_perilune",
        text: "#!/bin/sh\n# Of Perilune.\nexec /usr/lib/perilune/kernels menu\n",
        mode: 0o755,
    };
    // Enterprise Linux has this from the start.
    let in_text = Hook {
        place: "etc/default/grub.d/50-perilune.cfg",
        text: "# Of Perilune: without graphics GRUB would wait for them for ever, and people look by serial lines.\n\
               GRUB_TERMINAL=console\n",
        mode: 0o644,
    };
    let has = |places: &[&str]| places.iter().any(|place| tree.exists(place));
    let mut hooks = Vec::new();
    if has(&["usr/bin/dpkg"]) {
        hooks.extend(debian);
    }
    if has(&["usr/bin/kernel-install", "bin/kernel-install"]) {
        hooks.push(systemd);
    }
    if menu == Menu::Grub && has(&["etc/grub.d"]) {
        hooks.push(grub);
        if has(&["usr/bin/dpkg"]) {
            hooks.push(in_text);
        }
    }
    hooks
}

/// The directory of GRUB's configuration below `/boot`, as the distribution calls it.
pub(super) fn grub_directory(tree: &Tree) -> &'static str {
    let programs = ["grub2-install", "grub2-mkconfig"];
    let is_second = programs.iter().any(|program| {
        ["usr/sbin", "usr/bin"].iter().any(|place| tree.exists(Path::new(place).join(program)))
    });
    if is_second { "grub2" } else { "grub" }
}

/// The words of the kernel's command line, none of which may mean anything to GRUB's own language.
fn grub_words(options: &str) -> String {
    let is_plain =
        |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || "._=,:/@%+-".contains(c));
    let words = options
        .split_whitespace()
        .map(|word| if is_plain(word) { word.to_owned() } else { quoted(word) });
    words.collect::<Vec<_>>().join(" ")
}

/// One word of a shell, and of GRUB.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Writes a file of a file system that is no part of the tree, or where links mean nothing.
pub(super) fn write(place: &Path, content: &[u8]) -> Result<()> {
    let write = || {
        fs::create_dir_all(place.parent().unwrap_or(place))?;
        fs::write(place, content)
    };
    write().with_context(|| format!("cannot write {}", place.display()))
}

#[cfg(test)]
mod tests;
