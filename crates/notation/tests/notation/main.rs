//! What is read and written, against other readers of the same notations.
#![cfg(test)]

mod json;
mod pyyaml;
mod yaml;

use proptest::prelude::*;
use serde_json::{Map, Value};

/// Any text: mostly what some reader takes for something else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(TRAPS.to_vec()).prop_map(str::to_owned),
        "[-+.0-9:_,eExXoO~=<!&*?|> #'\"yYnNaAoOfF]{0,8}",
        "[ a-z:#\\-\n\t]{0,20}",
        any::<String>(),
    ]
}

/// Any value without numbers that are no whole ones.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let object = prop::collection::vec((text(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::Array),
            object.prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Texts that some reader of YAML takes for something else.
const TRAPS: [&str; 60] = [
    "1e5",
    "1.10",
    "1.0",
    "1.",
    ".5",
    "0o17",
    "012",
    "08",
    "0x1F",
    "0b11",
    "1_000",
    "1,000",
    "+1",
    "-1",
    "-0",
    "00",
    "12345678901234567890123",
    "52:54:00:00:00:01",
    "1:20",
    "190:20:30.15",
    "2026-11-29",
    "2026-11-29T10:00:00Z",
    "2026-11-29 10:00:00",
    "yes",
    "Yes",
    "YES",
    "no",
    "on",
    "Off",
    "y",
    "N",
    "true",
    "True",
    "TRUE",
    "false",
    "null",
    "Null",
    "NULL",
    "~",
    "",
    " ",
    ".inf",
    "-.INF",
    ".nan",
    ".NaN",
    "=",
    "<<",
    "!x",
    "&x",
    "*x",
    "- a",
    "a: b",
    "a #b",
    ":a",
    "a:",
    "%a",
    "@a",
    "`a",
    "802.3ad",
    "10.141.0.0/16",
];
