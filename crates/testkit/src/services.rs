//! Servers that a site runs itself, as its service manager starts and stops them: ISC dhcpd, Kea and BIND, each with directories of its
//! own. They end with the namespace that they run in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::Error;

/// What stands in for the system's service manager.
const MANAGER: &str = r#"#!/bin/sh
at=$(dirname "$0")
pid="$at/$2.pid"
echo "$1 $2" >>"$at/manager.log"
runs() { [ -s "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null; }
start() {
    log="$at/$2.log"
    case "$2" in
        named) set -- named -f -c "$at/named.conf" ;;
        dhcpd) set -- dhcpd -f -q -cf "$at/dhcpd.conf" -lf "$at/dhcpd.leases" --no-pid br0; touch "$at/dhcpd.leases" ;;
        dhcpd6) set -- dhcpd -6 -f -q -cf "$at/dhcpd6.conf" -lf "$at/dhcpd6.leases" --no-pid br0; touch "$at/dhcpd6.leases" ;;
        kea-dhcp4) set -- kea-dhcp4 -c "$at/kea-dhcp4.conf" ;;
        kea-dhcp6) set -- kea-dhcp6 -c "$at/kea-dhcp6.conf" ;;
        *) echo "Unit $2 not found." >&2; exit 5 ;;
    esac
    setsid unshare --mount sh -c '
        mount -t tmpfs tmpfs /run; mkdir -p /run/named /run/kea
        mkdir -p /var/lib/kea; mount -t tmpfs tmpfs /var/lib/kea
        echo $$ >"$0"; exec "$@"' "$pid" "$@" >>"$log" 2>&1 </dev/null &
    for _ in 1 2 3 4 5 6 7 8 9 10; do runs && return; sleep 0.1; done
}
stop() { runs && kill "$(cat "$pid")"; for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do runs || break; sleep 0.2; done; rm -f "$pid"; }
case "$1" in
    status) if runs; then echo "active (running)"; else echo "inactive (dead)"; exit 3; fi ;;
    start) runs || start "$@" ;;
    stop) stop ;;
    restart) stop; start "$@" ;;
    reload) runs && kill -HUP "$(cat "$pid")" ;;
esac
"#;

/// Makes the directory of such servers, by their keys in `[SERVICES]`. Answers what the configuration of the daemon that writes their
/// files has to say; it ends in the section `[DHCP]`.
pub fn in_directory(at: &Path, services: &[(&str, &str)]) -> Result<String, Error> {
    let failed = |what| move |source| Error::File { what, path: at.display().to_string(), source };
    fs::create_dir_all(at).map_err(failed("cannot make"))?;
    let manager = at.join("manager");
    fs::write(&manager, MANAGER).map_err(failed("cannot write in"))?;
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&manager, executable).map_err(failed("cannot write in"))?;
    let named: Vec<String> =
        services.iter().map(|(key, unit)| format!("{key} = {unit}\n")).collect();
    let path = |name: &str| at.join(name).display().to_string();
    let file = |key: &str, other: &str| {
        let unit = services.iter().find(|(own, _)| *own == key).map(|own| own.1);
        match unit {
            Some(unit) if unit.contains("kea") => path(&format!("{unit}.conf")),
            _ => path(other),
        }
    };
    Ok(format!(
        "[SERVICES]\n{}COMMAND = {}\n\
         [DNS]\nCONFIG_PATH = {}\nZONES_PATH = {}\nZONE_DIRECTORY = {}\n\
         [DHCP]\nCONFIG_PATH = {}\nCONFIG6_PATH = {}\nKEA_SOCKET = {}\nKEA_SOCKET6 = {}\n",
        named.concat(),
        manager.display(),
        path("named.conf"),
        path("named.luna.zones"),
        at.display(),
        file("DHCP", "dhcpd.conf"),
        file("DHCP6", "dhcpd6.conf"),
        path("kea4.socket"),
        path("kea6.socket"),
    ))
}
