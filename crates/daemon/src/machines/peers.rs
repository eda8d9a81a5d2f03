//! Tells DHCP which controllers answer together, and whether this one knows less than another.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use perilune_dhcp::{BootServer, Peer, Peers};
use perilune_model::Cluster;
use perilune_store::Controller;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{address_of, boot_url};
use crate::holdings::{Holding, Other, Served};
use crate::peer;
use crate::state::State;

/// How often it is looked who runs.
const EVERY: Duration = Duration::from_secs(1);
/// One that was not heard for so many milliseconds is sent no machines to; it misses a beat before that.
const SILENT: u64 = 8_000;
/// How long another controller is waited for that is asked whether it is ready.
const ANSWER: Duration = Duration::from_secs(1);

/// Tells `peers`, until `stop`.
pub(super) async fn follow(
    state: State,
    peers: watch::Sender<Arc<Peers>>,
    stop: CancellationToken,
) {
    let keep = async {
        loop {
            let now = look(&state).await;
            peers.send_if_modified(|known| {
                let is_new = **known != now;
                *known = Arc::new(now);
                is_new
            });
            sleep(EVERY).await;
        }
    };
    stop.run_until_cancelled(Box::pin(keep)).await;
}

async fn look(state: &State) -> Peers {
    let (holdings, controllers) = (&state.holdings, &state.controllers);
    let mut others = holdings.others(controllers);
    // What was heard last is as old for all while the database is away.
    others.retain(|other| {
        let Controller { silent, is_drained, in_sync, .. } = other.controller;
        silent < SILENT && !is_drained && in_sync
    });
    let is_behind = !state.cluster.is_in_sync() && any_is_ready(&others).await;
    let own = holdings.of(controllers.name());
    // One that is drained, or behind, sends machines to others; where there is none, it is all there is.
    let takes_part = others.is_empty() || !(is_behind || controllers.is_drained());
    let own = own.filter(|_| takes_part).map(|own| peer(controllers.name(), &own));
    let others = others.iter().map(|other| peer(&other.controller.name, &other.holding));
    let all = own.into_iter().chain(others).filter(|peer| !peer.servers.is_empty()).collect();
    Peers { own: controllers.name().to_owned(), all, is_behind }
}

fn peer(name: &str, holding: &Holding) -> Peer {
    let server = |served: &Served| BootServer { address: served.address, url: served.url.clone() };
    Peer { name: name.to_owned(), servers: holding.served.iter().map(server).collect() }
}

/// Whether one of these says of itself that it serves what is stored. The database cannot be asked by who is behind.
async fn any_is_ready(others: &[Other]) -> bool {
    let mut asked = JoinSet::new();
    for other in others {
        let peer = other.peer();
        asked.spawn(async move {
            let answer =
                timeout(ANSWER, peer.ask(Method::GET, "/ha/ready", &[], Bytes::new())).await;
            matches!(answer, Ok(Ok(peer::Answer { .. })))
        });
    }
    while let Some(ended) = asked.join_next().await {
        if ended.is_ok_and(|is_ready| is_ready) {
            return true;
        }
    }
    false
}

/// Where machines of this host's wires boot from it.
pub(crate) fn served(state: &State, cluster: &Cluster) -> Vec<Served> {
    let environment = state.environment(cluster);
    let mut all = Vec::new();
    for interface in &state.dhcp_interfaces {
        let ipv4 = address_of(interface, cluster).ok().map(IpAddr::V4);
        let own = cluster.own_addresses().iter().filter(|(_, known)| *known == interface);
        let ipv6 = own.map(|(address, _)| *address).filter(IpAddr::is_ipv6);
        for address in ipv4.into_iter().chain(ipv6) {
            let url = boot_url(&environment, address, &state.listen);
            all.push(Served { address, url });
        }
    }
    all
}
