//! The page of all fields is made from the readers of requests.
#![cfg(test)]

use std::path::Path;

use perilune_model::Name;
use perilune_model::plugins::Installed;
use perilune_wire::definition::{Field, Kind, of};
use perilune_wire::{
    bmc_setup, cluster, device, group, network, node, osimage, rack, requests, route, secret, user,
};

/// Set to write the page instead of comparing it.
const UPDATE: &str = "PERILUNE_UPDATE_DOCS";

const HEAD: &str = "\
# Every field of the API

What requests may say, by kind of object. On the command line each is an option of the same name with hyphens: `ntp_server` is
`--ntp-server`. An empty text, or null, takes a value back; what is not said stays. `GET /openapi.json` has the same for programs, with
examples, and `/docs` of a running controller shows it.

This page is made from the code: the readers of requests say what their fields are for.
";

fn resources() -> Vec<(&'static str, Vec<Field>)> {
    let (name, installed) = (Name::default(), Installed::default());
    let controller = ["controller".to_owned()];
    vec![
        ("cluster", of(|fields| cluster::request(fields, &controller, &installed))),
        ("network", of(|fields| network::request(fields, &controller))),
        ("osimage", of(|fields| osimage::request(fields, &name))),
        ("group", of(|fields| group::request(fields, &name, &installed))),
        ("interfaces of a group", of(requests::group_interface)),
        ("node", of(|fields| node::request(fields, &name, &installed))),
        ("interfaces of a node", of(requests::node_interface)),
        ("bmcsetup", of(bmc_setup::request)),
        ("switch", of(device::switch_request)),
        ("interfaces of a switch", of(device::switch_interface_request)),
        ("otherdev", of(device::other_request)),
        ("cloud", of(device::cloud_request)),
        ("rack", of(rack::request)),
        ("route", of(route::request)),
        ("secret", of(secret::request)),
        ("user", of(user::request)),
    ]
}

fn page() -> String {
    let tables = resources().into_iter().map(|(title, fields)| {
        let explained = fields.into_iter().filter(|field| field.help.is_some() || field.is_needed);
        let rows: String = explained.map(|field| row(&field)).collect();
        format!("\n## {title}\n\n| field | value | what it is for |\n| --- | --- | --- |\n{rows}")
    });
    std::iter::once(HEAD.to_owned()).chain(tables).collect()
}

fn row(field: &Field) -> String {
    let help = field.help.unwrap_or_default().replace('|', "\\|");
    let needed = if field.is_needed { " **Needed.**" } else { "" };
    format!("| `{}` | {} | {help}{needed} |\n", field.name, value(field))
}

fn value(field: &Field) -> String {
    match (&field.kind, field.of) {
        (_, Some(of)) => format!("name of a {of}"),
        (Kind::Words(words), _) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        (Kind::Text, _) => "text".to_owned(),
        (Kind::Encoded, _) => "text, base64".to_owned(),
        (Kind::Password, _) => "password".to_owned(),
        (Kind::Flag, _) => "true or false".to_owned(),
        (Kind::Number, _) => "number".to_owned(),
        (Kind::Address, _) => "IP address".to_owned(),
        (Kind::List, _) => "words, with commas".to_owned(),
        (Kind::Labels, _) => "`key=value`, with commas".to_owned(),
        (Kind::Objects(_), _) => "list of objects".to_owned(),
    }
}

#[test]
fn the_page_is_what_the_readers_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fields.md");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == page(), "docs/fields.md is another: run this test with {UPDATE}=1");
}

#[test]
fn names_of_fields_are_plain_and_each_is_there_once() {
    for (title, fields) in resources() {
        for (at, field) in fields.iter().enumerate() {
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(field.name.chars().all(is_plain), "{title}: {}", field.name);
            let twice = fields.iter().skip(at + 1).any(|other| other.name == field.name);
            assert!(!twice, "{title}: {} is read twice", field.name);
            let help = field.help.unwrap_or("x");
            assert!(!help.is_empty() && !help.ends_with('.'), "{title}: {}: {help}", field.name);
        }
    }
}
