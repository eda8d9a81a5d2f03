//! What must hold between the records of names.

use std::collections::{BTreeMap, BTreeSet};

use super::list::{DnsHosts, MOST_OF_A_NAME};
use super::record::{APEX, DnsRecord, RecordData, RecordType};
use crate::{Cluster, Error, Name, Violation};

/// The longest name (RFC 1035, section 2.3.4), without the dot of the root.
const LONGEST_NAME: usize = 253;
/// A chain of other names that is longer leads nowhere.
const LONGEST_CHAIN: usize = 8;

/// Whether the records of a network may be as they are: servers that read them refuse the whole zone otherwise.
pub(crate) fn check(cluster: &Cluster, list: &DnsHosts) -> Result<(), Error> {
    let mut refused = Refused { host: None, violations: Vec::new() };
    let mut counts: BTreeMap<(&Name, RecordType), usize> = BTreeMap::new();
    let hosts: BTreeSet<&Name> = list.hosts.iter().map(|host| &host.host).collect();
    let mut seen = BTreeSet::new();
    for record in &list.records {
        refused.host = Some(record.host.clone());
        let count = counts.entry((&record.host, record.data.of())).or_default();
        *count += 1;
        if *count == MOST_OF_A_NAME + 1 {
            refused.add("value", format!("it has more than {MOST_OF_A_NAME} records of a type"));
        }
        if !seen.insert(record) {
            refused.add("value", format!("'{}' is there twice", record.data));
        }
        check_owner(list, record, &mut refused);
        check_other_name(cluster, (list, &hosts), record, &mut refused);
    }
    if refused.violations.is_empty() { Ok(()) } else { Err(Error::Invalid(refused.violations)) }
}

/// What was refused, of which host.
struct Refused {
    host: Option<Name>,
    violations: Vec<Violation>,
}

impl Refused {
    fn add(&mut self, field: &str, reason: impl std::fmt::Display) {
        let host = self.host.as_ref().map(Name::as_str).unwrap_or_default();
        let reason = format!("{host}: {reason}");
        self.violations.push(Violation { field: field.to_owned(), reason });
    }
}

fn check_owner(list: &DnsHosts, record: &DnsRecord, refused: &mut Refused) {
    let DnsRecord { host, data } = record;
    let text = host.as_str();
    if text.len() + 1 + list.name.as_str().len() > LONGEST_NAME {
        refused.add(
            "host",
            format!("with the network's name it has more than {LONGEST_NAME} characters"),
        );
    }
    let target = data.target().map(|target| target.whole(&list.name)).unwrap_or_default();
    if target.len() > LONGEST_NAME {
        refused.add("value", format!("{target} has more than {LONGEST_NAME} characters"));
    }
    let is_service = text.split('.').take(2).filter(|label| label.starts_with('_')).count() == 2;
    match data.of() {
        RecordType::Srv if !is_service => refused.add(
            "host",
            "the name of an SRV record begins with service and protocol, such as _ldap._tcp",
        ),
        // BIND refuses a zone with one.
        RecordType::Mx if text.contains('_') => {
            refused.add("host", "a name that takes mail has no underscore");
        }
        RecordType::Srv | RecordType::Mx | RecordType::Txt | RecordType::Cname => {}
    }
}

/// RFC 1034, section 3.6.2: whoever is another name is nothing else. RFC 2181, section 10.3: servers are named by their own names.
fn check_other_name(
    cluster: &Cluster,
    (list, hosts): (&DnsHosts, &BTreeSet<&Name>),
    record: &DnsRecord,
    refused: &mut Refused,
) {
    let DnsRecord { host, data } = record;
    let RecordData::Cname { .. } = data else {
        let target = data.target().map(|target| target.whole(&list.name));
        if let Some(target) = target.filter(|target| other_name(cluster, list, target).is_some()) {
            refused.add("value", format!("{target} is a CNAME; name the host that it stands for"));
        }
        return;
    };
    if host == APEX {
        refused.add("type", "the name of a network cannot be another name (CNAME)");
        return;
    }
    let beside = list.records_of(host.as_str()).iter().find(|other| other.data != *data);
    if let Some(beside) = beside {
        let of = beside.data.of().word();
        refused.add(
            "type",
            format!(
                "it is another name (CNAME) and has a record {of} as well; it can have one of them"
            ),
        );
    }
    if hosts.contains(host) {
        refused.add(
            "type",
            "it is another name (CNAME) and has an address as well; it can have one of them",
        );
    }
    if let Some(kind) = device(cluster, &list.name, host.as_str()) {
        refused.add(
            "type",
            format!(
                "it is the name of a {kind} in this network, and cannot be another name (CNAME)"
            ),
        );
    }
    let mut at = format!("{host}.{}", list.name);
    for _ in 0..LONGEST_CHAIN {
        match other_name(cluster, list, &at) {
            Some(target) => at = target,
            None => return,
        }
    }
    refused.add(
        "value",
        format!(
            "it leads from name to name (CNAME) more than {LONGEST_CHAIN} times, or in a circle"
        ),
    );
}

/// What a whole name is another name of, as of this list and those of other networks.
fn other_name(cluster: &Cluster, own: &DnsHosts, name: &str) -> Option<String> {
    let dots = name.match_indices('.').map(|(place, _)| name.split_at(place));
    let splits = dots.filter_map(|(host, domain)| Some((host, domain.strip_prefix('.')?)));
    splits.into_iter().find_map(|(host, domain)| {
        let known = cluster.dns_hosts().get(domain).map(|list| &**list);
        let list = if own.name == domain { Some(own) } else { known };
        let list = list?;
        list.records_of(host).iter().find_map(|record| match &record.data {
            RecordData::Cname { target } => Some(target.whole(&list.name)),
            RecordData::Mx { .. } | RecordData::Srv { .. } | RecordData::Txt { .. } => None,
        })
    })
}

/// What has a name in the domain of a network by itself.
fn device(cluster: &Cluster, network: &Name, host: &str) -> Option<&'static str> {
    let is_here = |own: Option<&Name>| own == Some(network);
    let node = cluster.nodes().get(host);
    let node = node.is_some_and(|node| {
        node.interfaces.iter().any(|interface| is_here(interface.network.as_ref()))
    });
    let controller = cluster.controllers().get(host);
    let controller = controller.is_some_and(|own| own.beacon || is_here(own.network.as_ref()));
    let switch = cluster.switches().get(host);
    let switch = switch.is_some_and(|own| own.named().any(|(own, _)| is_here(own)));
    let other = cluster.other_devices().get(host);
    let other = other.is_some_and(|own| is_here(own.network.as_ref()));
    let all = [(node, "node"), (controller, "controller"), (switch, "switch"), (other, "device")];
    all.into_iter().find_map(|(is_it, kind)| is_it.then_some(kind))
}
