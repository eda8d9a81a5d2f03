//! Selectors as a shell sees them, and as `ClusterShell` does.
#![expect(clippy::disallowed_methods, reason = "a test may block")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::kill::Daemon;
use crate::{errors, perilune, said};

/// Twelve nodes in two groups and two racks; two failed.
fn site(data: &Path) -> Daemon {
    let daemon = Daemon::start(data);
    let file = data.join("cluster.yaml");
    let mut text =
        "group:\n  compute: {}\n  login: {}\nrack:\n  r1: {}\n  r2: {}\nnode:\n".to_owned();
    for number in 1..=12 {
        let group = if number > 10 { "login" } else { "compute" };
        text.extend([format!("  n{number}: {{group: {group}}}\n")]);
    }
    std::fs::write(&file, text).unwrap();
    done(data, &["apply", "-f", file.to_str().unwrap(), "--yes"]);
    done(data, &["rack", "place", "r1", "n[1-4]", "--position", "1"]);
    done(data, &["rack", "place", "r2", "n[5-10]", "--position", "1"]);
    daemon
}

fn done(data: &Path, arguments: &[&str]) -> String {
    let output = perilune(data, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn with_input(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_perilune"))
        .arg("--config")
        .arg(data.join("luna.ini"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn nodes_are_selected_wherever_they_are_named() {
    let data = tempfile::tempdir().unwrap();
    let daemon = site(data.path());
    let nodes = |words: &[&str]| {
        let words = [&["nodes", "--fold"], words].concat();
        done(data.path(), &words).trim().to_owned()
    };
    assert_eq!(done(data.path(), &["nodes", "n1*,n2"]), "n1\nn2\nn10\nn11\nn12\n");
    for (words, names) in [
        (&["rack:r1&@compute"][..], "n[1-4]"),
        (&["@login", "rack:r1"], "n[1-4,11-12]"),
        (&["n[1-9/4]"], "n[1,5,9]"),
        (&["@compute", "-x", "rack:r2"], "n[1-4]"),
        (&["!@compute"], "n[11-12]"),
        (&["n[1-12]", "-x", "n[2-11]"], "n[1,12]"),
    ] {
        assert_eq!(nodes(words), names, "{words:?}");
    }
    assert_eq!(done(data.path(), &["nodes", "rack:r2", "--count"]), "6\n");

    // A change, a list, a rack and the power of what is selected.
    done(data.path(), &["node", "change", "rack:r1!n3", "--vendor", "Acme"]);
    let vendors = done(data.path(), &["node", "list", "rack:r1", "-o", "json"]);
    let vendors: serde_json::Value = serde_json::from_str(&vendors).unwrap();
    let of = |name: &str| vendors[name]["vendor"].clone();
    assert_eq!(
        (of("n1"), of("n3"), of("n4")),
        ("Acme".into(), serde_json::Value::Null, "Acme".into())
    );
    let list = done(data.path(), &["node", "list", "--names-only"]);
    assert_eq!(list, "n1\nn2\nn3\nn4\nn5\nn6\nn7\nn8\nn9\nn10\nn11\nn12\n");
    let body =
        serde_json::json!({ "monitor": { "status": { "n5": { "state": "install.error" } } } });
    daemon.post("/monitor/node/n5", &body);
    assert_eq!(nodes(&["state:install.error"]), "n5");
    assert_eq!(nodes(&["rack:r2&!state:*.error"]), "n[6-10]");
    done(data.path(), &["node", "change", "n[1-3]", "--label", "canary=yes", "--label", "a=b"]);
    done(data.path(), &["node", "change", "n3", "--label", "canary="]);
    assert_eq!(nodes(&["label:canary=yes"]), "n[1-2]");
    assert!(done(data.path(), &["node", "show", "n1"]).contains("a=b,canary=yes"));
    done(data.path(), &["node", "change", "n[1-3]", "--label", ""]);
    assert_eq!(perilune(data.path(), &["nodes", "label:a=b"]).status.code(), Some(4));
    let csv = done(
        data.path(),
        &[
            "node",
            "list",
            "rack:r1",
            "--columns",
            "name,position,rack",
            "--sort=-position",
            "-o",
            "csv",
        ],
    );
    assert_eq!(csv, "name,position,rack\nn4,4,r1\nn3,3,r1\nn2,2,r1\nn1,1,r1\n");
    let table = done(data.path(), &["node", "list", "--group", "login"]);
    assert!(table.starts_with("NAME ") && table.lines().count() == 3, "{table}");
    let sorted = done(data.path(), &["node", "list", "--sort", "rack", "--fold"]);
    assert_eq!(sorted, "n[1-12]\n");
    let wrong = perilune(data.path(), &["node", "list", "--columns", "nmae"]);
    assert!(
        wrong.status.code() == Some(2) && errors(&wrong).contains("'name'"),
        "{}",
        errors(&wrong)
    );
    let armed = done(data.path(), &["node", "arm", "@login", "-x", "n12"]);
    assert!(armed.starts_with("n11: boots are allowed"), "{armed}");
}

#[test]
fn what_matches_nothing_ends_with_4_and_changes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let _daemon = site(data.path());
    let refused = |words: &[&str]| {
        let output = perilune(data.path(), words);
        (output.status.code(), errors(&output))
    };
    for (selector, said) in [
        ("n13*", "there is no node n13*"),
        ("rack:r3", "did you mean r1 or r2?"),
        ("@compue", "did you mean compute?"),
        ("state:instal.error", "did you mean install.error?"),
        ("rack:r1&@login", "no node is rack:r1&@login"),
        ("@compute,!n99", "there is no node n99"),
        ("n99", "there is no node n99"),
    ] {
        let (code, text) = refused(&["nodes", selector]);
        assert_eq!(code, Some(4), "{selector}: {text}");
        assert!(text.contains(said), "{selector}: {text}");
    }
    let (code, text) = refused(&["node", "remove", "rack:r3", "--yes"]);
    assert_eq!(code, Some(4), "{text}");
    let (code, text) = refused(&["node", "remove", "n[1-4]", "-x", "n33", "--yes"]);
    assert_eq!(code, Some(2), "{text}");
    let (code, text) = refused(&["nodes", "n[1-9999999999]"]);
    assert_eq!(code, Some(2), "{text}");
    let (code, text) = refused(&["nodes", "n1,rakc:r1"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("character 4 of"), "{text}");
    // A label that nobody has is a slip: without it would be all of them.
    for selector in ["label:canary=yes", "@compute&!label:canary=yes", "@compute,!label:a=*"] {
        let (code, text) = refused(&["node", "remove", selector, "--yes"]);
        assert!(code == Some(4) && text.contains("there is no label"), "{code:?} {text}");
    }
    assert_eq!(done(data.path(), &["nodes", "*", "--count"]), "12\n");
}

#[test]
fn a_list_of_no_nodes_says_how_to_add_one() {
    let data = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(data.path());
    let listed = done(data.path(), &["node", "list"]);
    assert!(listed.starts_with("none; ") && listed.contains("perilune node add"), "{listed}");
    assert_eq!(done(data.path(), &["node", "list", "-o", "json", "--columns", "name"]), "{}\n");
    let output = perilune(data.path(), &["node", "list", "n1"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
}

#[test]
fn names_come_from_files_and_from_standard_input() {
    let data = tempfile::tempdir().unwrap();
    let _daemon = site(data.path());
    let file = data.path().join("down");
    std::fs::write(&file, "n1 # broken\n@login\n").unwrap();
    let written = format!("^{}&!n12", file.display());
    assert_eq!(done(data.path(), &["nodes", &written]), "n1\nn11\n");
    let output = with_input(data.path(), &["nodes", "-", "--fold"], "n3\nn[1-2]\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "n[1-3]\n");
    let output = with_input(data.path(), &["nodes", "-"], "n1\nn[2\n");
    assert!(errors(&output).contains("standard input, line 2"), "{}", errors(&output));
    // The daemon reads no files, whoever asks.
    let output = with_input(data.path(), &["nodes", "-"], "^/etc/hostname\n");
    assert!(errors(&output).contains("no other files"), "{}", errors(&output));
}

#[test]
fn names_and_addresses_are_exported_as_hosts() {
    let data = tempfile::tempdir().unwrap();
    let _daemon = site(data.path());
    done(data.path(), &["node", "interface", "set", "n[2,10]", "BOOTIF", "--network", "cluster"]);
    let hosts = done(data.path(), &["export", "--format", "hosts"]);
    let names: Vec<&str> = hosts.lines().filter_map(|line| line.split(' ').next_back()).collect();
    assert_eq!(names, ["n2", "n10"], "{hosts}");
    assert!(hosts.lines().all(|line| line.contains(".cluster ")), "{hosts}");
}

#[test]
fn clustershell_knows_the_groups() {
    if !Path::new("/usr/bin/nodeset").exists() {
        assert!(std::env::var_os("CI").is_none(), "clustershell is missing");
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let _daemon = site(data.path());
    let page = include_str!("../../../../docs/clustershell.md");
    let lines = page.split("```").nth(1).unwrap();
    let configuration = data.path().join("clustershell");
    std::fs::create_dir(&configuration).unwrap();
    std::fs::write(
        configuration.join("groups.conf"),
        format!("[Main]\ndefault: perilune\n{lines}"),
    )
    .unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_perilune")).parent().unwrap().display();
    let nodeset = |words: &[&str]| {
        let output = Command::new("/usr/bin/nodeset")
            .args(words)
            .env("CLUSTERSHELL_CFGDIR", &configuration)
            .env("PERILUNE_CONFIG", data.path().join("luna.ini"))
            .env("PATH", format!("{program}:/usr/bin:/bin"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(nodeset(&["-f", "@perilune:compute"]), "n[1-10]");
    assert_eq!(nodeset(&["-f", "@rack:r1,@login"]), "n[1-4,11-12]");
    assert_eq!(nodeset(&["-f", "-a"]), "n[1-12]");
    assert_eq!(nodeset(&["-l"]), "@compute\n@login");
    assert_eq!(nodeset(&["-f", "@select:n1*"]), "n[1,10-12]");
}
