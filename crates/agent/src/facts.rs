//! What the machine says about itself: maker and serial number, from its firmware's table of the system (DMTF DSP0134,
//! type 1).

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

const TABLES: &str = "/sys/class/dmi/id";
/// The firmware's own limit is far below.
const LONGEST: usize = 200;
/// What firmware has where nobody filled in anything.
const FILLERS: [&str; 13] = [
    "none",
    "0",
    "0123456789",
    "123456789",
    "not applicable",
    "unknown",
    "system serial number",
    "default string",
    "not specified",
    "to be filled by o.e.m.",
    "n/a",
    "not available",
    "chassis serial number",
];

/// The fields of the node's record that the machine itself knows.
pub fn of_this_machine() -> Map<String, Value> {
    read(Path::new(TABLES))
}

fn read(tables: &Path) -> Map<String, Value> {
    let fields = [("vendor", "sys_vendor"), ("assettag", "product_serial")];
    let known = fields.into_iter().filter_map(|(field, file)| {
        let text = fs::read_to_string(tables.join(file)).ok()?;
        let text: String = text.trim().chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        let is_filler = FILLERS.contains(&text.to_lowercase().as_str());
        (!text.is_empty() && !is_filler).then(|| (field.to_owned(), Value::from(text)))
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_filled_in_is_not_told() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(directory.path().join(file), text).unwrap();
        write("sys_vendor", "Fine Machines, Inc.\n");
        write("product_serial", "Default string\n");
        let facts = read(directory.path());
        assert_eq!(facts, Map::from_iter([("vendor".to_owned(), "Fine Machines, Inc.".into())]));
        write("product_serial", "R12-U07\n");
        assert_eq!(read(directory.path()).get("assettag"), Some(&"R12-U07".into()));
        assert_eq!(read(&directory.path().join("none")), Map::new());
    }
}
