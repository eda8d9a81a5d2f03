//! The loop around [`reply`]: packets in, leases stored, packets out.

use std::fmt;
use std::future::ready;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use perilune_model::{Cluster, Family};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, yield_now};
use tokio_util::sync::CancellationToken;

use crate::counters::{Counted, Counters, Fate};
use crate::exchange::Exchange;
use crate::leases::{Lease, Leases};
use crate::peers::{HeardOnce, Peers};
use crate::queue::{Line, Queue};
use crate::reply::{Answer, Decision, Policy, Sighting, reply};
use crate::request::{Kind, Request};
use crate::tap::Tap;
use crate::told::Told;

const PORT: u16 = 67;
/// As large as any packet of ours or a machine's is.
const LARGEST_PACKET: usize = 4096;
/// What the system keeps for us while we answer others: a second of a flood. What it throws away is not looked at, so nobody knows whose it was.
const KEPT_BYTES: usize = 8 << 20;
/// Packets that are read before some are answered: all that came meanwhile.
pub(crate) const READ_AT_ONCE: usize = 256;
/// Requests that are answered before packets are read again.
pub(crate) const ANSWERED_AT_ONCE: usize = 32;
/// Groups of leases that may wait for the store. When it is slow, groups are larger; when it stands still, strangers wait.
pub(crate) const GROUPS: usize = 64;
/// A warning about the same thing is repeated after so many milliseconds.
pub(crate) const MINUTE: u64 = 60_000;
pub(crate) const DAY: u64 = 24 * 60 * MINUTE;

/// An address with its lease; without one when it is over.
pub type Edit = (IpAddr, Option<Lease>);

/// What becomes of leases that are to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// They are durable, but for these addresses: another controller has lent them meanwhile.
    Durable(Vec<IpAddr>),
    /// They are not, and machines must not hear of them.
    Failed,
}

/// Answers once leases are durable.
pub type Storing = Pin<Box<dyn Future<Output = Stored> + Send>>;

/// Stores leases, which must be durable before their machines hear of them. Of several edits of one address the last counts. Others see
/// them when this returns; what it returns tells when they are durable.
#[derive(Clone)]
pub struct StoreLeases(Arc<dyn Fn(Vec<Edit>) -> Storing + Send + Sync>);

impl StoreLeases {
    /// By this function.
    pub fn new(store: impl Fn(Vec<Edit>) -> Storing + Send + Sync + 'static) -> Self {
        Self(Arc::new(store))
    }

    pub(crate) fn store(&self, edits: Vec<Edit>) -> Storing {
        (self.0)(edits)
    }
}

impl fmt::Debug for StoreLeases {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StoreLeases")
    }
}

/// What the servers of all interfaces share.
#[derive(Debug, Clone)]
pub struct Site {
    /// The cluster as it is published.
    pub cluster: watch::Receiver<Arc<Cluster>>,
    /// What is lent.
    pub leases: Arc<Mutex<Leases>>,
    /// Whoever stores leases.
    pub store: StoreLeases,
    /// The controllers that answer together, as of now.
    pub peers: watch::Receiver<Arc<Peers>>,
    /// Whoever wants to know about strangers.
    pub sightings: mpsc::Sender<Sighting>,
    /// Tells milliseconds on a clock that never jumps, the one of the leases.
    pub clock: fn() -> u64,
    /// What became of messages.
    pub counters: Arc<Counters>,
}

/// The server of one interface, which has its port already.
#[derive(Debug)]
pub struct Server {
    socket: Arc<UdpSocket>,
    interface: String,
    policy: Policy,
    tap: Option<Tap<Exchange>>,
}

impl Server {
    /// Takes the port on an interface. Call it within the runtime that will run the server.
    pub fn bind(interface: &str, policy: Policy) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        keep_much(&socket)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        let tap = Tap::open(interface).inspect_err(|error| {
            tracing::info!(interface, %error, "DHCP cannot tell which card a frame came from, and counts invented machines as machines");
        });
        Ok(Self { socket, interface: interface.to_owned(), policy, tap: tap.ok() })
    }

    /// Serves until `stop`.
    pub async fn run(self, site: Site, stop: CancellationToken) {
        let mut desk = Desk {
            server: self,
            site,
            queue: Queue::default(),
            pending: JoinSet::new(),
            told: Told::default(),
            heard: HeardOnce::default(),
            buffer: vec![0; LARGEST_PACKET],
        };
        loop {
            let has_work = desk.queue.has(desk.serves_strangers());
            let readable = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(_) = desk.pending.join_next() => Ok(()),
                () = ready(()), if has_work => Ok(()),
                readable = desk.server.socket.readable() => readable,
            };
            if let Err(error) = readable.and_then(|()| desk.read()) {
                tracing::warn!(interface = desk.server.interface, %error, "DHCP cannot receive");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            desk.answer();
            // Others of this thread have their turn, however many machines ask.
            yield_now().await;
        }
    }
}

/// Beyond the system's usual limit that is root's alone; without it, there is less room in a flood.
pub(crate) fn keep_much(socket: &Socket) -> io::Result<()> {
    match setsockopt(socket, sockopt::RcvBufForce, &KEPT_BYTES) {
        Ok(()) => Ok(()),
        Err(_) => socket.set_recv_buffer_size(KEPT_BYTES),
    }
}

/// A server at work.
struct Desk {
    server: Server,
    site: Site,
    queue: Queue<Request>,
    pending: JoinSet<()>,
    told: Told,
    heard: HeardOnce,
    buffer: Vec<u8>,
}

impl Desk {
    fn serves_strangers(&self) -> bool {
        self.pending.len() < GROUPS
    }

    /// Takes in what has come. Reading costs little beside answering: what there is no time for is turned away here, knowing what it is.
    fn read(&mut self) -> io::Result<()> {
        let published = Arc::clone(&self.site.cluster.borrow());
        let shared = Arc::clone(&self.site.leases);
        // What a panicking holder left is still a table of leases.
        let leases = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.site.clock)();
        for _ in 0..READ_AT_ONCE {
            let length = match self.server.socket.try_recv_from(&mut self.buffer) {
                Ok((length, _)) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let bytes = self.buffer.get(..length).unwrap_or_default();
            let Some(mut request) = Request::read(bytes) else {
                self.not_read(length);
                continue;
            };
            if let Some(tap) = self.server.tap.as_mut().filter(|_| request.relay().is_none()) {
                let (transaction, address) = (request.transaction(), request.head_address());
                let frame = tap.frame_of(Exchange { transaction, address });
                request.card = frame.and_then(|frame| frame.card);
                request.is_missed = frame.is_none();
            }
            let (mac, kind) = (request.mac, request.kind);
            let is_node = published.node_by_mac(mac).is_some();
            let has_address = leases.of(mac, Family::V4).is_some();
            let line = Line::of(is_node, kind == Kind::Discover, has_address);
            self.site.counters.count(Fate::Heard, Counted::V4(kind));
            if !self.queue.push(line, request, now) {
                self.site.counters.count(Fate::Shed, Counted::V4(kind));
                tracing::debug!(%mac, ?line, "DHCP is busy; this machine must ask again");
            }
        }
        Ok(())
    }

    fn not_read(&mut self, length: usize) {
        let interface = &self.server.interface;
        match Request::fault(self.buffer.get(..length).unwrap_or_default()) {
            Some(reason) if self.told.is_new(reason.clone(), (self.site.clock)(), DAY) => {
                tracing::warn!(interface, reason, "DHCP cannot serve a machine");
            }
            Some(_) => {}
            None => tracing::debug!(interface, length, "not a DHCP request"),
        }
    }

    fn answer(&mut self) {
        let published = Arc::clone(&self.site.cluster.borrow());
        let shared = Arc::clone(&self.site.leases);
        let mut group = Group::default();
        {
            let mut leases = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let strangers = self.serves_strangers();
            let now = (self.site.clock)();
            self.server.policy.peers = Arc::clone(&self.site.peers.borrow());
            for _ in 0..ANSWERED_AT_ONCE {
                let Some(request) = self.queue.pop(strangers, now) else { break };
                let policy = &self.server.policy;
                let looks = request.kind == Kind::Discover;
                if looks && self.heard.leaves(&policy.peers, request.mac, now) {
                    tracing::debug!(mac = %request.mac, "DHCP leaves this machine to a controller that is not behind");
                    continue;
                }
                let (decision, sighting) = reply(&published, &mut leases, policy, &request, now);
                group.edits.extend(leases.take_over().into_iter().map(|address| (address, None)));
                if let Some(sighting) = sighting {
                    // Nobody must wait for a list of strangers.
                    drop(self.site.sightings.try_send(sighting));
                }
                self.act(decision, &request, &mut group, now);
            }
        }
        if !group.edits.is_empty() {
            let socket = Arc::clone(&self.server.socket);
            let storing = self.site.store.store(group.edits);
            self.pending.spawn(finish(storing, socket, group.packets));
        }
    }

    fn act(&mut self, decision: Decision, request: &Request, group: &mut Group, now: u64) {
        let (mac, interface, kind) = (request.mac, &self.server.interface, request.kind.word());
        match decision {
            Decision::Ignore(reason) => {
                tracing::debug!(%mac, kind, interface, reason, "DHCP is silent");
            }
            Decision::Unserved(reason) => {
                if self.told.is_new(reason.clone(), now, MINUTE) {
                    tracing::warn!(%mac, kind, interface, reason, "DHCP cannot serve a machine");
                }
            }
            Decision::Forget(address) => {
                tracing::info!(%mac, kind, interface, %address, "DHCP lease is over");
            }
            Decision::Answer(answer) => {
                let Answer { packet, kind: given, address, to, lease, missing_program } = *answer;
                tracing::info!(%mac, kind, interface, %address, answer = given.word(), "DHCP");
                self.site.counters.count(Fate::Sent, Counted::V4(given));
                if let Some(firmware) = missing_program
                    && self.told.is_new(format!("{mac} {firmware}"), now, DAY)
                {
                    tracing::warn!(
                        %mac, interface, firmware,
                        "DHCP gives a machine an address and no boot program: there is none for its firmware"
                    );
                }
                match lease {
                    Some(lease) => {
                        group.edits.push((address, Some(lease)));
                        group.packets.push((address, packet, to.into()));
                    }
                    None => send(&self.server.socket, &packet, to.into()),
                }
            }
        }
    }
}

/// Leases that are stored together, and what is said once they are, each with the address that it gives.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) edits: Vec<Edit>,
    pub(crate) packets: Vec<(IpAddr, Vec<u8>, SocketAddr)>,
}

/// The system takes what is sent, or its queue is full of what we sent before: the machine asks again.
pub(crate) fn send(socket: &UdpSocket, packet: &[u8], to: SocketAddr) {
    if let Err(error) = socket.try_send_to(packet, to) {
        tracing::warn!(%to, %error, "a DHCP answer cannot be sent");
    }
}

/// Waits until leases are stored, and only then lets their machines know.
pub(crate) async fn finish(
    storing: Storing,
    socket: Arc<UdpSocket>,
    packets: Vec<(IpAddr, Vec<u8>, SocketAddr)>,
) {
    let Stored::Durable(lost) = storing.await else {
        let leases = packets.len();
        tracing::warn!(leases, "leases were not stored, so their machines are not answered");
        return;
    };
    for (address, packet, to) in packets {
        if lost.contains(&address) {
            tracing::warn!(%address, "another controller has lent an address meanwhile; its machine here begins anew");
        } else {
            send(&socket, &packet, to);
        }
    }
}
