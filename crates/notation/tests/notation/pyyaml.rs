//! Against `PyYAML`, which reads YAML 1.1, as Ansible does.

#![expect(clippy::disallowed_methods, reason = "a test asks another program and waits for it")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use perilune_notation::{read_yaml, write_yaml};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// As many values as go both ways.
const VALUES: usize = 2_000;

/// Runs a program of Python on JSON, and answers the JSON that it prints. None where there is no `PyYAML`.
fn python(program: &str, input: &Value) -> Option<Value> {
    let is_there = Command::new("python3").args(["-c", "import yaml"]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "install python3-yaml");
        return None;
    }
    let mut child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn values() -> Vec<Value> {
    let mut runner = TestRunner::deterministic();
    let traps = super::TRAPS.iter().map(|text| json!({"a": [text], *text: {"b": text}}));
    let any = (0..VALUES).map(|_| super::value().new_tree(&mut runner).unwrap().current());
    traps.chain(any).collect()
}

#[test]
fn pyyaml_reads_what_we_write() {
    let values = values();
    let texts: Vec<String> = values.iter().map(write_yaml).collect();
    let program = "import json, sys, yaml\n\
        texts = json.load(sys.stdin)\n\
        json.dump([yaml.safe_load(text) for text in texts], sys.stdout)";
    let Some(read) = python(program, &json!(texts)) else { return };
    for ((value, text), read) in values.iter().zip(&texts).zip(read.as_array().unwrap()) {
        assert_eq!(read, value, "{text}");
    }
}

#[test]
fn we_read_what_pyyaml_writes() {
    let values = values();
    let program = "import json, sys, yaml\n\
        values = json.load(sys.stdin)\n\
        json.dump([[yaml.safe_dump(value, allow_unicode=wide, default_flow_style=flow) for wide in (True, False) for flow in (True, False)]\n\
            for value in values], sys.stdout)";
    let Some(written) = python(program, &json!(values)) else { return };
    for (value, texts) in values.iter().zip(written.as_array().unwrap()) {
        for text in texts.as_array().unwrap() {
            let text = text.as_str().unwrap();
            assert_eq!(read_yaml(text).as_ref(), Ok(value), "{text}");
        }
    }
}
