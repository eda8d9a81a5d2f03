//! Which values come from a group above a node's own group, or above the group that is shown.

use std::collections::BTreeMap;

use perilune_model::effective::Effective;
use perilune_model::provisioning::Provisioning;
use serde::Serialize;
use utoipa::ToSchema;

/// The name of that group, by field. Existing clients take its values for the group's own.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ancestors<'a>(BTreeMap<&'static str, &'a str>);

/// Whether something is said about a field.
type Says = fn(&Provisioning) -> bool;

macro_rules! fields {
    ($($word:literal: $field:ident),* $(,)?) => {
        &[$(($word, |said| said.$field.is_some())),*]
    };
}

/// The fields that are inherited, by the words of the API.
const FIELDS: &[(&str, Says)] = fields![
    "osimage": osimage, "osimagetag": osimagetag, "bmcsetup": bmcsetup, "bmcsetupname": bmcsetup, "setupbmc": setupbmc,
    "netboot": netboot, "bootmenu": bootmenu, "roles": roles, "scripts": scripts,
    "provision_interface": provision_interface, "provision_method": provision_method,
    "provision_fallback": provision_fallback, "kerneloptions": kerneloptions, "ipxe_kernel": ipxe_kernel,
    "unmanaged_bmc_users": unmanaged_bmc_users, "prescript": prescript, "partscript": partscript,
    "postscript": postscript, "disklayout": disklayout, "osimage_filter": osimage_filter, "install_policy": install_policy,
    "install_mode": install_policy, "wipe": wipe, "boot_order": boot_order, "memory_limit": memory_limit,
    "script_timeout": script_timeout, "hosts": hosts, "timezone": timezone, "locale": locale,
];

impl<'a> Ancestors<'a> {
    pub(crate) fn of(effective: &Effective<'a>) -> Self {
        let named = FIELDS.iter().filter_map(|(word, says)| {
            effective.ancestor(says).map(|group| (*word, group.as_str()))
        });
        let mut all: BTreeMap<_, _> = named.collect();
        let routes = effective.ancestor(|said| !said.routes.is_empty());
        all.extend(routes.map(|group| ("routes", group.as_str())));
        Self(all)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
