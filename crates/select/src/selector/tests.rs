use proptest::prelude::*;

use super::Selector;

fn reason(text: &str) -> String {
    Selector::parse(text).unwrap_err().to_string()
}

#[test]
fn names_and_ranges_alone_are_plain() {
    let plain = |text: &str| Selector::parse(text).unwrap().plain().map(Result::unwrap);
    assert_eq!(plain("b,a[1-2], c").unwrap(), ["b", "a1", "a2", "c"]);
    assert_eq!(plain("node1..node3").unwrap(), ["node1", "node2", "node3"]);
    assert_eq!(plain("n[1-5/2],n1").unwrap(), ["n1", "n3", "n5"]);
    for text in ["n*", "@a", "rack:r1", "!a", "a,!b", "a&b", "(a)", "^file", "-", "a!b"] {
        assert_eq!(plain(text), None, "{text}");
    }
}

#[test]
fn too_many_names_are_refused_before_they_are_made() {
    assert!(reason("node[1-9999999999]").contains("names 9999999999 hosts"));
    assert!(reason("a&!(b,node[1-9999999999])").contains("names 10000000001 hosts"));
    assert!(reason(&["n[0-99999]"; 2].join(",")).contains("names 200000 hosts"));
    assert!(reason(&["n[0-99999]"; 2].join("&")).contains("names 200000 hosts"));
    let endless = format!("n{}", "[0-999999999999999999]".repeat(9));
    assert!(reason(&endless).contains("hosts"));
    // What is compared is not made.
    assert!(Selector::parse("n[1-9999999999]*,rack:r[1-9999999999]").is_ok());
    let steps = Selector::parse("n[0-999999999999999999/100000000000000]").unwrap();
    assert_eq!(steps.plain().unwrap().unwrap().len(), 10_000);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, expected) in [
        ("", "nothing is named (character 1 of \"\")"),
        (" , ", "nothing is named (character 4 of \" , \")"),
        ("node[1", "a bracket is opened and not closed (character 5 of \"node[1\")"),
        ("a,n]", "a bracket is closed that was not opened (character 4 of \"a,n]\")"),
        ("n[[1]]", "a bracket inside a bracket; write node[1-3][1-2] (character 3 of \"n[[1]]\")"),
        ("a,(b", "a parenthesis is opened and not closed (character 3 of \"a,(b\")"),
        ("a)", "a parenthesis is closed that was not opened (character 2 of \"a)\")"),
        ("()", "nothing is named in the parentheses (character 1 of \"()\")"),
        ("(a)b", "expected , & or ! here (character 4 of \"(a)b\")"),
        ("a&", "a name is missing here (character 3 of \"a&\")"),
        ("a&,b", "a name is missing here (character 3 of \"a&,b\")"),
        ("!", "a name is missing here (character 2 of \"!\")"),
        ("a b", "a blank; names are separated by commas (character 2 of \"a b\")"),
        ("é,rack:", "the rack is missing here (character 8 of \"é,rack:\")"),
        ("@", "the group is missing here (character 2 of \"@\")"),
        ("^", "^ is followed by the name of a file (character 1 of \"^\")"),
    ] {
        assert_eq!(reason(text), expected, "{text}");
    }
    assert!(reason("rakc:r1").contains("no property rakc; there are group, rack, switch"));
    assert!(reason("label:canary").contains("label:canary=yes"));
    assert!(reason("a,!b&c").contains("write b&!a"));
    let long = "node[1-100],".repeat(20) + "@";
    assert!(
        reason(&long).ends_with("(character 242 of \"…e[1-100],node[1-100],@\")")
            || reason(&long).contains("character 242"),
        "{}",
        reason(&long)
    );
}

#[test]
fn what_would_keep_the_daemon_busy_is_refused() {
    assert!(reason(&["n*"; 101].join(",")).contains("100 parts"));
    assert!(Selector::parse(&["n*"; 100].join(",")).is_ok());
    assert!(reason(&("(".repeat(100_000) + "a")).contains("16 deep"));
    assert!(reason(&vec!["a"; 2000].join("&")).contains("1000 signs"));
    assert!(Selector::parse(&vec!["a"; 100_000].join(",")).is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-c0-9,.\\[\\]/*?!&@^:()= -]{0,40}|.{0,40}") {
        if let Ok(selector) = Selector::parse(&text) {
            prop_assert_eq!(selector.text(), text);
            selector.plain();
        }
    }
}
