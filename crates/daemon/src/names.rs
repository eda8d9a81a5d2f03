//! The DNS server: answers for the names of the cluster, at the addresses of the interfaces that DHCP serves.
//!
//! What is answered, `perilune_dns` decides, from a view of the published cluster that is made beside the answers (`views.rs`). Here are the
//! sockets (`listen.rs`, `udp.rs`, `tcp.rs`), who may ask (`desk.rs`), what goes to other servers (`forward.rs`), and secondary servers that
//! are told of changes (`notify.rs`). That a port is taken stops nothing else.

mod counters;
mod desk;
mod forward;
mod listen;
mod notify;
mod status;
mod tcp;
mod udp;
mod views;

use std::sync::Arc;

use perilune_dns::Keys;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Options, Serve, Settings};
use crate::state::State;
pub(crate) use counters::Counters;
use desk::Desk;
use forward::Forwarder;
use listen::Listener;
pub use status::Names;
pub use status::Service;
use views::Views;

/// What is known before anything is served.
pub(crate) fn prepare(settings: &Settings, options: &Options) -> Names {
    let with_dhcp = !options.dhcp_interfaces.is_empty() || !settings.names.listen.is_empty();
    match &settings.names.serve {
        Serve::Yes => Names::wanted(settings.names.port),
        Serve::WithDhcp if with_dhcp => Names::wanted(settings.names.port),
        Serve::WithDhcp => Names::off(
            "DHCP is served on no interface; name one in [DHCP] INTERFACES of luna.ini, or write [DNS] SERVE = yes there".to_owned(),
        ),
        Serve::No => Names::off("[DNS] SERVE = no of luna.ini says so".to_owned()),
        Serve::Other(other) => Names::off(format!(
            "[SERVICES] DNS = {other} of luna.ini names another server; write [DNS] SERVE = yes there to have this one instead"
        )),
    }
}

/// Starts the server, if it is to serve. When this returns, names are answered wherever that can be now.
pub(crate) async fn start(
    options: &Options,
    state: &State,
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
) {
    if !state.names.is_wanted() {
        return;
    }
    let settings = state.settings.names.clone();
    let (views, following) = Views::begin(state);
    tasks.spawn(following.run(stop.clone()));
    let (forwarder, forwarding) = Forwarder::new();
    tasks.spawn(forwarding.run(stop.clone()));
    let keys: Keys = settings.keys.iter().cloned().collect();
    let (desk, given) = Desk::new(settings, keys, views, (forwarder, state.metrics.dns()));
    let desk = Arc::new(desk);
    tasks.spawn(notify::run(Arc::clone(&desk), state.names.clone(), given, stop.clone()));
    let mut listener = Listener::new(options, state, desk, stop.clone());
    listener.settle().await;
    tasks.spawn(listener.run());
}
