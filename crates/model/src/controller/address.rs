//! New addresses of controllers.

use std::net::IpAddr;
use std::sync::Arc;

use crate::controller::Controller;
use crate::{Draft, Error, Name};

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

/// Gives a controller another address, in another network where one is named.
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
    } else if controller.network.is_none() {
        controller.network = draft.network_of(address).map(|network| network.name.clone());
    }
    controller.addresses.set(address);
    draft.put(controller).map_err(|error| at_key(error, key))
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
