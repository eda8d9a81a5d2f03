//! New addresses of controllers.

use std::net::IpAddr;
use std::sync::Arc;

use crate::controller::Controller;
use crate::dns::DnsHosts;
use crate::network::Network;
use crate::settings::Settings;
use crate::{Draft, Error, Family, Name, Servers};

/// The key that clients use for the controller that the cluster talks to, whatever its name.
pub const BEACON_KEY: &str = "controller";

/// The controller that clients mean by this key: `controller` is the beacon, others go by their names with `_` for `-`.
pub fn by_key<'a>(draft: &'a Draft, key: &str) -> Option<&'a Arc<Controller>> {
    if key == BEACON_KEY {
        return draft.beacon();
    }
    draft
        .controllers()
        .values()
        .find(|controller| controller.name.as_str().replace('-', "_") == key)
}

/// Gives a controller another address, in another network where one is named or its own does not have it. What names the former address
/// as a name server, a time server, a gateway or a DNS host names the new one.
pub fn set_address(
    draft: &mut Draft,
    key: &str,
    address: IpAddr,
    network: Option<&Name>,
) -> Result<(), Error> {
    let unknown = || Error::invalid(key, format!("there is no controller '{key}'"));
    let mut controller = Controller::clone(by_key(draft, key).ok_or_else(unknown)?);
    if let Some(network) = network {
        let missing =
            || Error::invalid("controller_network", format!("there is no network '{network}'"));
        draft.networks().get(network).ok_or_else(missing)?;
        controller.network = Some(network.clone());
    } else if !is_in(draft, controller.network.as_ref(), address)
        && let Some(network) = draft.network_of(address)
    {
        controller.network = Some(network.name.clone());
    }
    let old = controller.addresses.get(Family::of(address)).filter(|old| *old != address);
    controller.addresses.set(address);
    draft.put(controller).map_err(|error| at_key(error, key))?;
    old.map_or(Ok(()), |old| follow(draft, old, address))
}

fn is_in(draft: &Draft, network: Option<&Name>, address: IpAddr) -> bool {
    let network = network.and_then(|network| draft.networks().get(network));
    network.is_some_and(|network| network.contains(address))
}

/// What was told as the controller's former address is told as its new one: name servers and time servers of the cluster and of
/// networks, gateways, and DNS hosts. Boot scripts say what the controller has.
fn follow(draft: &mut Draft, old: IpAddr, new: IpAddr) -> Result<(), Error> {
    let moved = |address: &IpAddr| if *address == old { new } else { *address };
    let settings = Settings {
        nameserver_ip: draft.settings().nameserver_ip.iter().map(moved).collect(),
        ntp_server: draft.settings().ntp_server.iter().map(moved).collect(),
        ..Settings::clone(draft.settings())
    };
    if settings != **draft.settings() {
        draft.put(settings)?;
    }
    for network in draft.networks().values().map(Arc::clone).collect::<Vec<_>>() {
        let followed = network_after(&network, old, new);
        if followed != *network {
            draft.put(followed)?;
        }
    }
    for list in draft.dns_hosts().values().map(Arc::clone).collect::<Vec<_>>() {
        let mut followed = DnsHosts::clone(&list);
        let is_inside = is_in(draft, Some(&list.name), new);
        for host in followed.hosts.iter_mut().filter(|host| host.ipaddress == old && is_inside) {
            host.ipaddress = new;
        }
        if followed != *list {
            draft.put(followed)?;
        }
    }
    Ok(())
}

fn network_after(network: &Network, old: IpAddr, new: IpAddr) -> Network {
    let moved = |list: &Option<Servers>| list.as_ref().map(|list| list.moved(old, new));
    let mut network = Network {
        nameserver_ip: moved(&network.nameserver_ip),
        nameserver_ip_ipv6: moved(&network.nameserver_ip_ipv6),
        ntp_server: moved(&network.ntp_server),
        ..network.clone()
    };
    if !network.contains(new) {
        return network;
    }
    match (old, new) {
        (IpAddr::V4(old), IpAddr::V4(new)) if network.gateway == Some(old) => {
            network.gateway = Some(new);
        }
        (IpAddr::V6(old), IpAddr::V6(new)) if network.gateway_ipv6 == Some(old) => {
            network.gateway_ipv6 = Some(new);
        }
        _ => {}
    }
    network
}

/// The refusal of an address names the field that it was given in.
fn at_key(error: Error, key: &str) -> Error {
    match error {
        Error::Invalid(mut violations) => {
            for violation in &mut violations {
                key.clone_into(&mut violation.field);
            }
            Error::Invalid(violations)
        }
        Error::NotFound { .. }
        | Error::NoPart { .. }
        | Error::AlreadyExists { .. }
        | Error::InUse { .. }
        | Error::Exhausted { .. } => error,
    }
}
