//! How long it takes to select among 50,000 nodes: `cargo run --release -p perilune-select --example select`.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::borrow::Cow;
use std::time::Instant;

use perilune_select::{Facts, Key, Selector};

const NODES: usize = 50_000;
const TIMES: u32 = 20;

/// Nodes in racks of 100, one in ten of them off.
struct Site(Vec<String>);

impl Facts for Site {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn name(&self, position: usize) -> &str {
        self.0.get(position).map_or("", String::as_str)
    }

    fn value(&self, position: usize, key: &Key) -> Option<Cow<'_, str>> {
        match key {
            Key::Rack => Some(format!("r{:03}", position / 100).into()),
            Key::Power => Some(if position.is_multiple_of(10) { "off" } else { "on" }.into()),
            Key::Group => Some("compute".into()),
            Key::Switch | Key::Image | Key::Tag | Key::State | Key::Label(_) => None,
        }
    }

    fn label_keys(&self) -> Vec<String> {
        Vec::new()
    }

    fn known(&self, _: &Key) -> Option<Vec<String>> {
        None
    }
}

fn main() {
    let site = Site((1..=NODES).map(|number| format!("node{number:05}")).collect());
    for text in [
        "node[00001-50000]",
        "node[00001-50000/2]&@compute",
        "node*",
        "*7*",
        "rack:r[000-250]&power:off",
        "@compute&!power:off,!rack:r1*,node00017",
        "node[1-5]????",
    ] {
        let began = Instant::now();
        let mut found = 0;
        for _ in 0..TIMES {
            let names = Selector::parse(text)
                .and_then(|selector| selector.select(&site).map(|names| names.len()));
            found = names.unwrap_or_default();
        }
        println!("{:>8.2?}  {found:>6} of {NODES}  {text}", began.elapsed() / TIMES);
    }
}
