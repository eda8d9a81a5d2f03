//! Where a device that is not provisioned has its address.

use std::net::IpAddr;

use crate::addresses::{first_free, next_after};
use crate::network::Network;
use crate::{Addresses, Draft, Error, Family, Name};

/// What a client asks of a device's place in the networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlaceRequest {
    /// Its address; that of the other family stays.
    pub ipaddress: Option<IpAddr>,
    /// The network it is in.
    pub network: Option<Name>,
    /// The address is outside of all networks, and is not checked against any.
    pub nonetwork: bool,
}

impl PlaceRequest {
    /// Puts a device where it is asked to be. A network without an address gives the first free one, unless the present one fits.
    pub(super) fn apply(
        &self,
        draft: &Draft,
        network: &mut Option<Name>,
        addresses: &mut Addresses,
    ) -> Result<(), Error> {
        if self.nonetwork {
            if self.network.is_some() {
                let reason = "give either a network or nonetwork, not both";
                return Err(Error::invalid("nonetwork", reason));
            }
            *network = None;
            if let Some(address) = self.ipaddress {
                addresses.set(address);
            }
            return Ok(());
        }
        if let Some(name) = &self.network {
            let target = draft.network(name.as_str())?;
            *network = Some(name.clone());
            leave_what_does_not_fit(addresses, target);
            if self.ipaddress.is_none() && addresses.is_empty() {
                allocate(draft, target, addresses)?;
            }
        }
        let Some(address) = self.ipaddress else { return Ok(()) };
        if network.is_none() {
            return Err(Error::invalid("network", missing_network(draft, address)));
        }
        addresses.set(address);
        Ok(())
    }

    /// Where a copy of a device is: in the same network with the next address, unless the request says otherwise.
    pub(super) fn apply_to_copy(
        &self,
        draft: &Draft,
        network: &mut Option<Name>,
        addresses: &mut Addresses,
    ) -> Result<(), Error> {
        let source = std::mem::take(addresses);
        if self.ipaddress.is_some() || self.nonetwork {
            return self.apply(draft, network, addresses);
        }
        let place = self.network.clone().or_else(|| network.clone().filter(|_| !source.is_empty()));
        let Some(place) = place else {
            *network = None;
            return Ok(());
        };
        let target = draft.network(place.as_str())?;
        for address in source.iter().filter(|address| target.contains(*address)) {
            if let Some(next) = next_after(draft, target, address) {
                addresses.set(next);
            }
        }
        if addresses.is_empty() {
            allocate(draft, target, addresses)?;
        }
        *network = Some(place);
        Ok(())
    }
}

fn leave_what_does_not_fit(addresses: &mut Addresses, network: &Network) {
    for address in addresses.iter().filter(|address| !network.contains(*address)) {
        addresses.clear(Family::of(address));
    }
}

fn allocate(draft: &Draft, network: &Network, addresses: &mut Addresses) -> Result<(), Error> {
    for family in Family::BOTH.into_iter().filter(|family| network.range(*family).is_some()) {
        let free = first_free(draft, network, family);
        addresses.set(free.ok_or_else(|| Error::Exhausted { network: network.name.to_string() })?);
    }
    Ok(())
}

fn missing_network(draft: &Draft, address: IpAddr) -> String {
    match draft.networks().values().find(|network| network.contains(address)) {
        Some(network) => {
            format!("say which network {address} is in; '{}' has it in its range", network.name)
        }
        None => format!("say which network {address} is in, or give nonetwork"),
    }
}
