use proptest::prelude::*;

use super::{expand, fold};
use crate::Error;

fn names(list: &str) -> Vec<String> {
    expand(list).unwrap()
}

fn reason(list: &str) -> String {
    expand(list).unwrap_err().to_string()
}

#[test]
fn a_range_counts_with_the_width_of_its_lower_bound() {
    assert_eq!(names("node[001-003,200]"), ["node001", "node002", "node003", "node200"]);
    assert_eq!(names("n[9-11]"), ["n9", "n10", "n11"]);
    assert_eq!(names("n[09-11]"), ["n09", "n10", "n11"]);
    assert_eq!(names("n[01-3]"), ["n01", "n02", "n03"]);
    assert_eq!(names("n[1-002]"), ["n1", "n2"]);
    assert_eq!(names("n[0-0]"), ["n0"]);
    assert_eq!(names("n[1-9/2]"), ["n1", "n3", "n5", "n7", "n9"]);
    assert_eq!(names("n[08-20/5,7]"), ["n08", "n13", "n18", "n7"]);
}

#[test]
fn several_brackets_multiply_and_may_touch() {
    assert_eq!(names("n[1-2][3-4]"), ["n13", "n14", "n23", "n24"]);
    assert_eq!(names("r[1-2]c[1]x"), ["r1c1x", "r2c1x"]);
    assert_eq!(names("[1-3]"), ["1", "2", "3"]);
}

#[test]
fn lists_are_separated_by_commas_and_name_everything_once_in_the_order_written() {
    assert_eq!(names("b,a[1-2]c,d"), ["b", "a1c", "a2c", "d"]);
    assert_eq!(names("node2, node1,,node2,"), ["node2", "node1"]);
    assert_eq!(names("n[1,1,2]"), ["n1", "n2"]);
    assert!(names("").is_empty());
}

#[test]
fn a_range_may_go_from_name_to_name() {
    assert_eq!(names("node009..node011"), ["node009", "node010", "node011"]);
    assert!(reason("node1..other3").contains("node001..node004"));
    assert!(reason("a..a").contains("[001-128,200]"));
}

#[test]
fn what_is_not_a_host_list_is_refused_with_the_reason() {
    assert!(reason("n[3-1]").contains("smaller number first"));
    for list in ["n[]", "n[a-b]", "n[1-2-3]", "n[ 1-2]", "n[1,,2]", "n[-1]", "n[1-9/]", "n[1-9/x]"]
    {
        assert!(reason(list).contains("numbers such as"), "{list}");
    }
    assert!(reason("n[1-2").contains("not closed"));
    assert!(reason("n]1").contains("not opened"));
    assert!(reason("n[1-9/0]").contains("step of 0"));
    assert!(reason("n[5/2]").contains("belongs to a range"));
    assert!(reason("n*").contains("wildcard"));
    assert_eq!(
        reason("a,n[1-2,3-b]"),
        "a range is numbers such as [001-128,200] or [1-9/2] (character 9 of \"a,n[1-2,3-b]\")"
    );
    assert!(reason("n[[1]]").contains("inside a bracket"));
    assert!(reason("n[1-99999999999999999999]").contains("18 digits"));
    assert!(reason(&"x".repeat(254)).contains("253 characters"));
    assert!(reason(&format!("{}[1-2]", "x".repeat(253))).contains("253 characters"));
}

#[test]
fn a_list_of_more_than_a_hundred_thousand_names_is_refused_and_the_count_is_told() {
    assert_eq!(names("n[1-100000]").len(), 100_000);
    assert_eq!(expand("n[1-100000],x"), Err(Error::TooMany { count: 100_001 }));
    assert_eq!(expand("n[1-1000][1-1000]"), Err(Error::TooMany { count: 1_000_000 }));
    let endless = "[0-999999999999999999]".repeat(9);
    assert_eq!(expand(&endless), Err(Error::TooMany { count: u128::MAX }));
}

#[test]
fn names_are_folded_as_an_administrator_would_write_them() {
    let folded = |names: &[&str]| fold(names);
    assert_eq!(fold((1..=998).map(|number| format!("node{number:03}"))), "node[001-998]");
    assert_eq!(folded(&["n3", "n1", "n2", "n1"]), "n[1-3]");
    assert_eq!(folded(&["n9", "n10", "n11"]), "n[9-11]");
    assert_eq!(folded(&["n01", "n2", "n10", "n09"]), "n[01,2,09-10]");
    assert_eq!(folded(&["n1", "n2", "n01", "n02"]), "n[1-2,01-02]");
    assert_eq!(folded(&["n8", "n9", "n10", "n011"]), "n[8-10,011]");
    assert_eq!(folded(&["n1x1", "n1x2", "n2x1", "n2x2"]), "n[1-2]x[1-2]");
    assert_eq!(folded(&["n1x1", "n2x1"]), "n[1-2]x1");
    assert_eq!(folded(&["a1b1", "a1b2", "a2b2"]), "a1b[1-2],a2b2");
    assert_eq!(folded(&["login", "n1", "n3"]), "login,n[1,3]");
    assert_eq!(folded(&[]), "");
}

proptest! {
    #[test]
    fn expanding_what_was_folded_gives_the_same_names(
        names in prop::collection::btree_set("[a-c]{0,2}[0-9]{1,3}([a-c.-][0-9]{0,2}){0,2}", 0..60)
    ) {
        // `..` is the notation for a range; the API collapses it, so no name contains it.
        let names: std::collections::BTreeSet<String> =
            names.into_iter().filter(|name| !name.contains("..")).collect();
        let expanded = expand(&fold(&names)).unwrap();
        prop_assert_eq!(expanded.len(), names.len());
        prop_assert_eq!(expanded.into_iter().collect::<std::collections::BTreeSet<_>>(), names);
    }

    #[test]
    fn folding_an_expanded_range_gives_it_back(low in 0_u64..2000, count in 1_u64..500, width in 1_usize..5) {
        let list = format!("node[{low:0width$}-{high:0width$}]", high = low + count);
        prop_assert_eq!(fold(expand(&list).unwrap()), list);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-c0-9,.\\[\\]-]{0,40}|.{0,40}") {
        if let Ok(names) = expand(&text) {
            fold(names);
        }
    }
}
