use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::config::{Ini, Settings, ini};

/// Set to write the page instead of comparing it.
const UPDATE: &str = "PERILUNE_UPDATE_DOCS";

#[test]
fn the_page_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        kept == page(),
        "docs/configuration.md is not what the table says: run this test with {UPDATE}=1"
    );
}

/// Keys of a table that have an effect, or have none.
fn keys(table: &[Section], has_effect: bool) -> BTreeSet<(String, String)> {
    let keys = table.iter().flat_map(|section| section.keys.iter().map(move |key| (section, key)));
    keys.filter(|(_, key)| key.meaning.is_some() == has_effect)
        .map(|(section, key)| (section.name.to_owned(), key.name.to_owned()))
        .collect()
}

#[test]
fn what_is_read_of_luna_ini_is_what_the_table_says() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("luna.ini");
    let text = "[API]\nUSERNAME = a\nPASSWORD = b\nSECRET_KEY = c\n[OSUSER]\nDRIVER = obol\n";
    std::fs::write(&file, text).unwrap();
    let mut asked = ini::asked_by(|| drop(Settings::read(&file, directory.path()).unwrap()));
    let ldap = text.replace("obol", "ldap\nLDAP_URI = ldaps://a\nLDAP_BASE = dc=b\n[SERVICES]\nDHCP = dhcpd\nDHCP6 = dhcpd6\nDNS = named");
    std::fs::write(&file, ldap).unwrap();
    asked.extend(ini::asked_by(|| drop(Settings::read(&file, directory.path()).unwrap())));
    assert_eq!(asked, keys(LUNA_INI, true));
    assert!(keys(LUNA_INI, false).len() > 10);
}

#[test]
fn what_is_read_of_bootstrap_ini_is_what_the_table_says() {
    let text = "[HOSTS]\nCONTROLLER = a:10.0.0.1\nCONTROLLER1 = b:10.0.0.2\n[OSIMAGE]\nNAME = c\n[BMCSETUP]\nNAME = d\n";
    let parsed = Ini::parse(text).unwrap();
    let asked = ini::asked_by(|| {
        crate::bootstrap::from_ini(&parsed, Path::new("/no/images")).unwrap();
    });
    assert_eq!(asked, keys(BOOTSTRAP_INI, true));
    assert_eq!(keys(BOOTSTRAP_INI, false), BTreeSet::new());
}
