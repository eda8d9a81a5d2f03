//! Networks, as clients read and ask for them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use perilune_model::network::{Network, RangeRequest, Request, Zone, parse_range};
use perilune_model::{Family, Name, Patch, Server, Servers};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;
use crate::requests::comment;
use crate::route;

const ETHERNET: &str = "ethernet";

/// A network. What concerns DHCP is there only while it is served.
#[derive(Debug, Serialize, ToSchema)]
pub struct NetworkKeys<'a> {
    name: &'a str,
    #[schema(value_type = Option<String>)]
    network: Option<Ipv4Net>,
    #[schema(value_type = Option<String>)]
    network_ipv6: Option<Ipv6Net>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    subnet_ipv6: Option<serde_json::Value>,
    #[schema(value_type = Option<String>)]
    gateway: Option<Ipv4Addr>,
    #[schema(value_type = Option<String>)]
    gateway_ipv6: Option<Ipv6Addr>,
    gateway_metric: Option<u32>,
    nameserver_ip: Option<String>,
    nameserver_ip_ipv6: Option<String>,
    ntp_server: Option<String>,
    dhcp: bool,
    #[serde(flatten)]
    #[schema(value_type = DhcpKeys)]
    served: Option<DhcpKeys>,
    zone: ZoneWord,
    shared: Option<&'a str>,
    /// DHCP relays that ask for this network, separated by commas.
    dhcp_relay: Option<String>,
    /// Ranges that relays name as a machine's link, separated by commas.
    dhcp_link_subnet: Option<String>,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<bool>)]
    non_authoritative: Option<serde_json::Value>,
    comment: Option<&'a str>,
    routes: Option<String>,
}

/// What concerns DHCP.
#[expect(clippy::struct_field_names, reason = "the names that clients read")]
#[derive(Debug, Serialize, ToSchema)]
struct DhcpKeys {
    #[schema(required = false)]
    dhcp_nodes_in_pool: bool,
    #[schema(required = false)]
    dhcp_nodes_only: bool,
    #[schema(value_type = Option<String>)]
    dhcp_range_begin: Option<Ipv4Addr>,
    #[schema(value_type = Option<String>)]
    dhcp_range_begin_ipv6: Option<Ipv6Addr>,
    #[schema(value_type = Option<String>)]
    dhcp_range_end: Option<Ipv4Addr>,
    #[schema(value_type = Option<String>)]
    dhcp_range_end_ipv6: Option<Ipv6Addr>,
}

/// `internal` or `external`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ZoneWord {
    Internal,
    External,
}

impl<'a> NetworkKeys<'a> {
    /// A network in a list.
    pub fn entry(network: &'a Network) -> Self {
        Self {
            subnet_ipv6: Some(network.ipv6.map(|range| range.prefix_len().to_string()).into()),
            non_authoritative: Some(network.non_authoritative.then_some(true).into()),
            ..Self::new(network)
        }
    }

    /// A network by itself.
    pub fn detail(network: &'a Network) -> Self {
        Self {
            non_authoritative: network.non_authoritative.then(|| true.into()),
            ..Self::new(network)
        }
    }

    fn new(network: &'a Network) -> Self {
        let served = network.dhcp.then(|| DhcpKeys {
            dhcp_nodes_in_pool: network.dhcp_nodes_in_pool,
            dhcp_nodes_only: network.dhcp_nodes_only,
            dhcp_range_begin: network.dhcp_range.map(|(begin, _)| begin),
            dhcp_range_begin_ipv6: network.dhcp_range_ipv6.map(|(begin, _)| begin),
            dhcp_range_end: network.dhcp_range.map(|(_, end)| end),
            dhcp_range_end_ipv6: network.dhcp_range_ipv6.map(|(_, end)| end),
        });
        Self {
            name: network.name.as_str(),
            network: network.ipv4,
            network_ipv6: network.ipv6,
            subnet_ipv6: None,
            gateway: network.gateway,
            gateway_ipv6: network.gateway_ipv6,
            gateway_metric: network.gateway_metric,
            nameserver_ip: network.nameserver_ip.as_ref().map(Servers::to_string),
            nameserver_ip_ipv6: network.nameserver_ip_ipv6.as_ref().map(Servers::to_string),
            ntp_server: network.ntp_server.as_ref().map(Servers::to_string),
            dhcp: network.dhcp,
            served,
            zone: match network.zone {
                Zone::Internal => ZoneWord::Internal,
                Zone::External => ZoneWord::External,
            },
            shared: network.shared.as_ref().map(Name::as_str),
            dhcp_relay: joined(&network.dhcp_relay),
            dhcp_link_subnet: joined(&network.dhcp_link_subnet),
            r#type: network.r#type.as_deref().unwrap_or(ETHERNET),
            non_authoritative: None,
            comment: network.comment.as_deref(),
            routes: route::shown(&network.routes),
        }
    }
}

/// The request of a network. `controllers` are the keys by which clients may give controllers new addresses.
pub fn request(fields: &mut Fields<'_>, controllers: &[String]) -> Request {
    fields.ignore(&["name"]);
    let range = range(fields);
    let gateway = fields.help("Router of the network").address("gateway");
    let gateway_ipv6 = fields.help("Router of the network, by IPv6").address("gateway_ipv6");
    let gateway_metric =
        fields.help("Metric of the route through the gateway").number("gateway_metric");
    let (nameserver_ip, nameserver_ip_ipv6) = name_servers(fields);
    Request {
        new_name: fields.new_name("newnetname", Name::domain),
        range,
        gateway,
        gateway_ipv6,
        gateway_metric,
        nameserver_ip,
        nameserver_ip_ipv6,
        ntp_server: fields
            .help("Time servers: addresses or host names, separated by commas")
            .converted("ntp_server", Servers::by_address_or_name),
        zone: fields
            .help("internal or external")
            .words(&["internal", "external"])
            .converted("zone", |text| match text {
                "internal" => Ok(Zone::Internal),
                "external" => Ok(Zone::External),
                _ => Err("it must be 'internal' or 'external'".to_owned()),
            })
            .value()
            .copied(),
        dhcp: dynamic_range(fields),
        non_authoritative: fields
            .help("Names of this network are served by its nameserver-ip, not here")
            .boolean("non_authoritative"),
        shared: fields
            .help("Another network on the same wire")
            .of("network")
            .name("shared", Name::domain),
        dhcp_relay: relays(
            fields
                .help("DHCP relays that ask for this network, separated by commas; needs --shared"),
        ),
        dhcp_link_subnet: links(
            fields.help("Ranges that these relays name as a machine's link; needs --dhcp-relay"),
        ),
        routes: route::names(
            fields.help("Static routes of its nodes, separated by commas; \"\" for none"),
        ),
        r#type: fields.help("ethernet, infiniband, …").text("type"),
        comment: comment(fields),
        clear: fields
            .help("Give up one family: ipv4 or ipv6")
            .words(&["ipv4", "ipv6"])
            .converted("clear", |text| match text {
                "ipv4" => Ok(Family::V4),
                "ipv6" => Ok(Family::V6),
                _ => Err("it must be 'ipv4' or 'ipv6'".to_owned()),
            })
            .value()
            .copied(),
        controllers: self::controllers(fields, controllers),
    }
}

/// The new addresses of controllers that a request gives.
pub fn controllers(fields: &mut Fields<'_>, keys: &[String]) -> Vec<(String, IpAddr)> {
    let help = "New address of the controller, when the network moves";
    let mut given = Vec::new();
    for key in keys {
        if key == "controller" {
            // Beside an option that says by which controller a command goes.
            fields.or("controller-address");
        }
        match fields.help(help).address(key) {
            Patch::Keep => {}
            Patch::Set(address) => given.push((key.clone(), address)),
            Patch::Clear => fields.refuse(key, "a controller needs an address; give one"),
        }
    }
    given
}

fn range(fields: &mut Fields<'_>) -> Option<IpNet> {
    let range = fields
        .help("Address and prefix, IPv4 or IPv6, such as 10.141.0.0/16")
        .converted("network", parse_range);
    if range == Patch::Clear {
        fields.refuse("network", "it is empty; give a range such as 10.141.0.0/16, or use clear");
    }
    range.value().copied()
}

fn dynamic_range(fields: &mut Fields<'_>) -> RangeRequest {
    let decided = |fields: &mut Fields<'_>, field: &str| {
        match fields.boolean(field) {
            Patch::Keep => None,
            Patch::Set(value) => Some(value),
            // Nothing says what it is: as it is where nobody ever said anything.
            Patch::Clear => Some(false),
        }
    };
    RangeRequest {
        dhcp: decided(fields.help("Answer DHCP in this network"), "dhcp"),
        begin: fields.help("First address lent to unknown machines").address("dhcp_range_begin"),
        end: fields.help("Last address lent to unknown machines").address("dhcp_range_end"),
        nodes_in_pool: decided(
            fields.help("Nodes take addresses of the range, too"),
            "dhcp_nodes_in_pool",
        ),
        nodes_only: decided(
            fields.help("Answer nodes of the cluster only; no range"),
            "dhcp_nodes_only",
        ),
    }
}

/// Name servers may come in one field for both families; each goes to its own.
pub(crate) fn name_servers(fields: &mut Fields<'_>) -> (Patch<Servers>, Patch<Servers>) {
    let both = fields
        .help("DNS servers, separated by commas")
        .converted("nameserver_ip", Servers::by_address);
    let ipv6_only = fields.converted("nameserver_ip_ipv6", Servers::by_address);
    let of = |servers: &Servers, family: Family| {
        let mine = servers.addresses().filter(|address| Family::of(*address) == family);
        Servers::of(mine.map(Server::Address)).map_or(Patch::Keep, Patch::Set)
    };
    let (ipv4, ipv6) = match &both {
        Patch::Keep => (Patch::Keep, Patch::Keep),
        Patch::Clear => (Patch::Clear, Patch::Clear),
        Patch::Set(servers) => (of(servers, Family::V4), of(servers, Family::V6)),
    };
    match ipv6_only {
        Patch::Keep => (ipv4, ipv6),
        Patch::Clear => (ipv4, Patch::Clear),
        Patch::Set(servers) => (ipv4, of(&servers, Family::V6)),
    }
}

/// Relays, as requests and documents name them.
pub(crate) fn relays(fields: &mut Fields<'_>) -> Patch<Vec<IpAddr>> {
    listed(fields, "dhcp_relay", parse_address)
}

/// Ranges of links, likewise.
pub(crate) fn links(fields: &mut Fields<'_>) -> Patch<Vec<IpNet>> {
    listed(fields, "dhcp_link_subnet", parse_range)
}

/// A list of words that mean something each; each counts once.
fn listed<T: PartialEq>(
    fields: &mut Fields<'_>,
    field: &str,
    read: fn(&str) -> Result<T, String>,
) -> Patch<Vec<T>> {
    let words = fields.list(field);
    let Patch::Set(words) = words else { return words.map(|_| Vec::new()) };
    let mut all = Vec::new();
    for word in words {
        match read(&word) {
            Ok(one) if all.contains(&one) => {}
            Ok(one) => all.push(one),
            Err(reason) => {
                fields.refuse(field, reason);
                return Patch::Keep;
            }
        }
    }
    if all.is_empty() { Patch::Clear } else { Patch::Set(all) }
}

fn parse_address(word: &str) -> Result<IpAddr, String> {
    let shown: String = word.chars().take(80).collect();
    word.parse().map_err(|_error| format!("'{shown}' is not an IP address"))
}

/// With commas and no blanks; null without any.
pub(crate) fn joined(all: &[impl ToString]) -> Option<String> {
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}
