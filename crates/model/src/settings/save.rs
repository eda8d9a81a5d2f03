//! Changing the settings of the cluster.

use crate::settings::{Request, Settings};
use crate::{Draft, Error, Saved, controller};

impl Request {
    fn sets_something(&self) -> bool {
        let addresses = Self {
            controller_network: self.controller_network.clone(),
            controllers: self.controllers.clone(),
            ..Self::default()
        };
        *self != addresses
    }
}

/// Changes the settings and the controllers' addresses; all or nothing. `Created` means that there was nothing to do.
pub fn save(draft: &mut Draft, request: &Request) -> Result<Saved, Error> {
    let before = draft.clone();
    for (key, address) in &request.controllers {
        controller::set_address(draft, key, *address, request.controller_network.as_ref())?;
    }
    let mut settings = Settings::clone(draft.settings());
    request.apply(&mut settings);
    draft.put(settings)?;
    let moved = before.controllers() != draft.controllers();
    Ok(if moved || request.sets_something() { Saved::Updated } else { Saved::Created })
}

/// The settings of a new cluster of which this is said and nothing else.
pub fn alone(request: &Request) -> Settings {
    let mut settings = Settings::default();
    request.apply(&mut settings);
    settings
}
