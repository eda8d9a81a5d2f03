//! Which database the daemon uses: its own, or a PostgreSQL for several controllers.

use std::path::Path;

use nix::unistd::gethostname;
use perilune_store::{Address, Encryption, Host, Standby};

use super::ini::Ini;
use super::keys;

const SECTION: &str = "DATABASE";
const PORT: u16 = 5432;
/// What these say has no effect without `ENGINE = postgresql`; `DRIVER`, `HOST` and their like are those of existing sites.
const KEYS: [&str; 7] = ["HOSTS", "NAME", "USER", "PASSWORD_FILE", "TLS", "CA_FILE", "SYNCHRONOUS"];

/// `None` where the daemon has a database of its own. `DRIVER`, `DATABASE`, `HOST` and `PORT` of an existing site never choose another.
pub(super) fn read(ini: &Ini, data_dir: &Path) -> Result<Option<Address>, String> {
    let given = |key: &str| ini.get(SECTION, key).filter(|text| !text.is_empty());
    match given("ENGINE").map(str::to_ascii_lowercase).as_deref() {
        Some("postgresql") => {}
        None | Some("embedded") => {
            let meant = KEYS.iter().find(|key| given(key).is_some());
            return meant.map_or(Ok(None), |key| {
                Err(format!(
                    "[{SECTION}] {key} is only for ENGINE = postgresql; write that, or remove {key}"
                ))
            });
        }
        Some(_) => {
            let engine = given("ENGINE").unwrap_or_default();
            return Err(format!("[{SECTION}] ENGINE is '{engine}'; write embedded or postgresql"));
        }
    }
    let hosts = keys::words(ini, SECTION, "HOSTS");
    let hosts = hosts.iter().map(|host| Host::parse(host, PORT)).collect::<Result<Vec<_>, _>>();
    let hosts = hosts.map_err(|error| format!("[{SECTION}] HOSTS: {error}"))?;
    if hosts.is_empty() {
        return Err(format!(
            "[{SECTION}] HOSTS is missing; write where PostgreSQL is, such as db1, db2:5433"
        ));
    }
    let name = given("NAME").unwrap_or("perilune");
    let mut address = Address::of(hosts, name, given("USER").unwrap_or("perilune"));
    address.password_file = given("PASSWORD_FILE").map(|file| data_dir.join(file));
    let authority = given("CA_FILE").map(|file| data_dir.join(file));
    match (keys::boolean(ini, SECTION, "TLS")?, authority) {
        (Some(false), Some(_)) => {
            return Err(format!(
                "[{SECTION}] CA_FILE is for TLS alone, and TLS is no; remove one of them"
            ));
        }
        (Some(false), None) => address.encryption = Encryption::None,
        (_, Some(file)) => address.encryption = Encryption::Authority(file),
        (Some(true), None) => address.encryption = Encryption::System,
        // What does not leave this machine needs none.
        (None, None) => {}
    }
    if let Some(word) = given("SYNCHRONOUS") {
        let wrong = || format!("[{SECTION}] SYNCHRONOUS is '{word}'; write require, warn or no");
        address.standby = Standby::from_word(word).ok_or_else(wrong)?;
    }
    Ok(Some(address))
}

/// The name of this controller: as configured, else that of its host.
pub(super) fn controller(ini: &Ini) -> Result<String, String> {
    let given = ini.get(SECTION, "CONTROLLER").filter(|text| !text.is_empty()).map(str::to_owned);
    let host = || gethostname().ok().and_then(|name| name.into_string().ok());
    let name = given.or_else(host).unwrap_or_else(|| "controller".to_owned());
    if !is_controller_name(&name) {
        return Err(format!(
            "[{SECTION}] CONTROLLER is '{name}'; write a name of letters, digits, dots and dashes"
        ));
    }
    Ok(name)
}

/// Whether a controller may be called so.
pub fn is_controller_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<Address>, String> {
        read(&Ini::parse(&format!("[DATABASE]\n{text}")).unwrap(), Path::new("/data"))
    }

    #[test]
    fn a_section_of_an_existing_site_chooses_no_other_database() {
        let shipped = "DRIVER = SQLite3\nDATABASE = /trinity/luna.db\nDBUSER =\nDBPASSWORD =\nHOST =\nPORT =\n";
        assert_eq!(of(shipped), Ok(None));
        let odd = "DRIVER = PostgreSQL Unicode\nDATABASE = luna\nDBUSER = luna\nDBPASSWORD = luna\nHOST = db\nPORT = 5432\n";
        assert_eq!(
            of(odd),
            Ok(None),
            "Luna 2 could be told of other databases, and never used one"
        );
        assert_eq!(of("ENGINE = embedded\n"), Ok(None));
    }

    #[test]
    fn a_shared_database_is_where_the_section_says() {
        let text =
            "ENGINE = PostgreSQL\nHOSTS = db1, db2:5433\nPASSWORD_FILE = database.password\n";
        let shared = of(text).unwrap().unwrap();
        assert_eq!(shared.to_string(), "'perilune' at db1:5432,db2:5433");
        assert_eq!(shared.password_file, Some("/data/database.password".into()));
        assert_eq!(shared.encryption, Encryption::System);
        assert_eq!(shared.user, "perilune");
        assert_eq!(shared.standby, Standby::Expected);
        let required = of(&format!("{text}SYNCHRONOUS = Require\n")).unwrap().unwrap();
        assert_eq!(required.standby, Standby::Required);
        let here = of("ENGINE = postgresql\nHOSTS = /run/postgresql\n").unwrap().unwrap();
        assert_eq!((here.encryption, here.standby), (Encryption::None, Standby::Optional));
    }

    #[test]
    fn what_means_nothing_is_refused_with_its_place() {
        for (text, expected) in [
            ("ENGINE = mysql\n", "write embedded or postgresql"),
            ("ENGINE = postgresql\n", "HOSTS is missing"),
            ("ENGINE = postgresql\nHOSTS = db:port\n", "HOSTS: "),
            ("ENGINE = postgresql\nHOSTS = db\nSYNCHRONOUS = yes\n", "write require, warn or no"),
            ("HOSTS = db1\n", "only for ENGINE = postgresql"),
            (
                "ENGINE = postgresql\nHOSTS = db\nTLS = no\nCA_FILE = ca.pem\n",
                "CA_FILE is for TLS alone",
            ),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let named = |name: &str| {
            controller(&Ini::parse(&format!("[DATABASE]\nCONTROLLER = {name}\n")).unwrap())
        };
        assert_eq!(named("one.cluster"), Ok("one.cluster".to_owned()));
        assert!(named("a b").unwrap_err().contains("CONTROLLER is 'a b'"));
    }
}
