//! Writes the file of a DHCP server.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use perilune_boot::{Environment, Templates};
use perilune_dhcp::Held;
use perilune_model::{Cluster, Family};
use perilune_render::{Dhcp, DhcpKeys, Place};
use tokio::task::spawn_blocking;

use super::fence::Fence;
use super::kea::{self, Taken};
use super::{command, files};
use crate::causes::chain;
use crate::config::DhcpServer;
use crate::machines::interfaces_of;
use crate::state::State;

const NOT_HELD: &str = "what machines ask while the DHCP server takes a configuration is lost, and they ask again. Give this program CAP_NET_RAW";

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// The file says that already.
    Nothing,
    /// The server must be restarted to read it.
    File,
    /// The server serves by it already.
    Taken,
}

/// Writes what a server is to serve. Without `force`, a file that says so already is left as it is.
pub(super) async fn write(
    state: &State,
    server: &DhcpServer,
    (keys, templates): (&DhcpKeys, &Arc<Templates>),
    fence: &Fence,
) -> Result<Written, String> {
    let cluster = state.cluster.published();
    let place = place(state, &cluster, server);
    let (own, keys) = (server.clone(), keys.clone());
    let has_keys = keys.omapi.is_some() || keys.tsig.is_some();
    let templates = Arc::clone(templates);
    let rendered = spawn_blocking(move || {
        let variables = Dhcp::new(&cluster, own.family, &keys, &place)?;
        Some(variables.render(&templates, &own.template))
    });
    let rendered =
        rendered.await.map_err(|error| format!("{} was not made: {error}", server.unit))?;
    // Nothing to serve is no reason to take away what somebody else serves.
    let Some(text) = rendered.transpose().map_err(|error| chain(&error))? else {
        return Ok(Written::Nothing);
    };
    if files::has(&server.file, &text) {
        return Ok(Written::Nothing);
    }
    let staged = files::stage(&server.file, text, has_keys)?;
    let refused = |words: &str| format!("{} config file has errors: {words}", server.unit);
    command::check(&server.test, &[], staged.file()).await.map_err(|words| refused(&words))?;
    fence.check()?;
    let held = hold(state, server.family);
    let asked = Instant::now();
    let taken = kea::set(staged.text()).await;
    if taken == Taken::Yes {
        let milliseconds = asked.elapsed().as_millis();
        tracing::info!(server = server.unit, %milliseconds, "has taken the cluster as it is");
    }
    // Also where it refuses: it has not heard either.
    if let Some(held) = held.filter(|_| taken != Taken::Nobody) {
        match held.give_on().await {
            Ok(given) => tracing::debug!(
                server = server.unit,
                requests = given.requests,
                answers = given.answers,
                "it was shown what machines asked meanwhile"
            ),
            Err(error) => tracing::warn!(%error, server = server.unit, "{NOT_HELD}"),
        }
    }
    if let Taken::Refused(words) = taken {
        return Err(refused(&words));
    }
    fence.check()?;
    staged.replace()?;
    Ok(if taken == Taken::Yes { Written::Taken } else { Written::File })
}

/// Holds what machines ask from now on: Kea closes its sockets while it takes a configuration, half a second with 10,000 reservations. For
/// IPv6 its socket is one for UDP, which cannot be shown anything: there machines ask again.
fn hold(state: &State, family: Family) -> Option<Held> {
    if family == Family::V6 {
        return None;
    }
    let interfaces = interfaces_of(&state.cluster.published());
    match interfaces.and_then(|interfaces| Held::begin(&interfaces)) {
        Ok(held) => Some(held),
        Err(error) => {
            tracing::warn!(%error, "{NOT_HELD}");
            None
        }
    }
}

fn place(state: &State, cluster: &Cluster, server: &DhcpServer) -> Place {
    let environment = Environment::of(cluster, &state.settings.of_boot(&state.listen));
    let own = cluster.own_addresses().iter();
    let own: Vec<(IpAddr, String)> =
        own.map(|(address, interface)| (*address, interface.clone())).collect();
    let numbers =
        if server.family == Family::V6 { state.inventories.numbers() } else { BTreeMap::new() };
    let boot_port = environment.boot_port;
    Place { boot_port, kea_socket: server.socket.clone(), own, numbers }
}
