//! Settings, networks, DNS hosts and secrets in documents.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use perilune_model::dns::{DnsHost, DnsHosts, DnsRecord, Entry};
use perilune_model::network::{Network, Zone, check_relays, parse_range};
use perilune_model::object::{ClusterSecrets, GroupSecrets, NodeSecrets};
use perilune_model::plugins::Installed;
use perilune_model::route::Route;
use perilune_model::secret::{CLUSTER, Secret, Secrets};
use perilune_model::settings::{FIELDS, Settings};
use perilune_model::{Family, FieldValue, Kind, Name, Object, Servers, Violation, addresses};
use serde_json::Value;

use super::Said;
use crate::fields::Fields;
use crate::{route, secret};

/// The field that a list is read as.
pub(super) const LIST: &str = "list";

pub(super) fn settings(fields: &mut Fields<'_>, installed: &Installed) -> Object {
    let title = fields.new_name("name", Name::general);
    let request = crate::cluster::settings_request(fields, installed);
    let mut settings = perilune_model::settings::alone(&request);
    settings.title = title.map_or(settings.title, |title| title.to_string());
    settings.into()
}

pub(super) fn show_settings(settings: &Settings) -> Said {
    let usual = Settings::default();
    let title = Said::default().text("name", Some(&settings.title));
    FIELDS.iter().fold(title, |said, field| match ((field.of)(settings), (field.of)(&usual)) {
        (FieldValue::Text(text), _) => said.put(field.name, Some(text)),
        // A text that is usually set is written empty when it is not.
        (FieldValue::Nothing, FieldValue::Text(_)) => said.put(field.name, Some("")),
        (FieldValue::Nothing, _) => said,
        (FieldValue::List(list), _) => said.list(field.name, &list),
        (FieldValue::Flag(own), FieldValue::Flag(usual)) => said.flag(field.name, own, usual),
        (FieldValue::Flag(own), _) => said.put(field.name, Some(own)),
    })
}

pub(super) fn network(fields: &mut Fields<'_>, name: Name) -> Object {
    let zone = fields.converted("zone", |text| match text {
        "internal" => Ok(Zone::Internal),
        "external" => Ok(Zone::External),
        _ => Err("it must be 'internal' or 'external'".to_owned()),
    });
    let (nameserver_ip, nameserver_ip_ipv6) = crate::network::name_servers(fields);
    let mut network = Network {
        name,
        ipv4: ranges(fields, "network", |range| match range {
            IpNet::V4(range) => Some(range),
            IpNet::V6(_) => None,
        }),
        ipv6: ranges(fields, "network_ipv6", |range| match range {
            IpNet::V6(range) => Some(range),
            IpNet::V4(_) => None,
        }),
        gateway: fields.parsed("gateway").value().copied(),
        gateway_ipv6: fields.parsed("gateway_ipv6").value().copied(),
        gateway_metric: fields.number("gateway_metric").value().copied(),
        nameserver_ip: nameserver_ip.value().cloned(),
        nameserver_ip_ipv6: nameserver_ip_ipv6.value().cloned(),
        ntp_server: fields.converted("ntp_server", Servers::by_address_or_name).value().cloned(),
        dhcp: fields.flag("dhcp"),
        dhcp_nodes_in_pool: fields.flag("dhcp_nodes_in_pool"),
        dhcp_nodes_only: fields.flag("dhcp_nodes_only"),
        dhcp_range: range::<Ipv4Addr>(fields, "dhcp_range_begin", "dhcp_range_end"),
        dhcp_range_ipv6: range::<Ipv6Addr>(fields, "dhcp_range_begin_ipv6", "dhcp_range_end_ipv6"),
        zone: zone.value().copied().unwrap_or_default(),
        shared: fields.name("shared", Name::domain).value().cloned(),
        dhcp_relay: crate::network::relays(fields).value().cloned().unwrap_or_default(),
        dhcp_link_subnet: crate::network::links(fields).value().cloned().unwrap_or_default(),
        r#type: fields.text("type").value().cloned(),
        non_authoritative: fields.flag("non_authoritative"),
        comment: fields.text("comment").value().cloned(),
        routes: route::names(fields).value().cloned().unwrap_or_default(),
    };
    check(fields, &mut network);
    network.into()
}

/// What is wrong within a network; what is between networks is seen when the cluster is changed.
fn check(fields: &mut Fields<'_>, network: &mut Network) {
    if network.ipv4.is_none()
        && network.ipv6.is_none()
        && !fields.has("network")
        && !fields.has("network_ipv6")
    {
        fields.refuse("network", "a network needs a range, such as 10.141.0.0/16");
    }
    let gateways = [
        ("gateway", network.gateway.map(IpAddr::V4)),
        ("gateway_ipv6", network.gateway_ipv6.map(IpAddr::V6)),
    ];
    for (field, gateway) in gateways {
        if let Some(gateway) = gateway.filter(|gateway| !network.contains(*gateway)) {
            fields.refuse(field, format!("{gateway} is outside the network"));
        }
    }
    if network.shared.as_ref() == Some(&network.name) {
        fields.refuse("shared", "a network cannot share its own wire; name another network");
    }
    for Violation { field, reason } in check_relays(network) {
        fields.refuse(&field, reason);
    }
    let ranges = [("dhcp_range_begin", Family::V4), ("dhcp_range_begin_ipv6", Family::V6)];
    for (field, family) in ranges {
        let Some((begin, end)) = network.dynamic_range(family) else { continue };
        let is_host =
            |address| network.range(family).is_some_and(|range| addresses::is_host(range, address));
        if begin > end || !is_host(begin) || !is_host(end) {
            let reason =
                format!("{begin} to {end} is not a range of addresses for hosts in this network");
            fields.refuse(field, reason);
        }
    }
    let has_range = network.dhcp_range.is_some() || network.dhcp_range_ipv6.is_some();
    if network.dhcp_nodes_only && network.dhcp_nodes_in_pool {
        fields.refuse(
            "dhcp_nodes_only",
            "nodes cannot be the only ones served and be in the pool; choose one",
        );
    }
    if network.dhcp && !network.dhcp_nodes_only && !has_range {
        fields.refuse(
            "dhcp",
            "it needs a range; give dhcp_range_begin and dhcp_range_end, or dhcp_nodes_only",
        );
    }
}

/// A range of the family that the field is for.
fn ranges<T: Copy>(
    fields: &mut Fields<'_>,
    field: &str,
    of_family: impl Fn(IpNet) -> Option<T>,
) -> Option<T> {
    let range = fields.converted(field, |text| {
        let other = || format!("'{text}' is a range of the other family");
        parse_range(text).and_then(|range| of_family(range).ok_or_else(other))
    });
    range.value().copied()
}

fn range<T: std::str::FromStr<Err: std::fmt::Display> + Copy>(
    fields: &mut Fields<'_>,
    begin: &str,
    end: &str,
) -> Option<(T, T)> {
    let ends =
        (fields.parsed::<T>(begin).value().copied(), fields.parsed::<T>(end).value().copied());
    match ends {
        (Some(begin), Some(end)) => Some((begin, end)),
        (None, None) => None,
        (Some(_), None) => {
            fields.refuse(end, "a range needs its end; give both");
            None
        }
        (None, Some(_)) => {
            fields.refuse(begin, "a range needs its begin; give both");
            None
        }
    }
}

pub(super) fn show_network(network: &Network) -> Said {
    let zone = (network.zone == Zone::External).then_some("external");
    Said::default()
        .text("network", network.ipv4)
        .text("network_ipv6", network.ipv6)
        .text("gateway", network.gateway)
        .text("gateway_ipv6", network.gateway_ipv6)
        .put("gateway_metric", network.gateway_metric)
        .put("nameserver_ip", network.nameserver_ip.as_ref().map(Servers::to_string))
        .put("nameserver_ip_ipv6", network.nameserver_ip_ipv6.as_ref().map(Servers::to_string))
        .put("ntp_server", network.ntp_server.as_ref().map(Servers::to_string))
        .flag("dhcp", network.dhcp, false)
        .flag("dhcp_nodes_in_pool", network.dhcp_nodes_in_pool, false)
        .flag("dhcp_nodes_only", network.dhcp_nodes_only, false)
        .text("dhcp_range_begin", network.dhcp_range.map(|range| range.0))
        .text("dhcp_range_end", network.dhcp_range.map(|range| range.1))
        .text("dhcp_range_begin_ipv6", network.dhcp_range_ipv6.map(|range| range.0))
        .text("dhcp_range_end_ipv6", network.dhcp_range_ipv6.map(|range| range.1))
        .put("zone", zone)
        .text("shared", network.shared.as_ref())
        .put("dhcp_relay", crate::network::joined(&network.dhcp_relay))
        .put("dhcp_link_subnet", crate::network::joined(&network.dhcp_link_subnet))
        .put("type", network.r#type.clone())
        .flag("non_authoritative", network.non_authoritative, false)
        .put("comment", network.comment.clone())
        .put("routes", route::in_document(&network.routes))
}

pub(super) fn route(fields: &mut Fields<'_>, name: Name) -> Object {
    let request = route::request(fields);
    if !fields.has("destination") {
        let reason = "a route needs a range that it leads to, such as 10.0.0.0/8";
        fields.refuse("destination", reason);
    }
    let route = Route {
        name,
        destination: request.destination.unwrap_or_default(),
        gateway: request.gateway.value().copied(),
        metric: request.metric.value().copied(),
        device: request.device.value().cloned(),
        comment: request.comment.value().cloned(),
    };
    if request.destination.is_some() {
        for Violation { field, reason } in route.violations() {
            fields.refuse(&field, reason);
        }
    }
    route.into()
}

pub(super) fn show_route(route: &Route) -> Said {
    Said::default()
        .text("destination", Some(route.destination))
        .text("gateway", route.gateway)
        .put("metric", route.metric)
        .text("device", route.device.as_ref())
        .put("comment", route.comment.clone())
}

pub(super) fn dns_hosts(fields: &mut Fields<'_>, name: Name) -> Object {
    let entries = fields.objects(LIST, crate::dns::host);
    let mut all = DnsHosts { name, ..DnsHosts::default() };
    for entry in entries.unwrap_or_default().into_iter().flatten() {
        match entry {
            Entry::Address(host) => all.hosts.push(host),
            Entry::Record(record) => all.records.push(record),
            // What is not there is not there.
            Entry::None(..) => {}
        }
    }
    all.records.sort_unstable();
    unique(fields, all.hosts.iter().map(|host| &host.host));
    all.into()
}

pub(super) fn show_dns_hosts(hosts: &DnsHosts) -> Value {
    let host = |host: &DnsHost| {
        Said::default().text("host", Some(&host.host)).text("ipaddress", Some(host.ipaddress)).0
    };
    let record = |record: &DnsRecord| {
        Said::default()
            .text("host", Some(&record.host))
            .put("type", Some(record.data.of().word()))
            .text("value", Some(&record.data))
            .0
    };
    hosts.hosts.iter().map(host).chain(hosts.records.iter().map(record)).collect()
}

pub(super) fn secrets(fields: &mut Fields<'_>, kind: Kind, name: Name) -> Object {
    let secrets = fields.objects(LIST, |fields| {
        for field in ["name", "content"] {
            if !fields.has(field) {
                fields.refuse(field, "it is missing");
            }
        }
        let name = fields.new_name("name", Name::general);
        let content = fields.text("content").value().cloned();
        let path = secret::path(fields);
        let owner = secret::owner(fields).value().cloned();
        let mode = secret::mode(fields).value().cloned();
        name.zip(content).map(|(name, content)| Secret { name, content, path, owner, mode })
    });
    let secrets: Vec<Secret> = secrets.unwrap_or_default().into_iter().flatten().collect();
    unique(fields, secrets.iter().map(|secret| &secret.name));
    if kind == Kind::ClusterSecrets && name != CLUSTER {
        fields.refuse("", format!("secrets of the cluster stand under the name '{CLUSTER}'"));
    }
    let secrets = Secrets { name, secrets };
    match kind {
        Kind::NodeSecrets => NodeSecrets(secrets).into(),
        Kind::ClusterSecrets => ClusterSecrets(secrets).into(),
        _ => GroupSecrets(secrets).into(),
    }
}

pub(super) fn show_secrets(secrets: &Secrets) -> Value {
    let secret = |secret: &Secret| {
        Said::default()
            .text("name", Some(&secret.name))
            .put("content", Some(secret.content.clone()))
            .put("path", secret.path.clone())
            .put("owner", secret.owner.clone())
            .put("mode", secret.mode.clone())
            .0
    };
    secrets.secrets.iter().map(secret).collect()
}

/// Refuses a list that names something twice.
pub(super) fn unique<'a>(fields: &mut Fields<'_>, names: impl Iterator<Item = &'a Name>) {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            fields.refuse("", format!("'{name}' is there twice"));
        }
    }
}
