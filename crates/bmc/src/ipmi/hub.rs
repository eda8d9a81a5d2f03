//! The few UDP sockets that all sessions share: thousands of BMCs cost a handful of file descriptors.
//! One task for each socket reads, and puts every packet into the mailbox of its session.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::packet;
use crate::Error;

/// More sockets are more room for packets that arrive at one moment.
const SOCKETS: usize = 4;
const RECEIVE_BUFFER: usize = 4 << 20;
/// What one session may leave unread. More is dropped: it was sent twice, or by somebody else.
const MAILBOX: usize = 16;

#[derive(Default)]
pub(crate) struct Hub {
    sockets: Mutex<Sockets>,
    sessions: Arc<Sessions>,
    sent: AtomicU64,
}

#[derive(Default)]
struct Sockets {
    four: Vec<Arc<UdpSocket>>,
    six: Vec<Arc<UdpSocket>>,
    /// Ends with the hub.
    readers: JoinSet<()>,
}

#[derive(Default)]
struct Sessions {
    by_number: Mutex<Index>,
    received: AtomicU64,
}

#[derive(Default)]
struct Index {
    sessions: BTreeMap<u32, Entry>,
    /// For packets that do not say whose they are: whose BMC has sent them.
    by_peer: BTreeMap<SocketAddr, u32>,
}

struct Entry {
    peer: SocketAddr,
    letters: mpsc::Sender<Vec<u8>>,
}

/// Where the packets of one session arrive. Its number is ours to choose, and free again when this is dropped.
pub(crate) struct Mailbox {
    pub(crate) number: u32,
    letters: mpsc::Receiver<Vec<u8>>,
    peer: SocketAddr,
    sessions: Arc<Sessions>,
}

impl Mailbox {
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        self.letters.recv().await
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let mut index = locked(&self.sessions.by_number);
        index.sessions.remove(&self.number);
        if index.by_peer.get(&self.peer) == Some(&self.number) {
            index.by_peer.remove(&self.peer);
        }
    }
}

impl Hub {
    /// Packets sent and received since the start.
    pub(crate) fn packets(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.sessions.received.load(Ordering::Relaxed))
    }

    pub(crate) fn mailbox(&self, peer: SocketAddr) -> Mailbox {
        let (sender, letters) = mpsc::channel(MAILBOX);
        let mut index = locked(&self.sessions.by_number);
        let mut number = crate::random::number();
        while number == 0 || index.sessions.contains_key(&number) {
            number = crate::random::number();
        }
        index.sessions.insert(number, Entry { peer, letters: sender });
        index.by_peer.insert(peer, number);
        Mailbox { number, letters, peer, sessions: Arc::clone(&self.sessions) }
    }

    pub(crate) async fn send(&self, peer: SocketAddr, bytes: &[u8]) -> Result<(), Error> {
        let socket = self.socket(peer).map_err(|source| Error::Local { source })?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        let sent = socket.send_to(bytes, peer).await;
        sent.map(drop).map_err(|source| Error::Unreachable { address: peer, source })
    }

    /// Sends if that is possible this instant: the last words of a session that is dropped.
    pub(crate) fn try_send(&self, peer: SocketAddr, bytes: &[u8]) {
        if let Ok(socket) = self.socket(peer) {
            self.sent.fetch_add(1, Ordering::Relaxed);
            drop(socket.try_send_to(bytes, peer));
        }
    }

    /// Always the same one for one BMC: it answers to the port that it was asked from.
    fn socket(&self, peer: SocketAddr) -> std::io::Result<Arc<UdpSocket>> {
        let mut sockets = locked(&self.sockets);
        let Sockets { four, six, readers } = &mut *sockets;
        let family = if peer.is_ipv4() { four } else { six };
        if family.is_empty() {
            for _ in 0..SOCKETS {
                let socket = Arc::new(open(peer)?);
                readers.spawn(read(Arc::clone(&socket), Arc::clone(&self.sessions)));
                family.push(socket);
            }
        }
        let place = match peer.ip() {
            IpAddr::V4(address) => address.to_bits() as usize,
            IpAddr::V6(address) => usize::from(address.segments()[7]),
        };
        let socket = family.get((place + usize::from(peer.port())) % SOCKETS);
        socket.map(Arc::clone).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

fn open(peer: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // The kernel gives as much as its limit allows, and says nothing.
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    let any = match peer {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    socket.bind(&SocketAddr::new(any, 0).into())?;
    UdpSocket::from_std(socket.into())
}

async fn read(socket: Arc<UdpSocket>, sessions: Arc<Sessions>) {
    let mut buffer = [0; packet::LONGEST];
    loop {
        // An error belongs to some packet that was sent before; the socket stays usable.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        sessions.received.fetch_add(1, Ordering::Relaxed);
        deliver(&sessions, peer, buffer.get(..length).unwrap_or_default());
    }
}

fn deliver(sessions: &Sessions, peer: SocketAddr, bytes: &[u8]) {
    let index = locked(&sessions.by_number);
    if let Some(number) = packet::console_session(bytes) {
        // What names a session that is over came late: for the one that runs now it would only be confusing.
        let named = index.sessions.get(&number).filter(|entry| entry.peer == peer);
        if let Some(entry) = named {
            drop(entry.letters.try_send(bytes.to_vec()));
        }
        return;
    }
    // Nonsense is passed on too, so that it can be said that the BMC talks nonsense; but it never fills the mailbox.
    let stray = index.by_peer.get(&peer).and_then(|number| index.sessions.get(number));
    if let Some(entry) = stray.filter(|entry| entry.letters.capacity() > MAILBOX / 2) {
        drop(entry.letters.try_send(bytes.to_vec()));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
