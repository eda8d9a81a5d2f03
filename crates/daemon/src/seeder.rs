//! Seeds the archives of images to peers of torrents (BEP 3), so that nobody needs another program for it on the controller.
//!
//! The uplink is the bound when many nodes are installed at once: what leaves it twice while some of an archive has not left it once is lost
//! time. Each peer is therefore told of few pieces, other ones than the others, in turns (after BEP 16); what it has then it gives to the others.
//! Who may fetch what is decided where peers announce themselves: nobody is answered whose address has not announced this torrent a moment ago.

mod pace;
mod share;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use pace::Pace;
use share::{Peer, Share};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use wire::{HANDSHAKE, Inbox, Message};

use crate::clock;
use crate::swarm::Swarm;
use crate::torrents::InfoHash;

/// What it calls itself.
const ID: &[u8; 20] = b"-PE0001-perilune-own";
/// As many peers are given something at one moment: few, so that each soon has a whole piece to give to others.
const SLOTS: usize = 8;
/// As much is given to a peer in its turn, or one piece where that is more: bytes.
const TURN: u64 = 4 << 20;
/// A peer in its turn that says nothing for so long loses it.
const SILENCE_IN_TURN: Duration = Duration::from_secs(10);
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
        let (mut reading, mut writing) = stream.into_split();
        let mut handshake = [0; HANDSHAKE];
        timeout(HANDSHAKE_TIME, reading.read_exact(&mut handshake)).await??;
        // Who speaks something else, or may not have it, learns nothing.
        let Some(hash) = wire::hash(&handshake) else { return Ok(()) };
        let Some(share) = self.share(hash, address).await else { return Ok(()) };
        timeout(PATIENCE, writing.write_all(&wire::handshake(&hash, ID))).await??;
        let peer = Peer::new(share.pieces());
        let inbox = Inbox::new(reading, share.pieces());
        Connection { seeder: self, share, peer, inbox, writing, is_choked: true }.serve().await
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
    /// It was told not to ask.
    is_choked: bool,
}

impl Connection<'_> {
    /// Waits for the peer's turn, and gives it something, until it has everything or goes.
    async fn serve(mut self) -> io::Result<()> {
        while let Some(mut slot) = self.wait().await? {
            loop {
                self.turn(slot).await?;
                // Whoever waits has taken it already.
                let next = Arc::clone(&self.seeder.slots).try_acquire_owned();
                match next.ok().filter(|_| self.peer.wants() && !self.peer.has_all()) {
                    Some(next) => slot = next,
                    None => break,
                }
            }
            // What it asks for from now on, it asks for again in its turn.
            self.is_choked = true;
            self.write(&wire::CHOKE).await?;
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
            let wants = self.peer.wants();
            if !wants {
                // One that is given to nobody would be lost to all.
                slot = place();
            }
            tokio::select! {
                message = timeout_at(heard + SILENCE, self.inbox.next()) => {
                    let Some(message) = message?? else { return Ok(None) };
                    heard = Instant::now();
                    note(&mut self.peer, &message);
                }
                _ = told.tick() => self.write(&wire::KEEP_ALIVE).await?,
                granted = &mut slot, if wants => return Ok(granted.ok()),
            }
        }
    }

    /// Tells it of a few pieces, and gives it what it asks for of them.
    async fn turn(&mut self, _slot: OwnedSemaphorePermit) -> io::Result<()> {
        let offer = self.share.offer(&mut self.peer, TURN);
        let mut told = Vec::new();
        for piece in &offer.new {
            told.extend(wire::have(*piece));
        }
        if self.is_choked {
            told.extend(wire::UNCHOKE);
            self.is_choked = false;
        }
        self.write(&told).await?;
        let mut left = offer.bytes;
        let end = Instant::now() + LONGEST_TURN;
        let mut heard = Instant::now();
        while left > 0 && !self.peer.has_all() {
            let until = end.min(heard + SILENCE_IN_TURN);
            let Ok(message) = timeout_at(until, self.inbox.next()).await else { break };
            let Some(message) = message? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            heard = Instant::now();
            let given = self.give(&message).await?;
            left = left.saturating_sub(given);
            // It got them from others meanwhile.
            if offer.pieces.iter().all(|piece| self.peer.has(*piece)) {
                return Ok(());
            }
        }
        // One that wants something and asks for nothing keeps the others from their turn.
        if self.peer.is_interested && left == offer.bytes && left > 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// Answers a message in the peer's turn; the bytes that it was given.
    async fn give(&mut self, message: &Message) -> io::Result<u64> {
        note(&mut self.peer, message);
        let Message::Request(block) = message else { return Ok(0) };
        if !self.share.has(block) {
            return Err(io::Error::other("it asks for what there is not"));
        }
        if !self.peer.was_offered(block.piece) {
            return Ok(0);
        }
        self.seeder.pace.take(u64::from(block.length)).await;
        let share = Arc::clone(&self.share);
        let wanted = *block;
        let read = tokio::task::spawn_blocking(move || share.read(&wanted)).await;
        let bytes = read.map_err(io::Error::other)??;
        self.write(&wire::piece(block, &bytes)).await?;
        Ok(u64::from(block.length))
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.writing.write_all(bytes)).await?
    }
}

fn note(peer: &mut Peer, message: &Message) {
    match message {
        Message::Interested(is_interested) => peer.is_interested = *is_interested,
        Message::Have(piece) => peer.got(*piece),
        Message::Bitfield(bits) => peer.got_all_of(bits),
        Message::Request(_) | Message::Other => {}
    }
}

#[cfg(test)]
mod tests;
