//! The variables of the templates for BIND: `named.conf`, the list of zones, and each zone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use perilune_boot::{Error, Templates};
use perilune_dns::{Data, LentNames, Record, View, Zone, text_pieces};
use perilune_model::network::Network;
use perilune_model::{Cluster, Family};
use serde::Serialize;

use crate::{DhcpKeys, NAMED, ZONE, ZONES};

/// Where BIND has its files.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Paths {
    /// Its working directory; zone files are there.
    pub directory: String,
    /// The list of zones, which `named.conf` includes.
    pub zones: String,
    /// Files of the distribution that `named.conf` includes, those that exist.
    pub includes: Vec<String>,
    /// The directory of keys that BIND manages itself, where there is one.
    pub managed_keys: Option<String>,
}

/// What the templates are told of a cluster.
#[derive(Debug)]
pub struct Names {
    view: View,
    keys: DhcpKeys,
    paths: Paths,
}

/// `named.conf`.
#[derive(Debug, Serialize)]
struct Main<'a> {
    #[serde(rename = "ALLOWED_QUERY")]
    allowed: Vec<String>,
    #[serde(rename = "FORWARDERS")]
    forwarders: Vec<IpAddr>,
    #[serde(rename = "MANAGED_KEYS")]
    managed_keys: Option<&'a str>,
    #[serde(rename = "BIND_LEGACY")]
    bind_legacy: bool,
    #[serde(rename = "DNSSEC_ENABLE")]
    dnssec_enable: Option<&'static str>,
    #[serde(rename = "DNSSEC_VALIDATION")]
    dnssec_validation: Option<&'static str>,
    #[serde(flatten)]
    keys: KeyVariables<'a>,
    #[serde(flatten)]
    paths: &'a Paths,
}

#[derive(Debug, Serialize)]
struct KeyVariables<'a> {
    #[serde(rename = "OMAPIKEY")]
    omapi: Option<&'a str>,
    #[serde(rename = "TSIGKEY")]
    tsig: Option<&'a str>,
    #[serde(rename = "TSIGALGO")]
    algorithm: Option<&'a str>,
}

/// The list of zones.
#[derive(Debug, Serialize)]
struct List<'a> {
    #[serde(rename = "ZONES")]
    zones: Vec<String>,
    #[serde(rename = "AUTHORITATIVE")]
    authoritative: BTreeMap<String, bool>,
    #[serde(rename = "FORWARDERS")]
    forwarders: BTreeMap<String, Vec<IpAddr>>,
    #[serde(rename = "ALLOW_UPDATES")]
    allow_updates: Vec<IpAddr>,
    #[serde(rename = "DYNAMIC_UPDATES")]
    dynamic: BTreeMap<String, bool>,
    /// The names of zones' files in BIND's directory.
    files: BTreeMap<String, String>,
    #[serde(flatten)]
    keys: KeyVariables<'a>,
    #[serde(flatten)]
    paths: &'a Paths,
}

/// A zone.
#[derive(Debug, Serialize)]
struct Body<'a> {
    #[serde(rename = "RECORDS")]
    by_name: &'a BTreeMap<String, One>,
    #[serde(rename = "AUTHORITATIVE_SERVER")]
    server: &'a str,
    #[serde(rename = "SERIAL")]
    serial: u64,
    /// All of them: a name can have several.
    records: &'a [Line],
}

/// The one record of a name that templates of existing sites know.
#[derive(Debug, Serialize)]
struct One {
    key: String,
    r#type: &'static str,
    value: String,
}

/// A record with whole names, that end with a dot.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    r#type: &'static str,
    value: String,
}

/// What is rendered beside the zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamesFile {
    /// `named.conf`.
    pub main: String,
    /// The list of zones.
    pub zones: String,
}

/// A zone whose file is to be.
#[derive(Debug)]
pub struct ZoneFile {
    /// Its name, without the dot of the root.
    pub zone: String,
    /// The name of its file.
    pub file: String,
    /// The DHCP server changes it as well.
    pub is_dynamic: bool,
    server: String,
    by_name: BTreeMap<String, One>,
    records: Vec<Line>,
}

impl Names {
    /// Those of a cluster. Nothing that is lent is among them: who lends tells BIND himself.
    pub fn new(cluster: Arc<Cluster>, keys: DhcpKeys, paths: Paths) -> Self {
        Self { view: View::new(cluster, LentNames::default(), None), keys, paths }
    }

    /// `named.conf` and the list of zones.
    pub fn render(&self, templates: &Templates) -> Result<NamesFile, Error> {
        Ok(NamesFile {
            main: templates.render_file(NAMED, self.main())?,
            zones: templates.render_file(ZONES, self.list())?,
        })
    }

    fn main(&self) -> Main<'_> {
        let cluster = self.view.cluster();
        let settings = cluster.settings();
        let networks = cluster.networks().values();
        let ranges = networks.flat_map(|own| Family::BOTH.map(|family| own.range(family)));
        let mut allowed: Vec<String> =
            ranges.flatten().map(|range| range.trunc().to_string()).collect();
        if allowed.is_empty() {
            allowed.push("any".to_owned());
        } else {
            allowed.insert(0, "127.0.0.0/8".to_owned());
        }
        let word = |set: Option<bool>| set.map(|set| if set { "yes" } else { "no" });
        Main {
            allowed,
            forwarders: self.view.forwarders(),
            managed_keys: self.paths.managed_keys.as_deref(),
            bind_legacy: settings.bind_legacy,
            dnssec_enable: word(settings.dnssec_enable).filter(|_| settings.bind_legacy),
            dnssec_validation: word(settings.dnssec_validation)
                .filter(|_| settings.dnssec_enable != Some(false)),
            keys: self.key_variables(),
            paths: &self.paths,
        }
    }

    fn list(&self) -> List<'_> {
        let cluster = self.view.cluster();
        let controllers = cluster.controllers().values();
        let updates =
            controllers.flat_map(|own| Family::BOTH.map(|family| own.addresses.get(family)));
        let mut list = List {
            zones: Vec::new(),
            authoritative: BTreeMap::new(),
            forwarders: BTreeMap::new(),
            allow_updates: updates.flatten().collect(),
            dynamic: BTreeMap::new(),
            files: BTreeMap::new(),
            keys: self.key_variables(),
            paths: &self.paths,
        };
        for zone in self.view.zones() {
            let name = zone.name();
            list.zones.push(name.clone());
            list.authoritative.insert(name.clone(), true);
            list.forwarders.insert(name.clone(), Vec::new());
            list.files.insert(name.clone(), file_of(&name));
            if self.is_dynamic(&zone) {
                list.dynamic.insert(name, true);
            }
        }
        let others = cluster.networks().values().filter(|own| own.non_authoritative);
        for network in others {
            let servers = self.view.servers_of(network);
            if servers.is_empty() {
                continue;
            }
            for name in foreign_zones(cluster, network) {
                if list.authoritative.contains_key(&name) {
                    continue;
                }
                list.zones.push(name.clone());
                list.authoritative.insert(name.clone(), false);
                list.forwarders.insert(name, servers.clone());
            }
        }
        list
    }

    /// Whether the DHCP server changes a zone, which needs a key.
    fn is_dynamic(&self, zone: &Zone) -> bool {
        let has_key = self.keys.omapi.is_some() || self.keys.tsig.is_some();
        let networks = self.view.cluster().networks();
        let lends = |network: &Network| network.lends_to_nodes();
        has_key
            && match zone {
                Zone::Forward(name) => networks.get(name).is_some_and(|own| lends(own)),
                Zone::V4([a, b, c]) => {
                    let first = IpAddr::V4(Ipv4Addr::new(*a, *b, *c, 0));
                    networks.values().any(|own| lends(own) && own.contains(first))
                }
                Zone::Classless { .. } | Zone::V6(_) => false,
            }
    }

    fn key_variables(&self) -> KeyVariables<'_> {
        KeyVariables {
            omapi: self.keys.omapi.as_deref(),
            tsig: self.keys.tsig.as_ref().map(|(key, _)| key.as_str()),
            algorithm: self.keys.tsig.as_ref().map(|(_, algorithm)| algorithm.as_str()),
        }
    }

    /// The zones that have files.
    pub fn zones(&self) -> impl Iterator<Item = ZoneFile> + '_ {
        self.view.zones().into_iter().map(|zone| {
            let name = zone.name();
            let suffix = format!(".{name}");
            let mut file = ZoneFile {
                file: file_of(&name),
                is_dynamic: self.is_dynamic(&zone),
                server: String::new(),
                by_name: BTreeMap::new(),
                records: Vec::new(),
                zone: name,
            };
            for record in self.view.records(&zone) {
                let Record { name, data, .. } = record;
                let (r#type, value) = match data {
                    Data::Soa(soa) => {
                        file.server = format!("{}.", soa.primary);
                        continue;
                    }
                    Data::Ns(server) => ("NS", format!("{server}.")),
                    Data::A(address) => ("A", address.to_string()),
                    Data::Aaaa(address) => ("AAAA", address.to_string()),
                    Data::Ptr(host) => ("PTR", format!("{host}.")),
                    Data::Cname(host) => ("CNAME", format!("{host}.")),
                    Data::Mx { preference, server } => ("MX", format!("{preference} {server}.")),
                    Data::Srv { priority, weight, port, server } => {
                        ("SRV", format!("{priority} {weight} {port} {server}."))
                    }
                    Data::Txt(text) => ("TXT", quoted(&text)),
                };
                if let Some(key) = name.strip_suffix(&suffix).filter(|_| r#type != "NS") {
                    let one = One { key: key.to_owned(), r#type, value: value.clone() };
                    // Their templates have one record for a name: the last is that of IPv6, and others stand where there is no address.
                    if matches!(r#type, "A" | "AAAA" | "PTR") {
                        file.by_name.insert(key.to_owned(), one);
                    } else {
                        file.by_name.entry(key.to_owned()).or_insert(one);
                    }
                }
                let is_own = r#type == "NS" && name == file.zone;
                if !is_own {
                    file.records.push(Line { name: format!("{name}."), r#type, value });
                }
            }
            file
        })
    }
}

impl ZoneFile {
    /// The file's text with this serial number (RFC 1035, section 3.3.13).
    pub fn render(&self, templates: &Templates, serial: u64) -> Result<String, Error> {
        let server = self.server.trim_end_matches('.');
        let body = Body { by_name: &self.by_name, server, serial, records: &self.records };
        templates.render_file(ZONE, body)
    }

    /// The records as `nsupdate` takes them, for zones that others change as well: name, type, value.
    pub fn updates(&self) -> BTreeSet<(String, String, String)> {
        let all = self.records.iter().filter(|record| record.r#type != "NS");
        all.map(|own| (own.name.clone(), own.r#type.to_owned(), own.value.clone())).collect()
    }
}

/// A text as zone files and `nsupdate` have it (RFC 1035, section 5.1): whatever it has, it ends where it ends, and on its line.
fn quoted(text: &str) -> String {
    let piece = |piece: &[u8]| {
        let letters = piece.iter().map(|byte| match byte {
            b'"' | b'\\' => format!("\\{}", char::from(*byte)),
            b' '..=b'~' => char::from(*byte).to_string(),
            other => format!("\\{other:03}"),
        });
        format!("\"{}\"", letters.collect::<String>())
    };
    text_pieces(text).map(piece).collect::<Vec<_>>().join(" ")
}

/// The file of a zone. Zones of RFC 2317 have a slash in their names.
fn file_of(zone: &str) -> String {
    format!("{}.luna.zone", zone.replace('/', "-"))
}

/// The domain of a network whose names are somebody else's, and the names of its addresses that are in use.
fn foreign_zones(cluster: &Cluster, network: &Network) -> BTreeSet<String> {
    let mut zones = BTreeSet::from([network.name.as_str().to_ascii_lowercase()]);
    if let Some(range) = network.ipv4 {
        let (first, last) = (IpAddr::V4(range.network()), IpAddr::V4(range.broadcast()));
        zones.extend(cluster.holders_between(first, last).filter_map(|address| match address {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Some(Zone::V4([a, b, c]).name())
            }
            IpAddr::V6(_) => None,
        }));
    }
    zones
}
