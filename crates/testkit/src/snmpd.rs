//! A switch: the SNMP agent of the distribution, which tells a table of hardware addresses.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot make its switch has failed"
)]

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command};

use crate::port::free_port;
use crate::process::{command, end, wait_for};
use crate::{Lab, Limit};

const PROGRAM: &str = "/usr/sbin/snmpd";
/// dot1qTpFdbPort and dot1dTpFdbPort.
const TABLES: [&str; 2] = [".1.3.6.1.2.1.17.7.1.2.2.1.2", ".1.3.6.1.2.1.17.4.3.1.2"];

/// What a switch tells.
#[derive(Debug, Clone, Default)]
pub struct Contents(String);

impl Contents {
    /// A hardware address behind a port, in the table by VLAN.
    #[must_use]
    pub fn in_vlan(self, vlan: u32, mac: &str, port: u32) -> Self {
        let [table, _] = TABLES;
        self.row(&format!("{table}.{vlan}.{}", octets(mac)), "integer", &port.to_string())
    }

    /// A hardware address behind a port, in the table without VLANs.
    #[must_use]
    pub fn station(self, mac: &str, port: u32) -> Self {
        let [_, table] = TABLES;
        self.row(&format!("{table}.{}", octets(mac)), "integer", &port.to_string())
    }

    /// What a port is called, shortly and in full.
    #[must_use]
    pub fn port(self, number: u32, short: &str, long: &str) -> Self {
        let interface = 10_000 + number;
        self.row(&format!(".1.3.6.1.2.1.17.1.4.1.2.{number}"), "integer", &interface.to_string())
            .row(&format!(".1.3.6.1.2.1.31.1.1.1.1.{interface}"), "string", short)
            .row(&format!(".1.3.6.1.2.1.2.2.1.2.{interface}"), "string", long)
    }

    /// Any row.
    #[must_use]
    pub fn row(mut self, object: &str, kind: &str, value: &str) -> Self {
        writeln!(self.0, "{object} {kind} {value}").unwrap();
        self
    }
}

fn octets(mac: &str) -> String {
    let octets = mac.split(':').map(|pair| u8::from_str_radix(pair, 16).unwrap().to_string());
    octets.collect::<Vec<_>>().join(".")
}

/// Where what a switch tells comes from.
enum Tells<'a> {
    Table(&'a Contents),
    Bridge,
}

/// A switch that answers until this is dropped.
pub struct Snmpd {
    process: Child,
    directory: tempfile::TempDir,
    address: SocketAddr,
}

impl Snmpd {
    /// A switch at a free port of this machine. `None`, said aloud, where the distribution's agent is not installed.
    pub fn start(community: &str, contents: &Contents) -> Option<Self> {
        let free = SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self::run(|program| command(program), free, community, &Tells::Table(contents))
    }

    /// A switch at this address of a lab, at the port of SNMP.
    pub fn start_in(
        lab: &Lab,
        address: IpAddr,
        community: &str,
        contents: &Contents,
    ) -> Option<Self> {
        let tells = Tells::Table(contents);
        Self::run(|program| lab.command(program), (address, 161).into(), community, &tells)
    }

    /// The bridge of a lab as a switch: it tells who is behind which of its ports, and what those are called.
    pub fn start_on_bridge(lab: &Lab, address: IpAddr, community: &str) -> Option<Self> {
        let address = (address, 161).into();
        Self::run(|program| lab.command(program), address, community, &Tells::Bridge)
    }

    fn run(
        command: impl FnOnce(&str) -> Command,
        address: SocketAddr,
        community: &str,
        tells: &Tells<'_>,
    ) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            assert!(std::env::var_os("CI").is_none(), "{PROGRAM} is not there; install snmpd");
            eprintln!(
                "SKIPPED: {PROGRAM} is not there; install the package snmpd to test switches"
            );
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let program = |name: &str, text: &str| {
            fs::write(path(name), text).unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).unwrap();
        };
        program("tell", SCRIPT);
        match tells {
            Tells::Table(contents) => fs::write(path("table"), &contents.0).unwrap(),
            Tells::Bridge => program("look", BRIDGE_SCRIPT),
        }
        let text = configuration(directory.path(), address, community, tells);
        fs::write(path("snmpd.conf"), text).unwrap();
        let log = fs::File::create(path("log")).unwrap();
        let mut agent = command(PROGRAM);
        agent.args(["-f", "-Lo", "-C", "-I", "-smux", "-c"]).arg(path("snmpd.conf"));
        agent.arg("-p").arg(path("pid")).stdout(log.try_clone().unwrap()).stderr(log);
        // It reads and writes nothing of the machine's own agent.
        agent.env("MIBS", "").env("SNMPCONFPATH", directory.path());
        agent.env("SNMP_PERSISTENT_DIR", directory.path());
        let mut switch = Self { process: agent.spawn().unwrap(), directory, address };
        let answers = wait_for(&Limit::seconds(20), || switch.has_begun()).unwrap();
        assert!(answers == Some(true), "snmpd does not begin:\n{}", switch.file("log"));
        Some(switch)
    }

    fn has_begun(&mut self) -> Option<bool> {
        match self.process.try_wait().unwrap() {
            Some(_) => Some(false),
            None => self.file("log").contains("NET-SNMP version").then_some(true),
        }
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it tells something else.
    pub fn tell(&self, contents: &Contents) {
        let path = |name: &str| self.directory.path().join(name);
        fs::write(path("next"), &contents.0).unwrap();
        fs::rename(path("next"), path("table")).unwrap();
    }

    /// How often its tables of hardware addresses were asked for, each counted by itself.
    pub fn times_read(&self) -> usize {
        self.file("asked").lines().filter(|asked| TABLES.contains(asked)).count()
    }
}

impl Drop for Snmpd {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

fn configuration(
    directory: &Path,
    address: SocketAddr,
    community: &str,
    tells: &Tells<'_>,
) -> String {
    let tell = format!("{0}/tell {0}", directory.display());
    // What the ports of a bridge are called, the agent knows by itself.
    let names = match tells {
        Tells::Table(_) => ["1.3.6.1.2.1.31.1.1.1.1", "1.3.6.1.2.1.2.2.1.2"]
            .map(|object| format!("pass_persist -p 1 .{object} {tell}\n"))
            .concat(),
        Tells::Bridge => String::new(),
    };
    format!(
        "agentaddress udp:{address}\nrocommunity {community}\npass_persist .1.3.6.1.2.1.17 {tell}\n{names}"
    )
}

/// What the agent asks: a line `get` or `getnext`, and a line with the object. The file `table` has lines of object, type and value.
const SCRIPT: &str = r#"#!/bin/sh
cd "$1" || exit 1
look() {
    awk -v how="$1" -v asked="$2" '
        function key(object,  parts, count, i, text) {
            count = split(object, parts, ".")
            for (i = 1; i <= count; i++) if (parts[i] != "") text = text sprintf("%010d.", parts[i])
            return text
        }
        BEGIN { wanted = key(asked) }
        {
            own = key($1)
            fits = how == "get" ? own == wanted : own > wanted && (best == "" || own < best)
            if (fits) { best = own; object = $1; type = $2; sub(/^[^ ]+ [^ ]+ /, ""); value = $0 }
        }
        END { if (best == "") print "NONE"; else print object "\n" type "\n" value }
    ' table
}
while read -r question; do
    case $question in
    PING) echo PONG ;;
    get | getnext)
        read -r object
        echo "$object" >>asked
        now=$(date +%s)
        if [ -x look ] && [ "$now" != "$last" ]; then ./look >table; last=$now; fi
        look "$question" "$object"
        ;;
    *) exit ;;
    esac
done
"#;

/// The table of the bridge in whose network this runs.
const BRIDGE_SCRIPT: &str = r#"#!/bin/sh
for port in /sys/class/net/br0/brif/*; do
    name=${port##*/}
    echo ".1.3.6.1.2.1.17.1.4.1.2.$(printf %d "$(cat "$port/port_no")") integer $(cat "/sys/class/net/$name/ifindex")"
done
bridge fdb show br br0 | grep 'master br0' | grep -v permanent | while read -r mac _ name _; do
    number=$(printf %d "$(cat "/sys/class/net/br0/brif/$name/port_no")")
    octets=$(printf '0x%s ' $(echo "$mac" | tr : ' '))
    echo ".1.3.6.1.2.1.17.4.3.1.2$(printf .%d $octets) integer $number"
done
"#;
