//! The addresses at which names are answered: those of the interfaces that are served, as they come and go. One whose port is taken is
//! tried again until it is free.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::status::Names;
use super::tcp::Slots;
use super::{tcp, udp};
use crate::cluster::ClusterService;
use crate::config::Options;
use crate::machines::interfaces_of;
use crate::own_addresses;
use crate::state::State;

/// How often addresses are looked for, and taken ports tried again.
const EVERY: Duration = Duration::from_secs(5);
/// As many read from one address at most. Each message wakes all of them, so that they are half as many as there are cores.
const READERS: usize = 4;

/// What has the sockets.
pub(super) struct Listener {
    desk: Arc<Desk>,
    names: Names,
    cluster: ClusterService,
    interfaces: Vec<String>,
    slots: Arc<Slots>,
    serving: BTreeMap<IpAddr, CancellationToken>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Listener {
    pub(super) fn new(
        options: &Options,
        state: &State,
        desk: Arc<Desk>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            desk,
            names: state.names.clone(),
            cluster: state.cluster.clone(),
            interfaces: options.dhcp_interfaces.clone(),
            slots: Arc::default(),
            serving: BTreeMap::new(),
            tasks: JoinSet::new(),
            stop,
        }
    }

    /// Keeps to the addresses that there are until `stop`.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                ended = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    // A panic there is a defect: the address is served anew.
                    if let Some(Err(error)) = ended {
                        tracing::error!(%error, "a DNS socket failed; all are opened again");
                        self.close_all().await;
                    }
                    continue;
                }
                () = tokio::time::sleep(EVERY) => {}
            }
            self.settle().await;
        }
        self.close_all().await;
    }

    async fn close_all(&mut self) {
        for (_, stop) in std::mem::take(&mut self.serving) {
            stop.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// Opens and closes what is to be, as of now, and says so.
    pub(super) async fn settle(&mut self) {
        let wanted = self.wanted();
        self.serving.retain(|address, stop| {
            let stays = wanted.contains(address);
            if !stays {
                tracing::info!(%address, "DNS is no longer served at an address that is gone");
                stop.cancel();
            }
            stays
        });
        self.names.keep(|address| wanted.contains(&address));
        for address in wanted {
            if self.serving.contains_key(&address) {
                continue;
            }
            let place = SocketAddr::new(address, self.desk.settings.port);
            let failure = match self.open(place).await {
                Ok(()) => None,
                Err(error) => Some(told(place, &error)),
            };
            match (self.names.note(place, failure.as_deref()), failure) {
                (true, Some(failure)) => tracing::warn!("{failure}"),
                (true, None) => tracing::info!(address = %place, "serving DNS"),
                (false, _) => {}
            }
        }
        let answering = self.names.answering();
        if self.cluster.published().answering() != answering.as_ref() {
            self.cluster.set_answering(answering).await;
        }
    }

    /// The addresses that are to be served now.
    fn wanted(&self) -> BTreeSet<IpAddr> {
        let named = &self.desk.settings.listen;
        let is_all = |own: IpAddr| {
            named.iter().any(|named| named.is_unspecified() && named.is_ipv4() == own.is_ipv4())
        };
        let found = getifaddrs()
            .into_iter()
            .flatten()
            .filter_map(|known| Some((own_addresses::address_of(&known)?, known.interface_name)));
        let found: Vec<(IpAddr, String)> = found.collect();
        if !named.is_empty() {
            let single = named.iter().copied().filter(|named| !named.is_unspecified());
            let all = found.into_iter().map(|(address, _)| address).filter(|own| is_all(*own));
            return single.chain(all).collect();
        }
        let interfaces = if self.interfaces.is_empty() {
            interfaces_of(&self.cluster.published()).unwrap_or_default()
        } else {
            self.interfaces.clone()
        };
        let served = found.into_iter().filter(|(address, interface)| {
            !address.is_loopback() && interfaces.contains(interface)
        });
        served.map(|(address, _)| address).collect()
    }

    async fn open(&mut self, place: SocketAddr) -> io::Result<()> {
        let socket = Arc::new(udp::bind(place)?);
        let listener = TcpListener::bind(place).await?;
        let stop = self.stop.child_token();
        let readers = std::thread::available_parallelism().map_or(1, usize::from);
        let readers = (readers / 2).clamp(1, READERS);
        for _ in 0..readers {
            let (socket, desk) = (Arc::clone(&socket), Arc::clone(&self.desk));
            let stop = stop.clone();
            self.tasks.spawn_blocking(move || udp::serve(&socket, &desk, &stop));
        }
        self.tasks.spawn(udp::wake_at(stop.clone(), socket));
        let (desk, slots) = (Arc::clone(&self.desk), Arc::clone(&self.slots));
        self.tasks.spawn(tcp::serve(listener, desk, slots, stop.clone()));
        self.serving.insert(place.ip(), stop);
        Ok(())
    }
}

/// Why names are not answered at an address, and what to do.
fn told(place: SocketAddr, error: &io::Error) -> String {
    let port = place.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let hint = if place.ip().is_loopback() {
                "systemd-resolved has it where DNSStubListener of /etc/systemd/resolved.conf is not 'no'"
            } else {
                "often named, dnsmasq, or systemd-resolved with a DNSStubListenerExtra"
            };
            format!(
                "DNS cannot be served at {place}: another program has the port ({hint}; `ss -lnp 'sport = :{port}'` names it). Stop that one, \
                 or let it serve the names: [DNS] SERVE = no in luna.ini. It is tried again every few seconds"
            )
        }
        io::ErrorKind::PermissionDenied => format!(
            "DNS cannot be served at {place}: ports below 1024 need privileges; run perilune as root, or with CAP_NET_BIND_SERVICE"
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "DNS cannot be served at {place}: this host has no such address now; give it to an interface, or name another in [DNS] LISTEN of luna.ini"
        ),
        _ => format!("DNS cannot be served at {place}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_told_with_what_to_do() {
        let taken =
            |address: &str| told(address.parse().unwrap(), &io::ErrorKind::AddrInUse.into());
        assert!(taken("127.0.0.53:53").contains("DNSStubListener"));
        let text = taken("10.141.255.254:53");
        assert!(text.contains("[DNS] SERVE = no") && text.contains("sport = :53"), "{text}");
    }
}
