//! What the machine says about itself: maker and serial number, from its firmware's table of the system (DMTF DSP0134,
//! type 1).

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

const TABLES: &str = "/sys/class/dmi/id";
/// The firmware's own limit is far below.
const LONGEST: usize = 200;
/// What firmware has where nobody filled in anything, without what is neither letter nor digit.
const FILLERS: [&str; 25] = [
    "asset",
    "baseboardserialnumber",
    "chassisserialnumber",
    "default",
    "defaultstring",
    "empty",
    "invalid",
    "manufacturer",
    "na",
    "none",
    "notapplicable",
    "notavailable",
    "notprovided",
    "notset",
    "notspecified",
    "null",
    "oem",
    "serialnumber",
    "sernum",
    "standard",
    "systemmanufacturer",
    "systemserialnumb",
    "systemserialnumber",
    "tobefilledbyoem",
    "unknown",
];

/// Whether a text is none that somebody gave this machine: a word that says so, one character over and over, or digits in a row.
fn is_filler(text: &str) -> bool {
    let plain: String =
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let mut characters = plain.chars();
    let first = characters.next();
    let repeats = plain.len() != 1 && characters.all(|next| Some(next) == first);
    let counts = plain.len() > 4
        && ["0123456789", "1234567890"].iter().any(|row| row.repeat(2).starts_with(&plain));
    FILLERS.contains(&plain.as_str()) || plain == "0" || repeats || counts
}

/// The fields of the node's record that the machine itself knows.
pub fn of_this_machine() -> Map<String, Value> {
    read(Path::new(TABLES))
}

fn read(tables: &Path) -> Map<String, Value> {
    let fields = [("vendor", "sys_vendor"), ("assettag", "product_serial")];
    let known = fields.into_iter().filter_map(|(field, file)| {
        let text = fs::read_to_string(tables.join(file)).ok()?;
        let text: String = text.trim().chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        (!text.is_empty() && !is_filler(&text)).then(|| (field.to_owned(), Value::from(text)))
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fillers_of_firmware_are_told_from_serial_numbers() {
        for filler in [
            "Default string",
            "To Be Filled By O.E.M.",
            "To be filled by O.E.M",
            "System Serial Number",
            "SystemSerialNumb",
            "Not Specified",
            "N/A",
            "none",
            "0",
            "00000000",
            "XXXXXXXXXX",
            "..........",
            "FFFFFFFF",
            "0123456789",
            "123456789",
            "1234567890",
            "0123456789012345",
            "INVALID",
            "System manufacturer",
            "-",
        ] {
            assert!(is_filler(filler), "{filler}");
        }
        for serial in [
            "R12-U07",
            "CZ3401ABCD",
            "1234",
            "S000001",
            "ABC",
            "7",
            "Dell Inc.",
            "QEMU",
            "1123456789",
            "0012345",
        ] {
            assert!(!is_filler(serial), "{serial}");
        }
    }

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
