//! What changes, object by object and field by field, as people read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use perilune_select::hostlist;
use serde_json::Value;

use super::table::{Tone, paint};
use super::text::field_text;

/// One line for each object, and below it one for each field: `-` what was, `+` what is.
pub(crate) fn render(changes: &[Value], colour: bool) -> String {
    let mut text = String::new();
    for change in changes {
        let of = |key: &str| change.get(key).and_then(Value::as_str).unwrap_or_default();
        let (sign, tone) = match of("action") {
            "create" => ("+", Tone::Good),
            "remove" => ("-", Tone::Bad),
            _ => ("~", Tone::Busy),
        };
        let head = format!("{sign} {} {}", of("kind"), of("name"));
        text.push_str(&paint(&head, tone, colour));
        text.push('\n');
        let fields = change.get("fields").and_then(Value::as_object);
        // What is new or goes is told by its name; all its fields would hide what else happens.
        for (field, values) in fields.into_iter().flatten().filter(|_| of("action") == "change") {
            let shown = |key: &str| {
                let value = values.get(key).filter(|value| !value.is_null());
                value.map(|value| line_of(field, value))
            };
            let (from, to) = (shown("from"), shown("to"));
            let from = from.unwrap_or_else(|| "unset".to_owned());
            let to = to.unwrap_or_else(|| "unset".to_owned());
            // Writing to a text cannot fail.
            writeln!(text, "    {field}: {from} -> {to}").ok();
        }
    }
    text
}

/// How many of each kind come, change and go, and how many interfaces go with changes: nothing that goes hides among what changes.
pub(crate) fn summary(changes: &[Value]) -> String {
    let mut counts: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    for change in changes {
        let of = |key: &str| change.get(key).and_then(Value::as_str).unwrap_or_default();
        let action = ["create", "change", "remove"].iter().position(|word| *word == of("action"));
        *counts.entry((action.unwrap_or(1), of("kind"))).or_default() += 1;
    }
    let words = ["added", "changed", "removed"];
    let parts = counts.iter().map(|((action, kind), count)| {
        let word = words.get(*action).copied().unwrap_or_default();
        format!("{} {kind}{} {word}", grouped(*count), if *count == 1 { "" } else { "s" })
    });
    parts.chain(parts_that_go(changes)).collect::<Vec<_>>().join(", ")
}

/// What goes although its object stays, such as `2,000 interfaces removed`.
pub(crate) fn parts_that_go(changes: &[Value]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for change in changes {
        let is_change = change.get("action").and_then(Value::as_str) == Some("change");
        let fields = change.get("fields").and_then(Value::as_object).filter(|_| is_change);
        for (field, values) in fields.into_iter().flatten() {
            let mut path = field.split('.');
            let part = path.next().and_then(|list| PARTS.iter().find(|(known, _)| *known == list));
            let is_name = path.count() > 0 && part.is_some_and(|(_, key)| field.ends_with(key));
            if let Some((list, _)) =
                part.filter(|_| is_name && values.get("to").is_none_or(Value::is_null))
            {
                *counts.entry(list).or_default() += 1;
            }
        }
    }
    let told = counts.into_iter().map(|(list, count)| {
        let word = if count == 1 { list.trim_end_matches('s') } else { list };
        format!("{} {word} removed", grouped(count))
    });
    told.collect()
}

/// Lists of what objects consist of, and the field that each part has.
const PARTS: [(&str, &str); 4] =
    [("interfaces", ".name"), ("secrets", ".name"), ("tags", ".name"), ("hosts", ".host")];

/// 1,000
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The same with one entry for objects that change alike, under their names as a host list.
pub(crate) fn folded(changes: &[Value]) -> Vec<Value> {
    let mut alike: Vec<(Value, Vec<String>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for change in changes {
        let name = change.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut rest = change.clone();
        if let Some(map) = rest.as_object_mut() {
            map.remove("name");
            // What is new or goes is told by its name.
            if map.get("action").and_then(Value::as_str) != Some("change") {
                map.remove("fields");
            }
        }
        let place = *places.entry(rest.to_string()).or_insert(alike.len());
        match alike.get_mut(place) {
            Some((_, names)) => names.push(name),
            None => alike.push((rest, vec![name])),
        }
    }
    let entries = alike.into_iter().map(|(mut change, names)| {
        if let Some(map) = change.as_object_mut() {
            map.insert("name".to_owned(), hostlist::fold(&names).into());
        }
        change
    });
    entries.collect()
}

/// A value in one line.
fn line_of(field: &str, value: &Value) -> String {
    let text = field_text(field, value);
    match text.split_once('\n') {
        Some((first, _)) => format!("{first} …"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{folded, render};

    #[test]
    fn a_summary_hides_nothing_that_goes() {
        let of = |number: usize| {
            json!({ "kind": "node", "name": format!("n{number}"), "action": "change", "fields": {
                "interfaces.BMC.name": { "from": "BMC", "to": null }, "interfaces.BMC.network": { "from": "ipmi", "to": null } } })
        };
        let mut changes: Vec<_> = (0..1234).map(of).collect();
        changes.push(json!({ "kind": "group", "name": "a", "action": "remove", "fields": {
            "interfaces.BMC.name": { "from": "BMC", "to": null } } }));
        changes.push(json!({ "kind": "node", "name": "x", "action": "create", "fields": {} }));
        assert_eq!(
            super::summary(&changes),
            "1 node added, 1,234 nodes changed, 1 group removed, 1,234 interfaces removed"
        );
    }

    #[test]
    fn what_changes_alike_is_one_line() {
        let of = |name: &str, to: &str| json!({ "kind": "node", "name": name, "action": "change", "fields": { "vendor": { "from": null, "to": to } } });
        let gone = |name: &str| json!({ "kind": "node", "name": name, "action": "remove", "fields": { "a": name } });
        let changes = [of("n1", "a"), of("n2", "b"), of("n3", "a"), gone("n8"), gone("n9")];
        assert_eq!(
            render(&folded(&changes), false),
            "~ node n[1,3]\n    vendor: unset -> a\n~ node n2\n    vendor: unset -> b\n- node n[8-9]\n"
        );
    }

    #[test]
    fn objects_and_their_fields_are_told_line_by_line() {
        let changes = [
            json!({ "kind": "node", "name": "node001", "action": "change", "fields": {
                "comment": { "from": null, "to": "YQ==" } } }),
            json!({ "kind": "node", "name": "node002", "action": "remove", "fields": {
                "comment": { "from": "YQ==", "to": null } } }),
        ];
        assert_eq!(
            render(&changes, false),
            "~ node node001\n    comment: unset -> a\n- node node002\n"
        );
    }
}
