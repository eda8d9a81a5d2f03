//! Slips and odd inputs: each is refused with words that help, and changes nothing.

use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use crate::kill::Daemon;
use crate::{errors, perilune, said};

fn newest(data: &Path) -> String {
    let output = perilune(data, &["history", "-n", "1", "-o", "json"]);
    let history: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    history[0]["revision"].to_string()
}

#[test]
fn slips_are_refused_with_words_that_help_and_change_nothing() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = Daemon::start(data);
    for words in [
        &["group", "add", "compute"][..],
        &["node", "add", "n[1-30]", "--group", "compute"],
        &["rack", "add", "r1", "--size", "42"],
    ] {
        let output = perilune(data, words);
        assert!(output.status.success(), "{words:?}: {}", said(&output));
    }
    let large = data.join("large");
    std::fs::write(&large, vec![7; (1 << 20) + 1]).unwrap();
    let large = format!("@{}", large.display());
    let before = newest(data);
    for (words, code, told) in [
        (&["nodes", "^/dev/zero"][..], 2, "more than 16 MiB"),
        (&["apply", "-f", "/dev/zero"], 2, "more than 128 MiB"),
        (&["node", "import", "/dev/zero", "--yes"], 2, "more than 128 MiB"),
        (
            &["secret", "set", "cluster", "a", "--path", "/a", "--content", "@/dev/zero"],
            2,
            "more than 1 MiB",
        ),
        (&["secret", "set", "cluster", "a", "--path", "/a", "--content", &large], 2, "1 MiB"),
        (&["bmcsetup", "add", "a", "--password", "@/dev/zero"], 2, "more than 1 MiB"),
        (&["rack", "place", "r1", "n1", "--position", "-1"], 2, "'-1'"),
        (&["rack", "add", "r2", "--size", "-3"], 1, "-3"),
        (&["node", "change", "n1", "--script-timeout", "-3"], 1, "-3"),
        (&["undo", "x"], 2, "perilune history"),
        (&["undo", "1..x"], 2, "perilune history"),
        (&["undo", "-1"], 2, "-1"),
        (&["diff", "a..b"], 2, "perilune history"),
        (&["node", "change", "n[1-30]", "--osimage", "nothere"], 1, "n[1-20]: osimage: there is"),
        (&["node", "change", "n[1-30]", "--osimage", "nothere"], 1, "the first twenty are told"),
        (&["node", "add", "n1", "--group", "compute"], 1, "perilune node change n1"),
        (&["backup", "/dev/full"], 2, "is not a file"),
        (&["--dry-run", "backup", "backup.tar.zst"], 2, "cannot be tried"),
        (&["--dry-run", "login", "--username", "a"], 2, "cannot be tried"),
        (&["--dry-run", "logout"], 2, "cannot be tried"),
        (&["--dry-run", "setup", "--yes"], 2, "cannot be tried"),
        (&["--dry-run", "serve"], 2, "cannot be tried"),
    ] {
        let output = perilune(data, words);
        let text = errors(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", said(&output));
        assert!(text.contains(told) && text.len() < 1000, "{words:?}: {text}");
    }
    assert_eq!(newest(data), before);
    let device = std::fs::metadata("/dev/full").unwrap().file_type();
    assert!(device.is_char_device(), "the device is no device any more");
}

#[test]
fn tables_of_spreadsheets_are_read_and_half_a_quote_is_told() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = Daemon::start(data);
    let output = perilune(data, &["group", "add", "compute"]);
    assert!(output.status.success(), "{}", said(&output));
    let import = |text: &[u8]| {
        let path = data.join("nodes.csv");
        std::fs::write(&path, text).unwrap();
        let output = perilune(data, &["--dry-run", "node", "import", &path.display().to_string()]);
        (output.status.code(), said(&output))
    };
    for text in [
        "name,group\nx1,compute\nx2,compute\n",
        "\u{feff}name;group\r\nx1;compute\r\nx2;compute\r\n",
        "# of today\n\nname\tgroup\nx1\tcompute\nx2\tcompute",
        "\"name\",\"group\",\"comment\"\nx1,compute,\"a \"\"quote\"\", and\na line\"\nx2,compute,\n",
    ] {
        let (code, said) = import(text.as_bytes());
        assert_eq!(code, Some(0), "{text}: {said}");
        assert!(said.contains("+ node x1\n+ node x2\n"), "{text}: {said}");
    }
    let endless = format!("name,{}\nx1,1\n", "x".repeat(100_000));
    for (text, told) in [
        // Half a quote would take the nodes behind it into a comment.
        (
            "name,group,comment\nx1,compute,\"one\nx2,compute,two\nx3,compute,three\n",
            "row 2: a quote is opened",
        ),
        ("name,group,group\nx1,compute,compute\n", "row 1, column group: it is there twice"),
        (endless.as_str(), "xxx…"),
        ("name,group\nx1,compute\nx2\n", "row 3"),
        ("", "there is no column name"),
    ] {
        let (code, said) = import(text.as_bytes());
        assert_eq!(code, Some(2), "{text:.80}: {said}");
        assert!(said.contains(told) && said.len() < 500, "{text:.80}: {said}");
        assert_eq!(said.matches(told).count(), 1, "{text:.80}: {said}");
    }
    assert_eq!(import(b"name,group\nx1,\xff\xfe\n").0, Some(2));
}
