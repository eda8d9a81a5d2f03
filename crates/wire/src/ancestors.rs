//! Which values come from a group above a node's own group, or above the group that is shown.

use std::collections::BTreeMap;

use perilune_model::effective::Effective;
use perilune_model::provisioning::SETTINGS;
use serde::Serialize;
use utoipa::ToSchema;

/// The name of that group, by field. Existing clients take its values for the group's own.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ancestors<'a>(BTreeMap<&'static str, &'a str>);

/// What answers call a setting otherwise, or as well.
const OTHER_NAMES: [(&str, &str); 2] =
    [("bmcsetup", "bmcsetupname"), ("install_policy", "install_mode")];

impl<'a> Ancestors<'a> {
    pub(crate) fn of(effective: &Effective<'a>) -> Self {
        let mut all = BTreeMap::new();
        for setting in SETTINGS {
            let Some(group) = effective.ancestor(|said| (setting.of)(said).is_some()) else {
                continue;
            };
            let others = OTHER_NAMES.iter().filter(|(name, _)| *name == setting.name);
            let names = std::iter::once(setting.name).chain(others.map(|(_, other)| *other));
            all.extend(names.map(|name| (name, group.as_str())));
        }
        let routes = effective.ancestor(|said| !said.routes.is_empty());
        all.extend(routes.map(|group| ("routes", group.as_str())));
        Self(all)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
