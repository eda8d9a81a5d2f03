//! What could follow in a selector of nodes: names, groups, racks, states, as the daemon knows them.

use std::collections::BTreeSet;

use perilune::client::Client;
use serde_json::{Value, json};

/// The words before a colon.
const WORDS: [&str; 8] =
    ["group:", "rack:", "switch:", "image:", "tag:", "state:", "power:", "label:"];
/// More than so many names help nobody who types, and shells are slow with them.
const MOST: usize = 2_000;

/// The whole words that the one being typed could become.
pub(super) fn candidates(client: &Client, typed: &str) -> Vec<String> {
    let begin = begin_of_term(typed);
    let (before, term) = typed.split_at_checked(begin).unwrap_or(("", typed));
    let ends: Vec<String> = match prefix(term) {
        Some((prefix, value)) => {
            let values = values(client, prefix);
            let fitting = values.into_iter().filter(|known| known.starts_with(value));
            fitting.map(|known| format!("{prefix}{known}")).collect()
        }
        // A file is completed by nobody here.
        None if term.starts_with('^') => Vec::new(),
        None => {
            let names = names(client, term).into_iter();
            let words = WORDS.into_iter().filter(|word| !term.is_empty() && word.starts_with(term));
            names.chain(words.map(str::to_owned)).collect()
        }
    };
    ends.into_iter().take(MOST).map(|end| format!("{before}{end}")).collect()
}

/// Where the last term begins: behind the last sign that is not in brackets.
fn begin_of_term(typed: &str) -> usize {
    let mut begin = 0;
    let mut is_inside = false;
    for (place, character) in typed.char_indices() {
        match character {
            '[' => is_inside = true,
            ']' => is_inside = false,
            ',' | '&' | '!' | '(' | ')' if !is_inside => begin = place + character.len_utf8(),
            _ => {}
        }
    }
    begin
}

/// What stands before the value of a property, and the value.
fn prefix(term: &str) -> Option<(&str, &str)> {
    if let Some(value) = term.strip_prefix('@') {
        return Some(("@", value));
    }
    let word = WORDS.into_iter().find(|word| term.starts_with(word))?;
    term.split_at_checked(word.len())
}

fn values(client: &Client, prefix: &str) -> BTreeSet<String> {
    let objects = |kind: &str| {
        client.objects(kind).unwrap_or_default().into_iter().map(|(name, _)| name).collect()
    };
    match prefix {
        "@" | "group:" => objects("group"),
        "rack:" => objects("rack"),
        "switch:" => objects("switch"),
        "image:" => objects("osimage"),
        "tag:" => of_nodes(client, "tag"),
        "state:" => of_nodes(client, "status"),
        "power:" => ["off", "on"].map(str::to_owned).into(),
        "label:" => {
            let lists = of_nodes(client, "labels");
            lists.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// The texts that nodes have in a column.
fn of_nodes(client: &Client, column: &str) -> BTreeSet<String> {
    let body = json!({ "selector": "*", "columns": [column] });
    let answer = client.post("/select/node", &body).unwrap_or_default();
    let rows = answer.get("rows").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let texts = rows.iter().filter_map(|row| row.get(0)?.as_str());
    texts.filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// Names of nodes that begin so. What is no beginning of a name is no selector of names.
fn names(client: &Client, term: &str) -> Vec<String> {
    if !term.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.')) {
        return Vec::new();
    }
    let answer = client.post("/select/node", &json!({ "selector": format!("{term}*") }));
    let answer = answer.unwrap_or_default();
    let names = answer.get("nodes").and_then(Value::as_array);
    let names = names.into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::{begin_of_term, prefix};

    #[test]
    fn the_last_term_is_completed() {
        for (typed, term) in [
            ("node00", "node00"),
            ("node[001-003,1", "node[001-003,1"),
            ("node[001-003],r", "r"),
            ("rack:r1&!sta", "sta"),
            ("(rack:r1,@co", "@co"),
            ("ä,@ö", "@ö"),
            ("", ""),
        ] {
            assert_eq!(typed.get(begin_of_term(typed)..), Some(term), "{typed}");
        }
        assert_eq!(prefix("@co"), Some(("@", "co")));
        assert_eq!(prefix("label:canary=y"), Some(("label:", "canary=y")));
        assert_eq!(prefix("node1"), None);
    }
}
