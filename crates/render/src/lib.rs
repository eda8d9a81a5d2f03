//! Files for servers that a site already runs: `dhcpd.conf`, Kea's configuration, `named.conf` and zones, from the site's own templates, or
//! from the built-in ones of the same names. Pure: what is rendered goes where the daemon puts it.
//!
//! The variables are those that existing sites' templates were written for; those that only the built-in templates use are lower case.
#![warn(missing_docs)]

mod dhcp;
mod names;

use perilune_boot::{Directories, Templates};

pub use dhcp::{Dhcp, DhcpKeys, Place};
pub use names::{Names, NamesFile, Paths, ZoneFile};

/// The built-in templates, by the names that the site's own have, too.
const BUILT_IN: &[(&str, &str)] = &[
    (DHCPD, include_str!("../templates/templ_dhcpd.cfg")),
    (DHCPD6, include_str!("../templates/templ_dhcpd6.cfg")),
    (KEA4, include_str!("../templates/templ_kea-dhcp4.cfg")),
    (KEA6, include_str!("../templates/templ_kea-dhcp6.cfg")),
    (NAMED, include_str!("../templates/templ_dns_conf.cfg")),
    (ZONES, include_str!("../templates/templ_dns_zones_conf.cfg")),
    (ZONE, include_str!("../templates/templ_dns_zone.cfg")),
];

/// ISC dhcpd, IPv4.
pub const DHCPD: &str = "templ_dhcpd.cfg";
/// ISC dhcpd, IPv6.
pub const DHCPD6: &str = "templ_dhcpd6.cfg";
/// Kea, IPv4.
pub const KEA4: &str = "templ_kea-dhcp4.cfg";
/// Kea, IPv6.
pub const KEA6: &str = "templ_kea-dhcp6.cfg";
const NAMED: &str = "templ_dns_conf.cfg";
const ZONES: &str = "templ_dns_zones_conf.cfg";
const ZONE: &str = "templ_dns_zone.cfg";

/// Templates of these directories before the built-in ones.
pub fn templates(directories: Directories) -> Templates {
    Templates::with(directories, BUILT_IN)
}
