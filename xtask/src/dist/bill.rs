//! The software bill of materials: every crate that is compiled into the programs, in the form of `CycloneDX` 1.5.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{NAME, Release};
use crate::build::root;
use crate::dependencies::Crate;

/// The document, the same for the same commit: it has no serial number and no time of its own.
pub(super) fn document(crates: &[Crate], release: &Release) -> Result<String> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).context("Cargo.lock")?;
    let checksums = checksums(&lock);
    let components: Vec<Value> = crates
        .iter()
        .filter(|one| !one.is_ours)
        .map(|one| component(one, checksums.get(&(one.name.as_str(), one.version.as_str()))))
        .collect();
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": NAME,
                "name": NAME,
                "version": release.version,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            },
        },
        "components": components,
    });
    Ok(format!("{bill:#}\n"))
}

fn component(one: &Crate, checksum: Option<&&str>) -> Value {
    let package = format!("pkg:cargo/{}@{}", one.name, one.version);
    let named = json!({
        "type": "library",
        "bom-ref": package,
        "name": one.name,
        "version": one.version,
        "purl": package,
    });
    // Old manifests have a slash where the standard has a word.
    let licence = one.licence.as_ref().map(|licence| {
        let expression = licence.replace(" / ", "/").replace('/', " OR ");
        ("licenses".to_owned(), json!([{ "expression": expression }]))
    });
    let checksum = checksum
        .map(|checksum| ("hashes".to_owned(), json!([{ "alg": "SHA-256", "content": checksum }])));
    let named = named.as_object().cloned().unwrap_or_default();
    Value::Object(named.into_iter().chain(licence).chain(checksum).collect())
}

/// What `Cargo.lock` holds each crate against, by name and version.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let value = |block: &'_ str, key: &str| -> Option<(usize, usize)> {
        let start = block.find(&format!("\n{key} = \""))? + key.len() + 5;
        Some((start, start + block.get(start..)?.find('"')?))
    };
    let read = |block| {
        let text = |key| value(block, key).and_then(|(start, end)| str::get(block, start..end));
        Some(((text("name")?, text("version")?), text("checksum")?))
    };
    lock.split("[[package]]").filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crate_is_named_with_its_licence_and_checksum() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"00ff\"\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        let checksums = checksums(lock);
        assert_eq!(checksums, BTreeMap::from([(("a", "1.0.0"), "00ff")]));
        let one = Crate {
            name: "a".to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some("MIT/Apache-2.0".to_owned()),
            is_ours: false,
            directory: "/".into(),
        };
        let component = component(&one, checksums.get(&("a", "1.0.0")));
        assert_eq!(component["purl"], "pkg:cargo/a@1.0.0");
        assert_eq!(component["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(component["hashes"][0]["content"], "00ff");
    }
}
