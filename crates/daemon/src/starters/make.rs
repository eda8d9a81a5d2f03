//! Makes a GRUB that reads our configuration from within itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::Starter;

pub(super) const CONFIGURATION: &str = include_str!("grub.cfg");
/// The first configuration is read by a parser that knows no conditions.
const FIRST: &str = "configfile (memdisk)/grub/grub.cfg\n";
const PLACE: &str = "grub/grub.cfg";
const PREFIX: &str = "(memdisk)/grub";
const PROGRAMS: [&str; 2] = ["/usr/bin/grub-mkimage", "/usr/bin/grub2-mkimage"];
/// Where distributions have the modules, below a root.
const DIRECTORIES: [&str; 2] = ["usr/lib/grub", "usr/share/grub2"];
const LONGEST: Duration = Duration::from_mins(1);
/// What the configuration uses, and what a file system may lie in.
const MODULES: [&str; 23] = [
    "memdisk",
    "tar",
    "normal",
    "configfile",
    "minicmd",
    "eval",
    "regexp",
    "test",
    "echo",
    "sleep",
    "search",
    "search_fs_uuid",
    "search_fs_file",
    "part_gpt",
    "part_msdos",
    "fat",
    "ext2",
    "xfs",
    "btrfs",
    "chain",
    "boot",
    "reboot",
    "net",
];
/// Taken where this GRUB has them: file systems on sets of disks, and disks that firmware in a hurry has not looked at.
const WELCOME: [&str; 4] = ["diskfilter", "mdraid1x", "lvm", "connectefi"];

/// What a program is made from.
pub(super) struct Parts {
    pub(super) program: PathBuf,
    /// The directory of the modules for the platform.
    pub(super) modules: PathBuf,
}

/// This machine's own modules, else those of an image.
pub(super) fn parts(starter: &Starter, trees: &[PathBuf]) -> Option<Parts> {
    let program = PROGRAMS.iter().map(PathBuf::from).find(|path| path.is_file())?;
    let roots = std::iter::once(Path::new("/")).chain(trees.iter().map(PathBuf::as_path));
    let mut directories = roots
        .flat_map(|root| DIRECTORIES.map(|directory| root.join(directory).join(starter.target)));
    let modules = directories.find(|directory| directory.join("moddep.lst").is_file())?;
    Some(Parts { program, modules })
}

pub(super) fn modules(starter: &Starter, directory: &Path) -> Vec<&'static str> {
    let is_there = |module: &&str| directory.join(format!("{module}.mod")).is_file();
    let welcome = WELCOME.into_iter().filter(is_there);
    MODULES.into_iter().chain(starter.modules.iter().copied()).chain(welcome).collect()
}

pub(super) async fn make(starter: &Starter, parts: &Parts) -> Result<Vec<u8>, String> {
    let failed = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let directory = tempfile::tempdir().map_err(|error| failed("no temporary directory", error))?;
    let file = |name: &str| directory.path().join(name);
    let modules = modules(starter, &parts.modules);
    let archive = archive(&configuration(&modules));
    let archive = archive.map_err(|error| failed("the configuration cannot be packed", error))?;
    for (name, content) in [("first.cfg", FIRST.as_bytes()), ("memdisk.tar", &archive)] {
        fs::write(file(name), content).map_err(|error| failed(name, error))?;
    }
    // A program that the card's own boot environment starts is of another format than one on a disk.
    let format = if starter.target == "i386-pc" { "i386-pc-pxe" } else { starter.target };
    let output = tokio::process::Command::new(&parts.program)
        .arg(format!("--format={format}"))
        .arg(format!("--prefix={PREFIX}"))
        .arg("--directory")
        .arg(&parts.modules)
        .arg("--config")
        .arg(file("first.cfg"))
        .arg("--memdisk")
        .arg(file("memdisk.tar"))
        .arg("--output")
        .arg(file("made"))
        .args(&modules)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let program = parts.program.display();
    let output = tokio::time::timeout(LONGEST, output).await;
    let output = output.map_err(|_elapsed| format!("{program} does not end"))?;
    let output = output.map_err(|error| format!("{program} does not start: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} failed ({}): {}", output.status, said.trim()));
    }
    fs::read(file("made")).map_err(|error| failed("it made nothing", error))
}

fn configuration(modules: &[&str]) -> String {
    let connect = if modules.contains(&"connectefi") { "connectefi disk\n" } else { "" };
    format!("{connect}{CONFIGURATION}")
}

fn archive(configuration: &str) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(configuration.len().try_into().unwrap_or(u64::MAX));
    header.set_mode(0o644);
    archive.append_data(&mut header, PLACE, configuration.as_bytes())?;
    archive.into_inner()
}
