//! The loop around [`reply`]: packets in, leases stored, packets out.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};

use perilune_model::Cluster;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::leases::{Lease, Leases};
use crate::reply::{Answer, Decision, Policy, Sighting, reply};
use crate::request::Request;
use crate::told::Told;

const PORT: u16 = 67;
/// As large as any packet of ours or a machine's is.
const LARGEST_PACKET: usize = 4096;
/// As many answers as may wait for the store.
const WAITING: usize = 1024;

/// A lease that must be durable before its machine hears of it. The one who stores it answers whether it is.
#[derive(Debug)]
pub struct StoreLease {
    /// The address.
    pub address: Ipv4Addr,
    /// The lease; `None` when it is over.
    pub lease: Option<Lease>,
    /// To be told whether it is durable.
    pub stored: oneshot::Sender<bool>,
}

/// What the servers of all interfaces share.
#[derive(Debug, Clone)]
pub struct Site {
    /// The cluster as it is published.
    pub cluster: watch::Receiver<Arc<Cluster>>,
    /// What is lent.
    pub leases: Arc<Mutex<Leases>>,
    /// Whoever stores leases.
    pub store: mpsc::Sender<StoreLease>,
    /// Whoever wants to know about strangers.
    pub sightings: mpsc::Sender<Sighting>,
    /// Tells milliseconds since 1970.
    pub clock: fn() -> u64,
}

/// The server of one interface, which has its port already.
#[derive(Debug)]
pub struct Server {
    socket: Arc<UdpSocket>,
    interface: String,
    policy: Policy,
}

impl Server {
    /// Takes the port on an interface. Call it within the runtime that will run the server.
    pub fn bind(interface: &str, policy: Policy) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        Ok(Self { socket, interface: interface.to_owned(), policy })
    }

    /// Serves until `stop`.
    pub async fn run(self, site: Site, stop: CancellationToken) {
        let mut buffer = vec![0; LARGEST_PACKET];
        let mut pending: JoinSet<()> = JoinSet::new();
        let mut told = Told::default();
        loop {
            let received = tokio::select! {
                () = stop.cancelled() => return,
                Some(_) = pending.join_next() => continue,
                received = self.socket.recv_from(&mut buffer), if pending.len() < WAITING => received,
            };
            let length = match received {
                Ok((length, _)) => length,
                Err(error) => {
                    tracing::warn!(interface = self.interface, %error, "DHCP cannot receive");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(request) = Request::read(buffer.get(..length).unwrap_or_default()) else {
                tracing::debug!(interface = self.interface, length, "not a DHCP request");
                continue;
            };
            let published = Arc::clone(&site.cluster.borrow());
            let (decision, sighting) = {
                // What a panicking holder left is still a table of leases.
                let mut leases = site.leases.lock().unwrap_or_else(PoisonError::into_inner);
                reply(&published, &mut leases, &self.policy, &request, (site.clock)())
            };
            if let Some(sighting) = sighting {
                // Nobody must wait for a list of strangers.
                drop(site.sightings.try_send(sighting));
            }
            self.act(decision, &request, &site.store, &mut pending, &mut told);
        }
    }

    fn act(
        &self,
        decision: Decision,
        request: &Request,
        store: &mpsc::Sender<StoreLease>,
        pending: &mut JoinSet<()>,
        told: &mut Told,
    ) {
        let (mac, interface) = (request.mac, self.interface.clone());
        let kind = request.kind.word();
        match decision {
            Decision::Ignore(reason) => {
                tracing::debug!(%mac, kind, interface, reason, "DHCP is silent");
            }
            Decision::Unserved(reason) => {
                tracing::warn!(%mac, kind, interface, reason, "DHCP cannot serve a machine");
            }
            Decision::Forget(address) => {
                tracing::info!(%mac, kind, interface, %address, "DHCP lease is over");
                let (store, socket) = (store.clone(), None);
                pending.spawn(finish(store, address, None, socket));
            }
            Decision::Answer(answer) => {
                let Answer { packet: bytes, kind: given, address, to, lease, missing_program } =
                    *answer;
                tracing::info!(%mac, kind, interface, %address, answer = given.word(), "DHCP");
                if let Some(firmware) = missing_program
                    && told.is_new(format!("{mac} {firmware}"))
                {
                    tracing::warn!(
                        %mac, interface, firmware,
                        "DHCP gives a machine an address and no boot program: there is none for its firmware"
                    );
                }
                let packet = Packet { socket: Arc::clone(&self.socket), bytes, to };
                match lease {
                    Some(lease) => {
                        pending.spawn(finish(store.clone(), address, Some(lease), Some(packet)));
                    }
                    None => {
                        pending.spawn(packet.send());
                    }
                }
            }
        }
    }
}

/// A packet that is ready to go.
struct Packet {
    socket: Arc<UdpSocket>,
    bytes: Vec<u8>,
    to: SocketAddrV4,
}

impl Packet {
    async fn send(self) {
        if let Err(error) = self.socket.send_to(&self.bytes, self.to).await {
            tracing::warn!(to = %self.to, %error, "a DHCP answer cannot be sent");
        }
    }
}

/// Stores a lease, and only then lets its machine know.
async fn finish(
    store: mpsc::Sender<StoreLease>,
    address: Ipv4Addr,
    lease: Option<Lease>,
    packet: Option<Packet>,
) {
    let (stored, answer) = oneshot::channel();
    if store.send(StoreLease { address, lease, stored }).await.is_err() {
        return;
    }
    match (answer.await, packet) {
        (Ok(true), Some(packet)) => packet.send().await,
        (Ok(true), None) => {}
        (Ok(false) | Err(_), _) => {
            tracing::warn!(%address, "a lease was not stored, so its machine is not answered");
        }
    }
}
