//! `perilune export` and `perilune apply` as a shell sees them.

use crate::kill::Daemon;
use crate::{perilune, said};

#[test]
fn a_document_is_planned_applied_and_written_again() {
    let data = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(data.path());
    let file = data.path().join("cluster.yaml");
    let text = "group:\n  compute:\n    prescript: |\n      echo one\n      echo two\n    interfaces:\n    - interface: BOOTIF\n      network: cluster\nnode:\n  node001: {group: compute}\n  node002: {group: compute}\n";
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();

    let output = perilune(data.path(), &["apply", "-f", path, "--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for part in ["+ group compute", "+ node node001", "this was a trial"] {
        assert!(said(&output).contains(part), "{part} is not in {}", said(&output));
    }
    let output = perilune(data.path(), &["apply", "-f", path]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("add --yes"), "{}", said(&output));
    assert_eq!(daemon.get("/config/node").unwrap().0, 404);

    let output = perilune(data.path(), &["apply", "-f", path, "--yes"]);
    assert!(said(&output).contains("3 objects changed"), "{}", said(&output));
    assert_eq!(daemon.get("/config/node/node002").unwrap().0, 200);
    let output = perilune(data.path(), &["apply", "-f", path, "--yes"]);
    assert!(said(&output).contains("nothing to do"), "{}", said(&output));

    let output = perilune(data.path(), &["export"]);
    let export = String::from_utf8(output.stdout).unwrap();
    assert!(export.contains("prescript: |\n      echo one\n      echo two\n"), "{export}");
    std::fs::write(&file, export.replace("  node002:", "  node003:")).unwrap();
    let output = perilune(data.path(), &["apply", "-f", path, "--prune", "--yes", "-o", "json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["changes"].as_array().unwrap().len(), 2, "{answer}");
    assert_eq!(daemon.get("/config/node/node002").unwrap().0, 404);
    assert_eq!(daemon.get("/config/node/node003").unwrap().0, 200);
}

#[test]
fn a_document_with_a_key_twice_removes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(data.path());
    let file = data.path().join("cluster.yaml");
    let path = file.to_str().unwrap();
    let nodes = "node:\n  node001: {group: compute}\n";
    std::fs::write(&file, format!("group:\n  compute: {{}}\n{nodes}")).unwrap();
    let output = perilune(data.path(), &["apply", "-f", path, "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for (text, places) in [
        (
            format!("{nodes}node:\n  node002: {{group: compute}}\n"),
            "line 1 column 1 and at line 3 column 1",
        ),
        (
            "node: {node002: {group: compute, group: compute}}\n".to_owned(),
            "line 1 column 18 and at line 1 column 34",
        ),
        (
            "{\"node\": {\"node002\": {\"group\": \"compute\"}},\n\t\"node\": {}}".to_owned(),
            "line 1 column 2 and at line 2 column 2",
        ),
    ] {
        std::fs::write(&file, &text).unwrap();
        let output = perilune(data.path(), &["apply", "-f", path, "--prune", "--yes"]);
        assert_eq!(output.status.code(), Some(2), "{text}: {}", said(&output));
        assert!(said(&output).contains(places), "{text}: {}", said(&output));
    }
    assert_eq!(daemon.get("/config/node/node001").unwrap().0, 200);
    assert_eq!(daemon.get("/config/node/node002").unwrap().0, 404);
}

#[test]
fn texts_are_applied_as_they_are_written_and_exported_in_quotes() {
    let data = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(data.path());
    let file = data.path().join("cluster.yaml");
    let path = file.to_str().unwrap();
    let text = "group:\n  compute: {comment: yes}\nosimage:\n  image: {kernelversion: 1.10, comment: 0o17, osrelease: 012}\nnode:\n  node001: {group: compute, assettag: 1e5, switchport: 52:54:00:00:00:01, vendor: 2026-11-29}\n";
    std::fs::write(&file, text).unwrap();
    let output = perilune(data.path(), &["apply", "-f", path, "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = perilune(data.path(), &["export"]);
    let export = String::from_utf8(output.stdout).unwrap();
    for line in [
        "comment: 'yes'",
        "kernelversion: '1.10'",
        "comment: '0o17'",
        "osrelease: '012'",
        "assettag: '1e5'",
        "switchport: '52:54:00:00:00:01'",
        "vendor: '2026-11-29'",
    ] {
        assert!(export.contains(&format!("{line}\n")), "{line}: {export}");
    }
    let output = perilune(data.path(), &["group", "show", "compute", "-o", "yaml"]);
    assert!(said(&output).contains("'yes'"), "{}", said(&output));
    std::fs::write(&file, export).unwrap();
    let output = perilune(data.path(), &["apply", "-f", path, "--prune", "--yes"]);
    assert!(said(&output).contains("nothing to do"), "{}", said(&output));
}

#[test]
fn what_is_no_document_is_not_sent_and_what_is_wrong_is_told() {
    let data = tempfile::tempdir().unwrap();
    let _daemon = Daemon::start(data.path());
    let file = data.path().join("cluster.yaml");
    for (text, code, words) in [
        ("a: [b", 2, "neither YAML nor JSON"),
        ("- a\n", 2, "holds no document"),
        ("node:\n  node001: {grup: compute}\n", 1, "did you mean 'group'"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = perilune(data.path(), &["apply", "-f", file.to_str().unwrap(), "--yes"]);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
    let output = perilune(data.path(), &["apply", "-f", "/nowhere.yaml"]);
    assert!(said(&output).contains("/nowhere.yaml"), "{}", said(&output));
}

#[test]
fn an_export_without_secrets_says_what_it_lacks_and_changes_none_of_it() {
    let data = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(data.path());
    let file = data.path().join("cluster.yaml");
    let path = file.to_str().unwrap();
    let text = "group:\n  compute: {}\nnode:\n  node001: {group: compute}\n  node002: {group: compute}\nbmcsetup:\n  lom: {username: root, password: calvin}\n\
        nodesecrets:\n  node001: [{name: key, content: aGlkZGVu, path: /etc/key}]\n  node002: [{name: key, content: aGlkZGVu, path: /etc/key}]\n\
        groupsecrets:\n  compute: [{name: munge, content: bXVuZ2U=, path: /etc/munge.key}]\n";
    std::fs::write(&file, text).unwrap();
    let output = perilune(data.path(), &["apply", "-f", path, "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let whole = || perilune(data.path(), &["export", "--secrets"]).stdout;
    let before = whole();
    assert!(String::from_utf8_lossy(&before).contains("calvin"));

    for format in ["table", "yaml"] {
        let export = perilune(data.path(), &["export", "-o", format]).stdout;
        let export = String::from_utf8(export).unwrap();
        let first = export.lines().next().unwrap();
        for part in [
            "# This document lacks",
            "secrets of node node[001-002]",
            "group compute",
            "bmcsetup lom",
        ] {
            assert!(first.contains(part), "{part}: {first}");
        }
        for hidden in ["calvin", "aGlkZGVu", "bXVuZ2U="] {
            assert!(!export.contains(hidden), "{export}");
        }
        // Also where it changes something else, and removes what it does not name.
        std::fs::write(
            &file,
            export.replace("  node001:", "  node003: {group: compute}\n  node001:"),
        )
        .unwrap();
        let output = perilune(data.path(), &["apply", "-f", path, "--prune", "--yes"]);
        assert!(said(&output).contains("1 object changed"), "{}", said(&output));
        let output = perilune(data.path(), &["node", "rm", "node003", "--yes"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert_eq!(whole(), before);
    }
    let output = perilune(data.path(), &["export", "-o", "json"]);
    assert!(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap().is_object());
    assert!(String::from_utf8_lossy(&output.stderr).contains("This document lacks"));
    drop(daemon);
}
