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
mod worker;

use std::sync::Arc;

use perilune_boot::Directories;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Options, Serve, ServerSettings, Settings};
use crate::state::State;
pub use queue::{Action, Kind, Servers};
use worker::Worker;

/// The servers whose files are written, as far as the daemon does not serve itself.
pub(crate) fn prepare(settings: &Settings, options: &Options) -> Servers {
    let serves_dhcp = !options.dhcp_interfaces.is_empty();
    let serves_names = !matches!(settings.names.serve, Serve::No | Serve::Other(_));
    Servers::new(settings.servers.clone().beside(serves_dhcp, serves_names))
}

/// Starts to write, where there is anything to write.
pub(crate) fn start(state: &State, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
    let settings: Arc<ServerSettings> = state.servers.settings();
    if settings.dhcp.is_none() && settings.dhcp6.is_none() && settings.dns.is_none() {
        return;
    }
    let directories =
        Directories { templates: state.settings.template_files.clone(), plugins: None };
    let templates = Arc::new(perilune_render::templates(directories));
    tasks.spawn(Worker::new(state.clone(), settings, templates).run(stop.clone()));
}
