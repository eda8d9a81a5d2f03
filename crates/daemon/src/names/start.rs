//! Starts all of it.

use std::sync::Arc;

use perilune_dns::Keys;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::forward::Forwarder;
use super::listen::Listener;
use super::notify;
use super::views::Views;
use crate::config::Options;
use crate::state::State;

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
    let seen = (views, state.leases.clone());
    let (desk, given) = Desk::new(settings, keys, seen, (forwarder, state.metrics.dns()));
    let desk = Arc::new(desk);
    tasks.spawn(notify::run(Arc::clone(&desk), state.names.clone(), given, stop.clone()));
    let mut listener = Listener::new(options, state, desk, stop.clone());
    listener.settle().await;
    tasks.spawn(listener.run());
}
