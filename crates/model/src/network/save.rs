//! Creating, changing and cloning networks.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::addresses;
use crate::network::dynamic_range::{self, RangeRequest};
use crate::network::renumber::renumber;
use crate::network::{Network, Zone, check_relays};
use crate::{
    Cluster, Draft, Error, Family, Holder, Kind, Name, Patch, Saved, Servers, Violation, controller,
};

/// What the route through a gateway costs when nobody says.
const METRIC_INTERNAL: u32 = 101;
const METRIC_EXTERNAL: u32 = 100;

/// What a client asks of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The new name.
    pub new_name: Option<Name>,
    /// The range of one family; a new network needs one.
    pub range: Option<IpNet>,
    /// The family that the network loses.
    pub clear: Option<Family>,
    /// The router of its family; clearing clears that of IPv4.
    pub gateway: Patch<IpAddr>,
    /// The router of IPv6.
    pub gateway_ipv6: Patch<IpAddr>,
    /// How much the route is avoided.
    pub gateway_metric: Patch<u32>,
    /// Name servers by IPv4.
    pub nameserver_ip: Patch<Servers>,
    /// Name servers by IPv6.
    pub nameserver_ip_ipv6: Patch<Servers>,
    /// Time servers.
    pub ntp_server: Patch<Servers>,
    /// Whether it is the cluster's own.
    pub zone: Option<Zone>,
    /// DHCP and its range.
    pub dhcp: RangeRequest,
    /// The network whose wire it shares.
    pub shared: Patch<Name>,
    /// The kind of wire.
    pub r#type: Patch<String>,
    /// Its DNS zone is somebody else's.
    pub non_authoritative: Patch<bool>,
    /// Free text.
    pub comment: Patch<String>,
    /// Static routes, all of them.
    pub routes: Patch<Vec<Name>>,
    /// DHCP relays, all of them.
    pub dhcp_relay: Patch<Vec<IpAddr>>,
    /// Ranges that relays name as links, all of them.
    pub dhcp_link_subnet: Patch<Vec<IpNet>>,
    /// New addresses of controllers, by the keys that clients use for them.
    pub controllers: Vec<(String, IpAddr)>,
}

/// Changes a network; makes it where there is none of this name. Devices whose addresses no longer fit get others.
pub fn save(draft: &mut Draft, name: &Name, request: &Request) -> Result<Saved, Error> {
    match (draft.networks().get(name).map(Arc::clone), &request.new_name) {
        (Some(network), None) => update(draft, &network, request).map(|()| Saved::Updated),
        (Some(network), Some(new_name)) => {
            let renamed = Network { name: new_name.clone(), ..Network::clone(&network) };
            draft.rename(renamed.clone(), name.as_str())?;
            update(draft, &renamed, request).map(|()| Saved::Renamed)
        }
        (None, None) => create(draft, name, request).map(|()| Saved::Created),
        (None, Some(_)) => Err(Error::invalid(
            "newnetname",
            format!("there is no {} '{name}' to rename", Kind::Network),
        )),
    }
}

/// Makes a network like another, in a range of its own.
pub fn clone(
    draft: &mut Draft,
    source: &str,
    new_name: &Name,
    request: &Request,
) -> Result<(), Error> {
    let source = Arc::clone(draft.network(source)?);
    if draft.networks().contains_key(new_name) {
        return Err(Error::AlreadyExists { kind: Kind::Network, name: new_name.to_string() });
    }
    let copy = Network {
        name: new_name.clone(),
        ipv4: None,
        ipv6: None,
        gateway: None,
        gateway_ipv6: None,
        dhcp: false,
        dhcp_range: None,
        dhcp_range_ipv6: None,
        ..Network::clone(&source)
    };
    finish(draft, copy, &Request { new_name: None, ..request.clone() })
}

fn create(draft: &mut Draft, name: &Name, request: &Request) -> Result<(), Error> {
    if request.clear.is_some() {
        return Err(Error::invalid("clear", "the network is new; there is nothing to clear"));
    }
    finish(draft, Network { name: name.clone(), ..Network::default() }, request)
}

fn finish(draft: &mut Draft, network: Network, request: &Request) -> Result<(), Error> {
    if request.range.is_none() {
        let reason = format!(
            "the network '{}' is new and needs a range, such as 10.141.0.0/16",
            network.name
        );
        return Err(Error::invalid("network", reason));
    }
    let network = changed(draft, network, request)?;
    draft.put(network)
}

fn update(draft: &mut Draft, network: &Network, request: &Request) -> Result<(), Error> {
    let new = changed(draft, network.clone(), request)?;
    let moved = Family::BOTH.into_iter().any(|family| new.range(family) != network.range(family));
    let lends =
        Family::BOTH.into_iter().any(|family| new.lent_range(family) != network.lent_range(family));
    draft.put(new.clone())?;
    for (key, address) in &request.controllers {
        let former = controller::by_key(draft, key).map(|controller| controller.addresses);
        controller::set_address(draft, key, *address, None)?;
        if let Some(former) = former {
            keep_routing(draft, network, request, former, *address)?;
        }
    }
    if moved || lends || new.lends_to_nodes() != network.lends_to_nodes() {
        renumber(draft, &new)?;
    }
    Ok(())
}

/// A network whose gateway was a controller goes on being routed by it in its new range.
fn keep_routing(
    draft: &mut Draft,
    before: &Network,
    request: &Request,
    former: addresses::Addresses,
    address: IpAddr,
) -> Result<(), Error> {
    let mut new = Network::clone(draft.network(before.name.as_str())?);
    let is_said = request.gateway.is_given() || request.gateway_ipv6.is_given();
    if is_said || !new.contains(address) {
        return Ok(());
    }
    match address {
        IpAddr::V4(address) if before.gateway.is_some() && before.gateway == former.ipv4 => {
            new.gateway = Some(address);
        }
        IpAddr::V6(address)
            if before.gateway_ipv6.is_some() && before.gateway_ipv6 == former.ipv6 =>
        {
            new.gateway_ipv6 = Some(address);
        }
        IpAddr::V4(_) | IpAddr::V6(_) => return Ok(()),
    }
    draft.put(new)
}

/// The network as it is asked to be.
fn changed(draft: &Draft, mut network: Network, request: &Request) -> Result<Network, Error> {
    let mut violations = Vec::new();
    if let Some(range) = request.range {
        set_range(&mut network, range);
    }
    if let Some(family) = request.clear {
        clear(&mut network, family, &mut violations);
    }
    set_gateways(&mut network, request, &mut violations);
    if request.range.is_some() || request.gateway.is_given() || request.gateway_ipv6.is_given() {
        violations.extend(wrong_gateways(draft, &network));
    }
    request.nameserver_ip.apply(&mut network.nameserver_ip);
    request.nameserver_ip_ipv6.apply(&mut network.nameserver_ip_ipv6);
    request.ntp_server.apply(&mut network.ntp_server);
    request.shared.apply(&mut network.shared);
    if network.shared.as_ref() == Some(&network.name) {
        let reason = "a network cannot share its own wire; name another network".to_owned();
        violations.push(Violation { field: "shared".to_owned(), reason });
    }
    request.dhcp_relay.apply_or(&mut network.dhcp_relay, Vec::new());
    request.dhcp_link_subnet.apply_or(&mut network.dhcp_link_subnet, Vec::new());
    violations.extend(check_relays(&network));
    // Networks that share a wire may overlap; those that no longer do may not.
    let given: Vec<_> = match request.range {
        Some(range) if !request.shared.is_given() => vec![Family::of(range.addr())],
        None if !request.shared.is_given() => Vec::new(),
        _ => Family::BOTH.to_vec(),
    };
    violations.extend(overlaps(draft, &network, &given));
    request.r#type.apply(&mut network.r#type);
    request.comment.apply(&mut network.comment);
    request.routes.apply_or(&mut network.routes, Vec::new());
    request.non_authoritative.apply_or(&mut network.non_authoritative, false);
    network.zone = request.zone.unwrap_or(network.zone);
    dynamic_range::apply(&request.dhcp, &mut network, &mut violations);
    if violations.is_empty() { Ok(network) } else { Err(Error::Invalid(violations)) }
}

/// A new range takes what no longer fits out of the network's own settings; the dynamic range moves along.
fn set_range(network: &mut Network, range: IpNet) {
    let range = range.trunc();
    if network.range(Family::of(range.addr())) == Some(range) {
        return;
    }
    match range {
        IpNet::V4(range) => {
            network.ipv4 = Some(range);
            network.gateway = network.gateway.filter(|gateway| range.contains(gateway));
        }
        IpNet::V6(range) => {
            network.ipv6 = Some(range);
            network.gateway_ipv6 = network.gateway_ipv6.filter(|gateway| range.contains(gateway));
        }
    }
    dynamic_range::move_into(network, range);
}

/// The networks whose ranges of these families overlap this one's, but for those that share its wire.
pub(crate) fn overlaps(
    cluster: &Cluster,
    network: &Network,
    families: &[Family],
) -> Vec<Violation> {
    let shares = |other: &Network| {
        network.shared.as_ref() == Some(&other.name) || other.shared.as_ref() == Some(&network.name)
    };
    let mut violations = Vec::new();
    let others = cluster.networks().values();
    for other in others.filter(|other| other.name != network.name && !shares(other)) {
        let ranges = families
            .iter()
            .filter_map(|family| network.range(*family).zip(other.range(*family)))
            .filter(|(own, theirs)| own.contains(theirs) || theirs.contains(own));
        violations.extend(ranges.map(|(own, theirs)| Violation {
            field: "network".to_owned(),
            reason: format!("{own} overlaps the network '{}' ({theirs})", other.name),
        }));
    }
    violations
}

/// Gateways that cannot be: the network's own or broadcast address, or a node's.
pub(crate) fn wrong_gateways(cluster: &Cluster, network: &Network) -> Vec<Violation> {
    let gateways = [
        ("gateway", network.gateway.map(IpAddr::V4)),
        ("gateway_ipv6", network.gateway_ipv6.map(IpAddr::V6)),
    ];
    let wrong = |(field, gateway): (&str, Option<IpAddr>)| {
        let gateway = gateway?;
        let reason = wrong_gateway(cluster, network, gateway)?;
        Some(Violation { field: field.to_owned(), reason })
    };
    gateways.into_iter().filter_map(wrong).collect()
}

/// Why an address cannot be that of a network's gateway.
pub fn wrong_gateway(cluster: &Cluster, network: &Network, gateway: IpAddr) -> Option<String> {
    let range = network.range(Family::of(gateway))?;
    if !addresses::is_host(range, gateway) {
        let what = if gateway == range.network() {
            "the network's own address"
        } else {
            "the network's broadcast address"
        };
        return Some(format!("{gateway} is {what} ({range}), which no router can have"));
    }
    match cluster.holder(gateway) {
        Some(holder @ Holder::Interface { .. }) => Some(format!(
            "{gateway} is in use by {holder}; give the node another address first, or name another gateway"
        )),
        Some(
            Holder::Controller(_)
            | Holder::Switch(_)
            | Holder::OtherDevice(_)
            | Holder::Reservation(_),
        )
        | None => None,
    }
}

fn clear(network: &mut Network, family: Family, violations: &mut Vec<Violation>) {
    let (other, word) = match family {
        Family::V4 => (network.ipv6.is_some(), "ipv4"),
        Family::V6 => (network.ipv4.is_some(), "ipv6"),
    };
    if !other {
        let reason = format!(
            "the network has nothing but {word}; give it a range of the other family first"
        );
        violations.push(Violation { field: "clear".to_owned(), reason });
        return;
    }
    match family {
        Family::V4 => {
            network.ipv4 = None;
            network.gateway = None;
            network.dhcp_range = None;
            network.nameserver_ip = None;
        }
        Family::V6 => {
            network.ipv6 = None;
            network.gateway_ipv6 = None;
            network.dhcp_range_ipv6 = None;
            network.nameserver_ip_ipv6 = None;
        }
    }
}

fn set_gateways(network: &mut Network, request: &Request, violations: &mut Vec<Violation>) {
    let is_given =
        [&request.gateway, &request.gateway_ipv6].iter().any(|gateway| gateway.value().is_some());
    for (field, gateway, family) in [
        ("gateway", &request.gateway, Family::V4),
        ("gateway_ipv6", &request.gateway_ipv6, Family::V6),
    ] {
        match gateway {
            Patch::Keep => {}
            Patch::Clear => match family {
                Family::V4 => network.gateway = None,
                Family::V6 => network.gateway_ipv6 = None,
            },
            Patch::Set(address) if network.contains(*address) => match address {
                IpAddr::V4(address) => network.gateway = Some(*address),
                IpAddr::V6(address) => network.gateway_ipv6 = Some(*address),
            },
            Patch::Set(address) => {
                let reason = format!(
                    "{address} is outside the network '{}'; a router must be in it",
                    network.name
                );
                violations.push(Violation { field: field.to_owned(), reason });
            }
        }
    }
    request.gateway_metric.apply(&mut network.gateway_metric);
    if is_given && !request.gateway_metric.is_given() {
        let external = request.zone.unwrap_or(network.zone) == Zone::External;
        network.gateway_metric = Some(if external { METRIC_EXTERNAL } else { METRIC_INTERNAL });
    }
}
