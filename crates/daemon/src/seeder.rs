//! Seeds the archives of images to peers of torrents (BEP 3), so that nobody needs another program for it on the controller.
//!
//! The uplink is the bound when many nodes are installed at once: what leaves it twice while some of an archive has not left it once is lost
//! time. Each peer is therefore told of one piece in its turn, another one than the others (after BEP 16), and gives it to the others then.
//! Who may fetch what is decided where peers announce themselves: nobody is answered whose address has not announced this torrent a moment ago.

mod inbox;
mod pace;
mod share;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use inbox::Inbox;
use pace::Pace;
use perilune_torrent::wire::{self as wire, Block, HANDSHAKE, Message};
use share::{Peer, Share, pieces_of};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::swarm::Swarm;
use crate::torrents::InfoHash;

/// What it calls itself.
const ID: &[u8; 20] = b"-PE0001-perilune-own";
/// As many peers are given something at one moment: few, so that each soon has a whole piece to give to others.
const SLOTS: usize = 8;
/// As much is given to a peer in its turn, or one piece where that is more: bytes. The less, the sooner every peer has something to give.
const TURN: u64 = 256 << 10;
/// A peer in its turn that asks for nothing for so long loses it, and has the next one later, the more so the more turns it lets pass. One that
/// lets so many pass is left.
const SILENCE_IN_TURN: Duration = Duration::from_secs(1);
const AFTER_PASSED: Duration = Duration::from_secs(2);
const MOST_PASSED: u32 = 12;
/// As many blocks may a peer ask for out of its turn.
const MOST_ASKED: usize = 512;
/// A peer may be given everything twice, and so much more: its disk may have failed it.
const SPARE: u64 = 4 << 20;
/// As much waits in the system for a peer: what is given is to have left, so that few peers share the uplink.
const AHEAD: u32 = 64 << 10;
/// However slowly it reads, a turn is over after so long.
const LONGEST_TURN: Duration = Duration::from_mins(1);
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Peers say something every two minutes.
const SILENCE: Duration = Duration::from_secs(200);
const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// A peer that takes nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// As many connections there are, and from one address.
const MOST: usize = 4096;
const MOST_OF_ADDRESS: usize = 4;

/// Gives archives to peers.
pub(crate) struct Seeder {
    swarm: Swarm,
    /// Where archives and their torrents are.
    files: PathBuf,
    shares: Mutex<BTreeMap<InfoHash, Weak<Share>>>,
    slots: Arc<Semaphore>,
    pace: Pace,
}

impl Seeder {
    /// With a limit of bytes in a second.
    pub(crate) fn new(swarm: Swarm, files: PathBuf, limit: Option<u64>) -> Self {
        let slots = Arc::new(Semaphore::new(SLOTS));
        Self { swarm, files, shares: Mutex::default(), slots, pace: Pace::new(limit) }
    }

    /// Listens at all addresses of the machine, and has the tracker tell of it from now on.
    pub(crate) async fn listen(&self, port: u16) -> io::Result<TcpListener> {
        let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            // Such as without IPv6.
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?
            }
            bound => bound?,
        };
        self.swarm.seeded_at(listener.local_addr()?.port(), *ID);
        Ok(listener)
    }

    /// Answers peers until `stop`.
    pub(crate) async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let seeder = Arc::new(self);
        let mut peers = JoinSet::new();
        let mut of_address: BTreeMap<IpAddr, usize> = BTreeMap::new();
        loop {
            let (stream, address) = tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = peers.join_next(), if !peers.is_empty() => {
                    gone(&mut of_address, ended);
                    continue;
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => (stream, address.ip().to_canonical()),
                    Err(error) => {
                        // Such as too many open files: it passes.
                        tracing::debug!(%error, "a peer cannot be answered");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            let own = of_address.entry(address).or_default();
            if *own >= MOST_OF_ADDRESS || peers.len() >= MOST {
                continue;
            }
            *own += 1;
            let seeder = Arc::clone(&seeder);
            peers.spawn(async move {
                if let Err(error) = seeder.answer(stream, address).await {
                    tracing::debug!(%address, %error, "a peer is left");
                }
                address
            });
        }
    }

    async fn answer(&self, stream: TcpStream, address: IpAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_notsent_lowat(AHEAD)?;
        let (mut reading, mut writing) = stream.into_split();
        let mut handshake = [0; HANDSHAKE];
        timeout(HANDSHAKE_TIME, reading.read_exact(&mut handshake)).await??;
        // Who speaks something else, or may not have it, learns nothing.
        let Some(hash) = wire::hash(&handshake) else { return Ok(()) };
        let Some(share) = self.share(hash, address).await else { return Ok(()) };
        timeout(PATIENCE, writing.write_all(&wire::handshake(&hash, ID))).await??;
        let peer = Peer::new(share.pieces());
        let inbox = Inbox::new(reading, share.pieces());
        let (asked, waits) = (VecDeque::new(), Instant::now());
        let connection = Connection {
            seeder: self,
            share,
            peer,
            inbox,
            writing,
            asked,
            given: 0,
            passed: 0,
            waits,
        };
        connection.serve().await
    }

    /// What is given by this hash to this address.
    async fn share(&self, hash: InfoHash, address: IpAddr) -> Option<Arc<Share>> {
        if !self.swarm.has_announced(&hash, address, clock::steady_milliseconds()) {
            return None;
        }
        let known = |shares: &BTreeMap<InfoHash, Weak<Share>>| shares.get(&hash)?.upgrade();
        if let Some(share) = known(&self.lock()) {
            return Some(share);
        }
        let archive = self.swarm.archives().get(&hash).cloned()?;
        let files = self.files.clone();
        let open = move || Share::open(&files, &archive);
        let opened = tokio::task::spawn_blocking(open).await.ok()?;
        let share = match opened {
            Ok(share) => Arc::new(share),
            Err(error) => {
                tracing::warn!(%error, "an archive cannot be seeded");
                return None;
            }
        };
        let mut shares = self.lock();
        if let Some(share) = known(&shares) {
            return Some(share);
        }
        shares.retain(|_, share| share.strong_count() > 0);
        shares.insert(hash, Arc::downgrade(&share));
        Some(share)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<InfoHash, Weak<Share>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A peer is gone; a defect in what answers it is one of the daemon.
fn gone(of_address: &mut BTreeMap<IpAddr, usize>, ended: Result<IpAddr, tokio::task::JoinError>) {
    match ended {
        Ok(address) => {
            if let Some(count) = of_address.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    of_address.remove(&address);
                }
            }
        }
        Err(error) => {
            if let Ok(panic) = error.try_into_panic() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// A peer that may have this archive.
struct Connection<'s> {
    seeder: &'s Seeder,
    share: Arc<Share>,
    peer: Peer,
    inbox: Inbox<OwnedReadHalf>,
    writing: OwnedWriteHalf,
    /// Blocks of pieces that it was told of, which it asked for out of its turn.
    asked: VecDeque<Block>,
    /// Bytes that it was given.
    given: u64,
    /// So many turns in a row it has let pass.
    passed: u32,
    /// Until then it is not its turn again.
    waits: Instant,
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.share.leave(&self.peer);
    }
}

impl Connection<'_> {
    /// Waits for the peer's turn, and gives it something, until it has everything or goes. It may always ask: what it was not told of it does
    /// not ask for, and clients leave a seed that tells them again and again whether they may.
    async fn serve(mut self) -> io::Result<()> {
        self.write(&wire::UNCHOKE).await?;
        while let Some(slot) = self.wait().await? {
            self.turn(slot).await?;
            if self.passed >= MOST_PASSED {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }

    /// Until it is this peer's turn; `None` when it wants nothing more.
    async fn wait(&mut self) -> io::Result<Option<OwnedSemaphorePermit>> {
        let place = || Box::pin(Arc::clone(&self.seeder.slots).acquire_owned());
        // Kept while messages come: who waits keeps its place.
        let mut slot = place();
        let mut heard = Instant::now();
        let mut told = tokio::time::interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        loop {
            if self.peer.has_all() {
                return Ok(None);
            }
            let wants = !self.asked.is_empty() || self.peer.can_be_told();
            let is_due = self.waits <= Instant::now();
            if !wants || !is_due {
                // One that is given to nobody would be lost to all.
                slot = place();
            }
            tokio::select! {
                message = timeout_at(heard + SILENCE, self.inbox.next()) => {
                    let Some(message) = message?? else { return Ok(None) };
                    heard = Instant::now();
                    if let Some(block) = self.note(message)? {
                        self.asked.push_back(block);
                    }
                }
                _ = told.tick() => self.write(&wire::KEEP_ALIVE).await?,
                () = sleep_until(self.waits), if wants && !is_due => {}
                granted = &mut slot, if wants && is_due => return Ok(granted.ok()),
            }
        }
    }

    /// Gives it what it has asked for, or tells it of a piece and gives it that.
    async fn turn(&mut self, _slot: OwnedSemaphorePermit) -> io::Result<()> {
        let mut left = 0;
        let mut given = 0;
        while given < TURN {
            let Some(block) = self.asked.pop_front() else { break };
            given += self.give(block).await?;
        }
        let mut offered = None;
        while left < TURN && given == 0 {
            let Some((piece, length)) = self.share.offer(&mut self.peer) else { break };
            self.write(&wire::have(piece)).await?;
            left += length;
            offered = Some(piece);
        }
        let end = Instant::now() + LONGEST_TURN;
        let mut heard = Instant::now();
        while left > 0 && !self.peer.has_all() {
            let until = end.min(heard + SILENCE_IN_TURN);
            let Ok(message) = timeout_at(until, self.inbox.next()).await else { break };
            let Some(message) = message? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            if let Some(block) = self.note(message)? {
                let bytes = self.give(block).await?;
                given += bytes;
                left = left.saturating_sub(bytes);
                heard = Instant::now();
            }
            // It got it from others meanwhile.
            if offered.is_some_and(|piece| self.peer.has(piece)) {
                break;
            }
        }
        // Who gets it from others says so late: it is told of more, but later, so that it does not keep others from their turn.
        self.passed = if given > 0 { 0 } else { self.passed + 1 };
        self.waits = Instant::now() + AFTER_PASSED * self.passed;
        Ok(())
    }

    /// Answers a request; the bytes that the peer was given.
    async fn give(&mut self, block: Block) -> io::Result<u64> {
        self.given += u64::from(block.length);
        if self.given > self.share.length().saturating_mul(2).saturating_add(SPARE) {
            return Err(io::Error::other("it asks for the same again and again"));
        }
        self.seeder.pace.take(u64::from(block.length)).await;
        let share = Arc::clone(&self.share);
        let read = tokio::task::spawn_blocking(move || share.read(&block)).await;
        let bytes = read.map_err(io::Error::other)??;
        self.write(&wire::piece(&block, &bytes)).await?;
        Ok(u64::from(block.length))
    }

    /// Takes what the peer says; the block that it asks for, where it is one that it was told of.
    fn note(&mut self, message: Message) -> io::Result<Option<Block>> {
        match message {
            Message::Have(piece) => self.got(std::iter::once(index(piece))),
            Message::Bitfield(bits) => self.got(pieces_of(&bits)),
            Message::Request(block) => {
                if !self.share.has(&block) || self.asked.len() >= MOST_ASKED {
                    return Err(io::Error::other("it asks for what there is not, or for too much"));
                }
                return Ok(Some(block).filter(|block| self.peer.was_told(block.piece)));
            }
            Message::Cancel(block) => self.asked.retain(|asked| *asked != block),
            Message::Choke(_) | Message::Interested(_) | Message::Piece { .. } | Message::Other => {
            }
        }
        Ok(None)
    }

    fn got(&mut self, pieces: impl Iterator<Item = usize>) {
        self.share.note(&mut self.peer, pieces);
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.writing.write_all(bytes)).await?
    }
}

fn index(piece: u32) -> usize {
    usize::try_from(piece).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
