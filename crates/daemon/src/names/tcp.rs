//! Questions by TCP: what is too large for a datagram, and whole zones for secondary servers. Connections are few, and none lasts long.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use perilune_dns::{Client, Transfer, Transport, is_transfer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Outcome};
use super::forward::Asker;
use crate::clock;
use crate::rate::network;

/// As large as any question is, with a signature.
const LARGEST: usize = 4096;
/// The shortest message: a header.
const SHORTEST: usize = 12;
/// A client that says nothing for so long has no more questions (RFC 7766, section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// A message that has begun to come is there within this time, and an answer is taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// As long as a connection lasts, and one on which a zone goes.
const LONGEST: Duration = Duration::from_mins(2);
const LONGEST_TRANSFER: Duration = Duration::from_mins(10);
/// As long a stranger may take for its one question.
const STRANGERS_TIME: Duration = Duration::from_secs(2);

/// Who has how many connections. Each kind has its own, so that none takes the others'.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<BTreeMap<Kind, BTreeMap<IpAddr, usize>>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Secondary,
    Served,
    Stranger,
}

impl Kind {
    fn of(client: Client) -> Self {
        match client {
            Client { is_secondary: true, .. } => Self::Secondary,
            Client { is_served: true, .. } => Self::Served,
            Client { .. } => Self::Stranger,
        }
    }

    /// Connections in all, and for each address.
    fn limits(self) -> (usize, usize) {
        match self {
            Self::Secondary => (64, 32),
            Self::Served => (256, 8),
            Self::Stranger => (16, 2),
        }
    }
}

/// A connection that is counted while this is there.
struct Slot {
    slots: Arc<Slots>,
    kind: Kind,
    address: IpAddr,
}

impl Slots {
    fn take(self: &Arc<Self>, kind: Kind, address: IpAddr) -> Option<Slot> {
        let address = network(address);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind = all.entry(kind).or_default();
        let (in_all, each) = kind.limits();
        let own = of_kind.get(&address).copied().unwrap_or_default();
        if own >= each || of_kind.values().sum::<usize>() >= in_all {
            return None;
        }
        of_kind.insert(address, own + 1);
        Some(Slot { slots: Arc::clone(self), kind, address })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut all = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_kind) = all.get_mut(&self.kind) else { return };
        let left = of_kind.get(&self.address).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            of_kind.remove(&self.address);
        } else {
            of_kind.insert(self.address, left);
        }
    }
}

/// Accepts connections until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    desk: Arc<Desk>,
    slots: Arc<Slots>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                let kind = Kind::of(desk.client(&desk.view(), from.ip()));
                // Who has too many is closed at once: waiting would cost more.
                if let Some(slot) = slots.take(kind, from.ip()) {
                    connections.spawn(attend(stream, from, Arc::clone(&desk), slot));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "DNS cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Answers the questions of one connection, one after the other.
async fn attend(mut stream: TcpStream, from: SocketAddr, desk: Arc<Desk>, slot: Slot) {
    let longest = match slot.kind {
        Kind::Served => LONGEST,
        // A stranger has one question, and the time only when that is signed and asks for a zone.
        Kind::Secondary | Kind::Stranger => LONGEST_TRANSFER,
    };
    let answered = timeout(longest, answer(&mut stream, from, &desk, slot.kind)).await;
    if let Ok(Err(error)) = answered {
        tracing::debug!(%from, %error, "a DNS connection ended");
    }
}

async fn answer(
    stream: &mut TcpStream,
    from: SocketAddr,
    desk: &Arc<Desk>,
    kind: Kind,
) -> io::Result<()> {
    let patience = if kind == Kind::Stranger { STRANGERS_TIME } else { IDLE + PATIENCE };
    while let Some(bytes) = timeout(patience, read(stream)).await?? {
        let (view, own) = (desk.view(), Arc::clone(desk));
        let seen = Arc::clone(&view);
        let turn = if is_transfer(&bytes) { Some(desk.transfers.acquire().await) } else { None };
        // A whole zone takes a while to gather.
        let decided = spawn_blocking(move || {
            own.decide(&seen, (from.ip(), Transport::Tcp), &bytes, own.now())
        });
        match decided.await.map_err(io::Error::other)? {
            Outcome::Say(answer) => write(stream, &answer).await?,
            Outcome::Forward(question, servers) => {
                let (sender, answer) = oneshot::channel();
                desk.forwarder.ask(question, servers, Asker::Tcp(sender));
                let Ok(answer) = answer.await else { return Ok(()) };
                write(stream, &answer).await?;
            }
            Outcome::Transfer(transfer) => {
                let zone = transfer.zone().to_owned();
                give(stream, transfer, from).await?;
                let own = Arc::clone(desk);
                let noted = spawn_blocking(move || own.note_given(&view, &zone));
                noted.await.map_err(io::Error::other)?;
            }
            Outcome::Nothing => return Ok(()),
        }
        drop(turn);
        if kind == Kind::Stranger {
            return Ok(());
        }
    }
    Ok(())
}

/// Gives a whole zone.
async fn give(
    stream: &mut TcpStream,
    mut transfer: Box<Transfer>,
    from: SocketAddr,
) -> io::Result<()> {
    while let Some(message) = transfer.next_message(clock::seconds()) {
        write(stream, &message).await?;
    }
    tracing::info!(zone = transfer.zone(), secondary = %from.ip(), "a DNS zone was given");
    Ok(())
}

/// The next question; `None` when the client has no more.
async fn read(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = match timeout(IDLE, stream.read_u16()).await {
        Ok(Ok(length)) => usize::from(length),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Ok(Err(error)) => return Err(error),
        Err(_) => return Ok(None),
    };
    if !(SHORTEST..=LARGEST).contains(&length) {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await??;
    Ok(Some(bytes))
}

async fn write(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    // One piece: the length alone would be a packet of its own.
    let whole = [&length.to_be_bytes(), message].concat();
    timeout(PATIENCE, stream.write_all(&whole)).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_a_few_connections_and_gets_them_back() {
        let slots = Arc::new(Slots::default());
        let at = |last: u8| IpAddr::from([10, 9, 0, last]);
        let mut own: Vec<Slot> = Vec::new();
        own.extend(std::iter::from_fn(|| slots.take(Kind::Served, at(1))));
        assert_eq!(own.len(), 8);
        assert!(slots.take(Kind::Served, at(2)).is_some());
        own.pop();
        assert!(slots.take(Kind::Served, at(1)).is_some());
        let strangers: Vec<Slot> =
            (0..100).filter_map(|last| slots.take(Kind::Stranger, at(last))).collect();
        assert_eq!(strangers.len(), 16);
        assert!(slots.take(Kind::Served, at(3)).is_some(), "strangers take nobody else's");
        drop((own, strangers));
        let all = slots.0.lock().unwrap();
        assert!(all.values().all(BTreeMap::is_empty), "{all:?}");
    }
}
