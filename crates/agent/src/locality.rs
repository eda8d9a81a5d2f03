//! Where the node is, as its system tells time and text: time servers, time zone, locale.

use std::fs;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use perilune_plan::Plan;

use crate::console::Console;
use crate::tree::{self, Tree};

const CHRONY: [&str; 2] = ["etc/chrony/chrony.conf", "etc/chrony.conf"];
/// Files that distributions put servers of their own into, beside the configuration itself.
const CHRONY_PARTS: [&str; 3] = ["etc/chrony/conf.d", "etc/chrony/sources.d", "etc/chrony.d"];
const NTPD: [&str; 2] = ["etc/ntpsec/ntp.conf", "etc/ntp.conf"];
const TIMESYNCD: [&str; 2] = ["usr/lib/systemd/systemd-timesyncd", "lib/systemd/systemd-timesyncd"];
const MARK: &str = "# The time servers of this node, by its provisioner";
/// Lines that name servers, in the configuration of chrony and of ntpd.
const SERVERS: [&str; 3] = ["server", "pool", "peer"];
const ZONES: &str = "usr/share/zoneinfo";

/// Writes what the plan says of these, and leaves alone what it does not.
pub fn write(tree: &Tree, plan: &Plan, console: &Console) -> Result<(), tree::Error> {
    if !plan.ntp_servers.is_empty() {
        write_time_servers(tree, &plan.ntp_servers)?;
    }
    if let Some(zone) = &plan.timezone {
        write_timezone(tree, zone, console)?;
    }
    if let Some(locale) = &plan.locale {
        write_locale(tree, locale)?;
    }
    Ok(())
}

fn write_time_servers(tree: &Tree, servers: &[IpAddr]) -> Result<(), tree::Error> {
    let lines: Vec<String> =
        servers.iter().map(|server| format!("server {server} iburst")).collect();
    let ours = format!("{MARK}\n{}\n", lines.join("\n"));
    for file in CHRONY.into_iter().chain(NTPD).filter(|file| tree.exists(file)) {
        tree.write(file, without_servers(&tree.read(file)?) + &ours, 0o644)?;
    }
    for file in CHRONY_PARTS.into_iter().flat_map(|directory| files(tree, directory)) {
        let text = tree.read(&file)?;
        let left = without_servers(&text);
        if left != text {
            tree.write(&file, left, 0o644)?;
        }
    }
    if TIMESYNCD.iter().any(|program| tree.exists(program)) {
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        let text = format!("{MARK}\n[Time]\nNTP={}\n", servers.join(" "));
        tree.write("etc/systemd/timesyncd.conf.d/90-perilune.conf", text, 0o644)?;
    }
    Ok(())
}

/// The image's own servers, as comments.
fn without_servers(text: &str) -> String {
    let line = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let mark = if SERVERS.contains(&word.as_str()) { "# " } else { "" };
        format!("{mark}{line}\n")
    };
    text.lines().map(line).collect()
}

fn files(tree: &Tree, directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(tree.place(directory)).into_iter().flatten().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut files: Vec<PathBuf> =
        files.map(|entry| Path::new(directory).join(entry.file_name())).collect();
    files.sort();
    files
}

fn write_timezone(tree: &Tree, zone: &str, console: &Console) -> Result<(), tree::Error> {
    if !is_zone(tree, zone) {
        let lack = format!(
            "the image does not know the time zone {zone}: is it spelt as the files below /{ZONES} are, and is tzdata in the image?"
        );
        console.warning(&lack);
        return Ok(());
    }
    // Relative, as systemd reads the name of the zone out of it.
    tree.link("etc/localtime", &format!("../{ZONES}/{zone}"))?;
    if tree.exists("etc/timezone") {
        tree.write("etc/timezone", format!("{zone}\n"), 0o644)?;
    }
    Ok(())
}

/// By its first bytes (RFC 9636, section 3.1): directories of zones and lists of them are there, too.
fn is_zone(tree: &Tree, zone: &str) -> bool {
    let mut magic = [0; 4];
    let file = fs::File::open(tree.place(Path::new(ZONES).join(zone)));
    file.and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"TZif"
}

fn write_locale(tree: &Tree, locale: &str) -> Result<(), tree::Error> {
    let mut files = vec!["etc/locale.conf"];
    if tree.exists("etc/debian_version") {
        // There, the other one is a link to it, or read by systemd alone.
        files = vec!["etc/default/locale"];
        if !tree.is_link("etc/locale.conf") {
            files.push("etc/locale.conf");
        }
    }
    for file in files {
        let text = tree.read(file)?;
        let kept = text.lines().filter(|line| !line.trim_start().starts_with("LANG="));
        let lines: Vec<String> =
            kept.map(str::to_owned).chain([format!("LANG={locale}")]).collect();
        tree.write(file, lines.join("\n") + "\n", 0o644)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::tests::Memory;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::new(directory.path());
        for (path, text) in files {
            tree.write(path, text, 0o644).unwrap();
        }
        (directory, tree)
    }

    fn servers() -> Vec<IpAddr> {
        ["10.141.255.254", "fd00::1"].map(|address| address.parse().unwrap()).to_vec()
    }

    #[test]
    fn the_time_program_of_the_image_asks_the_servers_of_the_site_alone() {
        let (_directory, tree) = tree(&[
            (
                "etc/chrony/chrony.conf",
                "confdir /etc/chrony/conf.d\npool 2.debian.pool.ntp.org iburst\nmakestep 1 3\n",
            ),
            ("etc/chrony/sources.d/pool.sources", "pool a.example iburst\n"),
            ("etc/ntp.conf", "driftfile /var/lib/ntp/drift\n Server 0.example\n"),
            ("lib/systemd/systemd-timesyncd", ""),
        ]);
        write_time_servers(&tree, &servers()).unwrap();
        let ours = format!("{MARK}\nserver 10.141.255.254 iburst\nserver fd00::1 iburst\n");
        assert_eq!(
            tree.read("etc/chrony/chrony.conf").unwrap(),
            format!(
                "confdir /etc/chrony/conf.d\n# pool 2.debian.pool.ntp.org iburst\nmakestep 1 3\n{ours}"
            )
        );
        assert_eq!(
            tree.read("etc/chrony/sources.d/pool.sources").unwrap(),
            "# pool a.example iburst\n"
        );
        assert_eq!(
            tree.read("etc/ntp.conf").unwrap(),
            format!("driftfile /var/lib/ntp/drift\n#  Server 0.example\n{ours}")
        );
        let timesyncd = tree.read("etc/systemd/timesyncd.conf.d/90-perilune.conf").unwrap();
        assert!(timesyncd.contains("[Time]\nNTP=10.141.255.254 fd00::1\n"), "{timesyncd}");
        assert!(!tree.exists("etc/chrony.conf") && !tree.exists("etc/ntpsec"));
    }

    #[test]
    fn a_time_zone_is_one_that_the_image_has() {
        let (_directory, tree) =
            tree(&[("usr/share/zoneinfo/Europe/Rome", "TZif2"), ("etc/timezone", "Etc/UTC\n")]);
        tree.write("usr/share/zoneinfo/leapseconds", "# a list\n", 0o644).unwrap();
        let memory = Memory::default();
        let console = Console::new(memory.clone());
        write_timezone(&tree, "Europe/Rome", &console).unwrap();
        assert_eq!(tree.read("etc/localtime").unwrap(), "TZif2");
        assert_eq!(tree.read("etc/timezone").unwrap(), "Europe/Rome\n");
        for zone in ["Europe/Oslo", "Europe", "leapseconds"] {
            write_timezone(&tree, zone, &console).unwrap();
            let text = memory.text();
            assert!(text.contains(&format!("does not know the time zone {zone}:")), "{text}");
        }
        assert_eq!(tree.read("etc/localtime").unwrap(), "TZif2");
        assert_eq!(tree.read("etc/timezone").unwrap(), "Europe/Rome\n");
    }

    #[test]
    fn a_locale_is_written_where_the_distribution_keeps_it() {
        let (_directory, red_hat) = tree(&[("etc/locale.conf", "LANG=C\nLC_TIME=de_DE\n")]);
        write_locale(&red_hat, "en_US.UTF-8").unwrap();
        assert_eq!(red_hat.read("etc/locale.conf").unwrap(), "LC_TIME=de_DE\nLANG=en_US.UTF-8\n");
        let (_directory, debian) = tree(&[("etc/debian_version", "13")]);
        debian.link("etc/locale.conf", "default/locale").unwrap();
        write_locale(&debian, "C.UTF-8").unwrap();
        assert!(debian.is_link("etc/locale.conf"));
        assert_eq!(debian.read("etc/locale.conf").unwrap(), "LANG=C.UTF-8\n");
    }
}
