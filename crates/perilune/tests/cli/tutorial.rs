//! The tutorial of the documents, typed as it stands: what needs no machine, no package and no operating system tree.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::kill::Daemon;
use crate::said;

/// What needs a machine that boots, or a tree with a kernel. `cargo xtask keep` has both.
const SKIPPED: [&str; 8] = [
    "perilune setup ",
    "perilune node watch",
    "perilune node adopt",
    "perilune osimage check",
    "perilune osimage pack",
    "perilune power",
    "perilune status",
    "perilune login",
];

/// The lines of shell that run `perilune`, and files that are written for them.
fn script(page: &str) -> String {
    let mut script = String::from("set -eux\n");
    let (mut is_shell, mut is_file) = (false, false);
    for line in page.lines() {
        if line.starts_with("```") {
            is_shell = line == "```sh";
            continue;
        }
        let is_run = line.starts_with("perilune ")
            && !SKIPPED.iter().any(|skipped| line.starts_with(skipped));
        let begins = line.starts_with("cat > ") && line.ends_with("<<'END'");
        if is_shell && (is_run || begins || is_file) {
            script.push_str(line);
            script.push('\n');
        }
        is_file = begins || (is_file && line != "END");
    }
    script
}

#[test]
fn the_tutorial_can_be_typed_as_it_stands() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/first-site.md");
    let script = script(&fs::read_to_string(page).unwrap());
    assert!(script.lines().filter(|line| line.starts_with("perilune ")).count() >= 11, "{script}");

    let directory = tempfile::tempdir().unwrap();
    let (data, programs) = (directory.path().join("data"), directory.path().join("bin"));
    fs::create_dir_all(&data).unwrap();
    fs::create_dir(&programs).unwrap();
    fs::create_dir(directory.path().join("backup")).unwrap();
    symlink(env!("CARGO_BIN_EXE_perilune"), programs.join("perilune")).unwrap();
    let daemon = Daemon::start(&data);
    let script = script
        .replace("/var/lib/perilune", data.to_str().unwrap())
        .replace("/srv/backup", directory.path().join("backup").to_str().unwrap());
    #[expect(clippy::disallowed_methods, reason = "a test may block")]
    let output = Command::new("/bin/sh")
        .args(["-c", &script])
        .current_dir(directory.path())
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .env("PERILUNE_CONFIG", data.join("luna.ini"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}\n{}", said(&output));

    let names = |kind: &str| {
        let (_, answer) = daemon.get(&format!("/config/{kind}")).unwrap();
        let names = answer["config"][kind].as_object().unwrap().keys().cloned();
        names.collect::<Vec<_>>()
    };
    assert_eq!(names("node"), ["node001", "node003"]);
    assert_eq!(names("group"), ["compute", "disk"]);
    assert_eq!(names("bmcsetup"), ["standard"]);
    let document = fs::read_to_string(directory.path().join("cluster.yaml")).unwrap();
    assert!(document.contains("node003"), "{document}");
    assert!(directory.path().join("backup/perilune.tar.zst").exists());
}
