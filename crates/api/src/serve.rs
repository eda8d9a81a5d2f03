//! Answers clients, as long as the daemon runs.

use std::net::SocketAddr;
use std::sync::Arc;

use perilune_daemon::config::Options;
use perilune_daemon::error::Error;
use perilune_daemon::serve::{Port, Started, run, start};
use tokio_util::sync::CancellationToken;

use crate::audience::Audience;
use crate::connections::{Connections, Limits, Listener, Ranks};

/// Serves until `asked` is cancelled. Tells `ready` the addresses that it listens on, once it answers.
pub async fn serve(
    options: Options,
    limits: Limits,
    asked: CancellationToken,
    ready: impl FnOnce(&[SocketAddr]),
) -> Result<(), Error> {
    let Started { state, ports, mut tasks, stop } = Box::pin(start(options, asked)).await?;
    let addresses: Vec<SocketAddr> = ports.iter().map(|port| port.listen.address).collect();
    let ranks = Ranks::new(state.cluster.clone(), state.boots.clone(), state.proxies.clone());
    let connections = Connections::new(limits, ranks);
    let settings = state.settings.clone();
    let service = super::service(super::state::State::new(state));
    for Port { socket, listen, protocol, tls } in ports {
        let audience = Audience::at(&listen, &settings);
        tracing::info!(address = %listen.address, %protocol, %audience, "listening");
        let listener = Listener { socket, tls, audience };
        tasks.spawn(Arc::clone(&connections).answer(listener, service.clone(), stop.clone()));
    }
    // Whoever can ask for changes is gone before what makes them ends.
    drop((service, connections));
    ready(&addresses);
    run(tasks, stop).await
}
