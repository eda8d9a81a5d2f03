//! Servers that the site runs itself, and whose files are written here: ISC dhcpd, Kea and BIND.
//!
//! One task (`worker.rs`) does everything, one thing after the other: it writes when the cluster has been quiet for a moment, and does what is
//! asked for at `/service` (`queue.rs`). A file is rendered, checked by the server's own program, and takes the place of the former one as a
//! whole (`files.rs`); what is refused changes nothing, and is told in `status`. Kea is told over its socket (`kea.rs`), so that it never
//! stops; the others are restarted or reloaded by `[SERVICES] COMMAND` (`command.rs`).

mod bind;
mod command;
mod dhcp;
mod dynamic;
mod fence;
mod files;
mod kea;
mod queue;
pub(crate) mod worker;

use crate::config::{Options, Serve, Settings};
pub use queue::{Action, Kind, Servers};

/// The servers whose files are written, as far as the daemon does not serve itself.
pub(crate) fn prepare(settings: &Settings, options: &Options) -> Servers {
    let serves_dhcp = !options.dhcp_interfaces.is_empty();
    let serves_names = !matches!(settings.names.serve, Serve::No | Serve::Other(_));
    Servers::new(settings.servers.clone().beside(serves_dhcp, serves_names))
}
