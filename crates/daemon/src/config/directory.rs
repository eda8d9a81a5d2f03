//! `[OSUSER]`: where users and groups of the operating systems are kept.

use std::path::PathBuf;

use perilune_directory::{Place, Security};

use super::ini::Ini;
use super::keys;

const SECTION: &str = "OSUSER";
/// The first number of users and groups, unless the site says otherwise: above those of systems.
const FIRST_NUMBER: u32 = 1050;

/// Where users and groups of the operating systems are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryChoice {
    /// Through this program.
    Obol(PathBuf),
    /// In this LDAP server.
    Ldap(Place),
    /// Through the site's own program among the plugins.
    Plugin,
}

impl DirectoryChoice {
    /// What is odd about it and does no harm by itself.
    pub(super) fn odd(&self) -> Option<String> {
        let Self::Ldap(place) = self else { return None };
        let local = ["ldap://localhost", "ldap://127.", "ldap://[::1]"];
        let is_plain = place.uri.starts_with("ldap:") && !place.security.start_tls;
        let travels = is_plain && !local.iter().any(|start| place.uri.starts_with(start));
        travels.then(|| {
            format!("[{SECTION}] LDAP_URI is {}: passwords travel in the clear; set LDAP_STARTTLS = yes, or use ldaps://", place.uri)
        })
    }
}

pub(super) fn read(ini: &Ini) -> Result<DirectoryChoice, String> {
    let driver = ini.get(SECTION, "DRIVER").unwrap_or("obol").to_ascii_lowercase();
    match driver.as_str() {
        "obol" => {
            Ok(DirectoryChoice::Obol(PathBuf::from(ini.get(SECTION, "OBOL").unwrap_or("obol"))))
        }
        "ldap" => place(ini).map(DirectoryChoice::Ldap),
        "plugin" => Ok(DirectoryChoice::Plugin),
        other => Err(format!("[{SECTION}] DRIVER is '{other}'; write obol, ldap or plugin")),
    }
}

fn place(ini: &Ini) -> Result<Place, String> {
    let given = |key: &str| ini.get(SECTION, key).map(str::to_owned);
    let required = |key: &str, example: &str| {
        given(key).ok_or_else(|| {
            format!("[{SECTION}] {key} is missing; DRIVER = ldap needs it, such as {example}")
        })
    };
    let uri = required("LDAP_URI", "ldaps://ldap.cluster")?;
    if !["ldap://", "ldaps://", "ldapi://"].iter().any(|scheme| uri.starts_with(scheme)) {
        return Err(format!(
            "[{SECTION}] LDAP_URI is '{uri}'; begin it with ldap://, ldaps:// or ldapi://"
        ));
    }
    let start_tls = keys::boolean(ini, SECTION, "LDAP_STARTTLS")?.unwrap_or(false);
    if start_tls && !uri.starts_with("ldap:") {
        return Err(format!("[{SECTION}] LDAP_STARTTLS is for ldap:// alone; LDAP_URI is '{uri}'"));
    }
    let base = required("LDAP_BASE", "dc=cluster")?;
    Ok(Place {
        users: given("LDAP_USERS").unwrap_or_else(|| format!("ou=People,{base}")),
        groups: given("LDAP_GROUPS").unwrap_or_else(|| format!("ou=Group,{base}")),
        bind_name: given("LDAP_BIND_DN"),
        password_file: given("LDAP_PASSWORD_FILE").map(PathBuf::from),
        security: Security { start_tls, authorities: given("LDAP_CA").map(PathBuf::from) },
        first_number: keys::number(ini, SECTION, "FIRST_NUMBER")?.unwrap_or(FIRST_NUMBER),
        uri,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(text: &str) -> Result<DirectoryChoice, String> {
        read(&Ini::parse(&format!("[OSUSER]\n{text}")).unwrap())
    }

    #[test]
    fn without_a_word_the_program_of_existing_sites_is_asked() {
        assert_eq!(read(&Ini::default()), Ok(DirectoryChoice::Obol(PathBuf::from("obol"))));
        let own = choice("OBOL = /opt/obol").unwrap();
        assert_eq!(own, DirectoryChoice::Obol(PathBuf::from("/opt/obol")));
    }

    #[test]
    fn a_server_needs_its_address_and_its_base() {
        let text = "DRIVER = ldap\nLDAP_URI = ldap://10.0.0.1\nLDAP_BASE = dc=cluster\nLDAP_STARTTLS = yes\nFIRST_NUMBER = 5000\n";
        let DirectoryChoice::Ldap(place) = choice(text).unwrap() else { panic!("no server") };
        assert_eq!(
            (place.users.as_str(), place.groups.as_str(), place.first_number),
            ("ou=People,dc=cluster", "ou=Group,dc=cluster", 5000)
        );
        assert!(place.security.start_tls);
        for (text, expected) in [
            ("DRIVER = ldap\n", "LDAP_URI is missing"),
            ("DRIVER = ldap\nLDAP_URI = http://x\n", "begin it with ldap://"),
            ("DRIVER = ldap\nLDAP_URI = ldaps://x\n", "LDAP_BASE is missing"),
            ("DRIVER = ldap\nLDAP_URI = ldaps://x\nLDAP_STARTTLS = yes\n", "for ldap:// alone"),
            ("DRIVER = files\n", "write obol, ldap or plugin"),
        ] {
            let error = choice(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn passwords_in_the_clear_are_warned_of() {
        let odd = |uri: &str, more: &str| {
            let text = format!("DRIVER = ldap\nLDAP_BASE = dc=x\nLDAP_URI = {uri}\n{more}");
            choice(&text).unwrap().odd().is_some()
        };
        assert!(odd("ldap://ldap.cluster", ""));
        assert!(!odd("ldap://ldap.cluster", "LDAP_STARTTLS = yes\n"));
        assert!(!odd("ldaps://ldap.cluster", "") && !odd("ldap://127.0.0.1:389", ""));
    }
}
