//! YAML.

use perilune_notation::{Error, Place, read, read_yaml, write_yaml};
use proptest::prelude::*;
use serde_json::json;

fn refusal(text: &str) -> String {
    read_yaml(text).unwrap_err().to_string()
}

#[test]
fn a_key_that_is_there_twice_is_refused_with_both_places() {
    let at = |line, column| Place { line, column };
    for (text, key, first, second) in [
        ("node:\n  a: {}\ngroup: {}\nnode:\n  b: {}\n", "node", at(1, 1), at(4, 1)),
        ("node:\n  a: {group: x}\n  a: {group: y}\n", "a", at(2, 3), at(3, 3)),
        ("{a: 1, b: {c: 1, c: 2}}", "c", at(1, 12), at(1, 18)),
        ("- a: 1\n  b: 2\n  a: 3\n", "a", at(1, 3), at(3, 3)),
        ("a: 1\n\"a\": 2\n", "a", at(1, 1), at(2, 1)),
        ("? a\n: 1\n? 'a'\n: 2\n", "a", at(1, 3), at(3, 3)),
        ("k: &k a\no: {a: 1, *k : 2}\n", "a", at(2, 5), at(2, 11)),
        ("é: {ü: 1, ü: 1}", "ü", at(1, 5), at(1, 11)),
        ("null: 1\nnull: 2\n", "null", at(1, 1), at(2, 1)),
        ("{\"a\": 1,\r\n \"a\": 2}", "a", at(1, 2), at(2, 2)),
    ] {
        let expected = Error::Twice { key: key.to_owned(), first, second };
        assert_eq!(read(text).unwrap_err(), expected, "{text}");
    }
    for text in ["a: {a: 1}\nb: {a: 1}\n", "- {a: 1}\n- {a: 1}\n", "a: 1\nA: 1\n", "1: x\n01: y\n"]
    {
        assert!(read(text).is_ok(), "{text}");
    }
}

#[test]
fn a_text_is_the_text_that_stands_there() {
    for text in super::TRAPS {
        let is_whole = text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
        let is_word = matches!(text.to_lowercase().as_str(), "true" | "false" | "null" | "~" | "");
        let is_no_scalar = text.trim().is_empty()
            || text.starts_with(['!', '&', '*', '-', '%', '@', '`'])
            || text.contains(": ")
            || text.contains(" #")
            || text.ends_with(':');
        if is_whole || is_word || is_no_scalar || text == "<<" {
            continue;
        }
        assert_eq!(read_yaml(&format!("a: {text}\n")).unwrap(), json!({ "a": text }), "{text}");
        assert_eq!(read_yaml(&format!("{text}: a\n")).unwrap(), json!({ text: "a" }), "{text}");
    }
    let plain = "a: 12\nb: -3\nc: true\nd: ~\ne:\nf: '12'\ng: \"true\"\nh: !!str true\ni: ! 12\n";
    let value = json!({"a": 12, "b": -3, "c": true, "d": null, "e": null, "f": "12", "g": "true", "h": "true", "i": "12"});
    assert_eq!(read_yaml(plain).unwrap(), value);
}

#[test]
fn what_would_be_something_else_than_it_seems_is_refused_with_its_place() {
    assert!(refusal("a: &a {b: 1}\nc:\n  <<: *a\n").starts_with("line 3 column 3: merging by <<"));
    assert_eq!(read_yaml("a: &a {b: 1}\nc: *a\n").unwrap(), json!({"a": {"b": 1}, "c": {"b": 1}}));
    assert!(refusal("a: &a [*a]\n").contains("within what it repeats"));
    assert!(refusal("a: 1\n---\na: 2\n").contains("line 2 column 1: a second document begins"));
    assert!(refusal("a: !!float 1\n").starts_with("line 1 column"));
    assert!(refusal("a: !secret x\n").contains("is not read; remove it"));
    assert!(refusal("? [a]\n: 1\n").contains("a key must be a text"));
    assert!(refusal("a: [b").starts_with("line "));
    let many = (1..12).fold("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
        let before = vec![format!("*a{}", n - 1); 10].join(", ");
        format!("{text}a{n}: &a{n} [{before}]\n")
    });
    assert!(refusal(&many).contains("too large"));
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    assert!(read_yaml(&deep).is_err());
    let deep = (0..500).map(|n| " ".repeat(n) + "a:\n").collect::<String>();
    assert!(matches!(read_yaml(&deep), Err(Error::TooDeep(_))));
}

#[test]
fn json_with_all_its_escapes_is_a_document_too() {
    let text = "{\n\t\"a\": \"\\ud83d\\ude00\\/\"\n}";
    assert_eq!(read(text).unwrap(), json!({"a": "\u{1f600}/"}));
}

#[test]
fn a_document_looks_as_people_write_it() {
    let value = json!({"network": {"cluster": {"network": "10.141.0.0/16", "dhcp": true, "comment": "yes"}},
        "group": {"compute": {"postscript": "echo one\n\n\techo two\n", "interfaces": [{"interface": "BOOTIF", "mtu": 9000}], "roles": []}},
        "node": {"node001": {"assettag": "1e5", "mac": "52:54:00:00:00:01", "items": [[1], {}]}}});
    let text = "network:\n  cluster:\n    network: 10.141.0.0/16\n    dhcp: true\n    comment: 'yes'\ngroup:\n  compute:\n    postscript: |\n      echo one\n\n      \techo two\n    interfaces:\n    - interface: BOOTIF\n      mtu: 9000\n    roles: []\nnode:\n  node001:\n    assettag: '1e5'\n    mac: '52:54:00:00:00:01'\n    items:\n    - - 1\n    - {}\n";
    assert_eq!(write_yaml(&value), text);
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in super::value()) {
        let text = write_yaml(&value);
        prop_assert_eq!(read_yaml(&text).unwrap(), value, "{}", text);
    }
}
