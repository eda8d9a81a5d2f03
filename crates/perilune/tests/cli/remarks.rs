//! What is taken and may be a slip is said when it is given, by every command that changes what is described.

use std::path::Path;

use crate::kill::Daemon;
use crate::{errors, perilune, said};

/// A network that lends 10.141.1.0 to 10.141.1.99, and five nodes below that.
fn site(data: &Path) -> Daemon {
    let daemon = Daemon::start(data);
    for words in [
        &["group", "add", "compute"][..],
        &["node", "add", "n[1-5]", "--group", "compute"],
        &["switch", "add", "sw1"],
        &[
            "network",
            "change",
            "cluster",
            "--dhcp",
            "yes",
            "--dhcp-range-begin",
            "10.141.1.0",
            "--dhcp-range-end",
            "10.141.1.99",
        ],
    ] {
        let output = perilune(data, words);
        assert!(output.status.success(), "{words:?}: {}", said(&output));
    }
    daemon
}

/// What a command that is done warns of.
fn warned(data: &Path, words: &[&str]) -> String {
    let output = perilune(data, words);
    assert!(output.status.success(), "{words:?}: {}", said(&output));
    errors(&output)
}

#[test]
fn every_way_to_describe_says_what_may_be_a_slip() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = site(data);
    let lent = "warning: in the dynamic range (10.141.1.0 to 10.141.1.99)";
    let one = ["node", "interface", "set", "n1", "BOOTIF", "--ip", "10.141.1.7"];
    let tried = warned(data, &[&["--dry-run"], &one[..]].concat());
    assert!(tried.contains(lent) && tried.contains("10.141.1.7"), "{tried}");
    let text = warned(data, &one);
    assert_eq!(text.matches(lent).count(), 1, "{text}");
    let others = ["node", "change", "n[1-5]", "--vendor", "Acme"];
    assert_eq!(warned(data, &others), "", "it was said before");
    let kept = ["--keep-going", "node", "interface", "set", "n2", "BOOTIF", "--ip", "10.141.1.8"];
    assert!(warned(data, &kept).contains("10.141.1.8"));
    let added = ["node", "add", "n6", "--group", "compute", "--ip", "10.141.1.9"];
    assert!(warned(data, &added).contains("10.141.1.9"));
    let device = ["otherdev", "add", "pdu1", "--network", "cluster", "--ipaddress", "10.141.1.10"];
    assert!(warned(data, &device).contains("other device pdu1"));
    let file = |name: &str, text: &str| {
        let path = data.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let table = file("nodes.csv", "name,ip,switch,port\nn3,10.141.1.11,sw1,7\nn4,,sw1,7\n");
    for words in
        [&["--dry-run", "node", "import", &table][..], &["node", "import", &table, "--yes"]]
    {
        let text = warned(data, words);
        assert!(text.contains("10.141.1.11 (interface BOOTIF of node n3)"), "{words:?}: {text}");
        assert!(text.contains("n3, n4 are all at port 7 of sw1"), "{words:?}: {text}");
        assert_eq!(text.matches(lent).count(), 1, "{words:?}: {text}");
    }
    let document = perilune(data, &["export"]);
    let document = String::from_utf8(document.stdout).unwrap();
    let document = document.replace("10.141.0.5", "10.141.1.12");
    assert!(document.contains("10.141.1.12"), "{document}");
    let document = file("site.yaml", &document);
    for words in
        [&["--dry-run", "apply", "-f", &document][..], &["apply", "-f", &document, "--yes"]]
    {
        let text = warned(data, words);
        assert!(text.contains("10.141.1.12 (interface BOOTIF of node n5)"), "{words:?}: {text}");
        assert!(!text.contains("10.141.1.7"), "{words:?}: {text}");
    }
    // Nobody is asked before the remarks are told.
    let again = file(
        "again.yaml",
        "node:\n  n5:\n    interfaces:\n    - interface: BOOTIF\n      ipaddress: 10.141.1.13\n",
    );
    let output = perilune(data, &["apply", "--merge", "-f", &again]);
    assert!(errors(&output).contains("10.141.1.13"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

#[test]
fn interfaces_wires_and_ranges_are_looked_at_too() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = site(data);
    let vlan = |parent: &'static str| {
        [
            "interface",
            "set",
            "compute",
            "vlan7",
            "--network",
            "cluster",
            "--vlanid",
            "7",
            "--vlan-parent",
            parent,
        ]
    };
    let text = warned(data, &[&["group"], &vlan("BOOTFI")[..]].concat());
    assert!(text.contains("vlan7 is a VLAN on BOOTFI"), "{text}");
    let text = warned(data, &["network", "change", "cluster", "--type", "infinband"]);
    assert!(text.contains("'infinband'") && text.contains("ethernet and infiniband"), "{text}");
    let text = warned(data, &["network", "change", "cluster", "--dhcp-range-begin", "10.141.0.4"]);
    assert!(text.contains("with network cluster, devices got other addresses"), "{text}");
    assert!(text.contains("interface BOOTIF of node n4 (10.141.0.4 -> 10.141.1.10"), "{text}");
    let quiet = warned(data, &["network", "change", "cluster", "--type", "ethernet"]);
    assert_eq!(quiet, "");
}

#[test]
fn programs_are_given_texts_and_lists_that_are_sorted_as_people_count() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = site(data);
    warned(data, &["node", "add", "n[9-11]", "--group", "compute", "--comment", "zweite Reihe"]);
    let list = |words: &[&str]| {
        let output = perilune(data, &[&["node", "list", "-o", "json"], words].concat());
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&output.stdout)
            .unwrap()
    };
    let all = list(&[]);
    let names: Vec<&String> = all.keys().collect();
    assert_eq!(names, ["n1", "n2", "n3", "n4", "n5", "n9", "n10", "n11"]);
    assert_eq!(all["n10"]["comment"], "zweite Reihe");
    assert_eq!(list(&["n[10-11]"]).len(), 2);
    assert_eq!(list(&["-x", "n[1-5]"]).len(), 3);
    assert_eq!(list(&["-x", "n1", "n1,n2"]).len(), 1);
    let output = perilune(data, &["node", "list", "-o", "json", "n1,n77"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let revision = perilune(data, &["history", "-n", "1", "-o", "json"]);
    let history: serde_json::Value = serde_json::from_slice(&revision.stdout).unwrap();
    let revision = history[0]["revision"].to_string();
    let shown = perilune(data, &["history", "show", &revision, "-o", "json"]);
    assert!(said(&shown).contains("zweite Reihe"), "{}", said(&shown));
}
