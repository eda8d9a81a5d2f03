//! The interfaces of a switch that have addresses of their own.

use std::net::IpAddr;
use std::sync::Arc;

use crate::device::Switch;
use crate::device::address::PlaceRequest;
use crate::{Draft, Error, Kind, Name, Patch};

/// The most interfaces of one switch.
pub const MOST: usize = 256;

/// What a client asks of an interface of a switch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The interface.
    pub interface: Name,
    /// Its new name.
    pub new_name: Option<Name>,
    /// Its network.
    pub network: Option<Name>,
    /// Its address.
    pub ipaddress: Option<IpAddr>,
    /// Its hardware address.
    pub macaddress: Patch<String>,
    /// Whether the switch is managed by it.
    pub mgmt: Patch<bool>,
}

/// Changes interfaces of a switch, and adds those that it does not have. An interface that comes into a network without an address gets the first
/// free one.
pub fn save(draft: &mut Draft, switch: &str, requests: &[Request]) -> Result<(), Error> {
    let mut switch = Switch::clone(Arc::as_ref(draft.switch(switch)?));
    for request in requests {
        save_one(draft, &mut switch, request)?;
        // The next sees which addresses are taken.
        draft.put(switch.clone())?;
    }
    Ok(())
}

fn save_one(draft: &Draft, switch: &mut Switch, request: &Request) -> Result<(), Error> {
    let place = switch.interfaces.iter().position(|own| own.name == request.interface);
    let mut own = place.and_then(|place| switch.interfaces.get(place)).cloned().unwrap_or_default();
    if place.is_none() {
        if request.new_name.is_some() {
            return Err(missing(&switch.name, request.interface.as_str()));
        }
        if switch.interfaces.len() >= MOST {
            let reason = format!("a switch has at most {MOST} interfaces");
            return Err(Error::invalid("interface", reason));
        }
        own.name = request.interface.clone();
    }
    if let Some(new_name) = request.new_name.as_ref().filter(|new| **new != own.name) {
        if switch.interface(new_name.as_str()).is_some() {
            let reason =
                format!("the switch has an interface '{new_name}' already; choose another name");
            return Err(Error::invalid("newinterfacename", reason));
        }
        own.name = new_name.clone();
    }
    request.macaddress.apply(&mut own.macaddress);
    request.mgmt.apply_or(&mut own.mgmt, false);
    let place_request = PlaceRequest {
        ipaddress: request.ipaddress,
        network: request.network.clone(),
        nonetwork: false,
    };
    place_request.apply(draft, &mut own.network, &mut own.addresses)?;
    if own.mgmt {
        // A switch has one interface that it is managed by: the last that was said.
        for other in &mut switch.interfaces {
            other.mgmt = false;
        }
    }
    match place.and_then(|place| switch.interfaces.get_mut(place)) {
        Some(known) => *known = own,
        None => switch.interfaces.push(own),
    }
    Ok(())
}

/// Removes an interface of a switch.
pub fn remove(draft: &mut Draft, switch: &str, interface: &str) -> Result<(), Error> {
    let mut switch = Switch::clone(Arc::as_ref(draft.switch(switch)?));
    let before = switch.interfaces.len();
    switch.interfaces.retain(|own| own.name != *interface);
    if switch.interfaces.len() == before {
        return Err(missing(&switch.name, interface));
    }
    draft.put(switch)
}

fn missing(switch: &Name, interface: &str) -> Error {
    Error::NoPart {
        kind: Kind::Switch,
        name: switch.to_string(),
        part: "interface",
        wanted: interface.to_owned(),
    }
}
