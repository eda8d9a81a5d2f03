//! Who has, or fetches, which archive by its torrent: what a tracker remembers. In memory alone: peers announce themselves again within seconds.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::torrents::{self, InfoHash};

/// Seconds after which a peer announces itself again, and before which it should not.
pub const INTERVAL: u64 = 20;
pub const SHORTEST_INTERVAL: u64 = 10;
/// A peer that was silent for so long is gone: milliseconds.
const SILENCE: u64 = 2 * INTERVAL * 1000 + 5_000;
/// As many peers are told of at once.
pub const MOST_TOLD: usize = 50;
/// As many peers of one torrent are remembered, and of one address: nodes that are installed, and a few programs on a controller.
const MOST_PEERS: usize = 16_384;
const MOST_OF_ADDRESS: usize = 8;
/// Torrents are looked for in the directory again after so long, when somebody announces another: milliseconds.
const LOOK_AGAIN: u64 = 5_000;

/// A peer: where it is reached, and what it calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub address: SocketAddr,
    pub id: [u8; 20],
    /// It has all of it.
    pub(crate) is_complete: bool,
    heard: u64,
}

impl Peer {
    /// One that is always there.
    pub fn constant(address: SocketAddr, id: [u8; 20]) -> Self {
        Self { address, id, is_complete: true, heard: 0 }
    }
}

/// What a peer says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Announcement {
    pub hash: InfoHash,
    pub address: SocketAddr,
    pub id: [u8; 20],
    pub is_complete: bool,
    /// It goes.
    pub is_over: bool,
}

/// How many peers there are of a torrent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub complete: usize,
    pub incomplete: usize,
}

/// All swarms; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Swarm(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    archives: BTreeMap<InfoHash, String>,
    looked: Option<u64>,
    peers: BTreeMap<InfoHash, BTreeMap<SocketAddr, Peer>>,
    /// Counts answers, so that each is told of others first.
    turn: usize,
    /// The daemon's own seeder: its port, and what it calls itself.
    seeder: Option<(u16, [u8; 20])>,
}

impl Swarm {
    /// The archive that a torrent is of. The directory is looked through when the hash is not known, but not too often.
    pub fn archive(&self, hash: &InfoHash, directory: &Path, now: u64) -> Option<String> {
        let is_due = {
            let inner = self.lock();
            if let Some(archive) = inner.archives.get(hash) {
                return Some(archive.clone());
            }
            inner.looked.is_none_or(|looked| now.saturating_sub(looked) >= LOOK_AGAIN)
        };
        if !is_due {
            return None;
        }
        self.lock().looked = Some(now);
        let archives = torrents::known(directory);
        let found = archives.get(hash).cloned();
        let mut inner = self.lock();
        // Whose torrent is gone is nobody's peer any more.
        inner.peers.retain(|hash, _| archives.contains_key(hash));
        inner.archives = archives;
        found
    }

    /// The torrents that are known, with their archives.
    pub fn archives(&self) -> BTreeMap<InfoHash, String> {
        self.lock().archives.clone()
    }

    /// Takes what a peer says, and tells it of others: `wanted` at most.
    pub fn announce(&self, said: &Announcement, wanted: usize, now: u64) -> (Vec<Peer>, Counts) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.turn = inner.turn.wrapping_add(1);
        let turn = inner.turn;
        let peers = inner.peers.entry(said.hash).or_default();
        peers.retain(|_, peer| now.saturating_sub(peer.heard) <= SILENCE);
        if said.is_over {
            peers.remove(&said.address);
        } else {
            make_room(peers, said.address);
            let Announcement { address, id, is_complete, .. } = *said;
            peers.insert(address, Peer { address, id, is_complete, heard: now });
        }
        let counts = counts(peers);
        let others: Vec<&Peer> = peers
            .values()
            // Who has all of it has no use for others who do.
            .filter(|peer| peer.address != said.address && !(said.is_complete && peer.is_complete))
            .collect();
        let begin = turn.wrapping_mul(7919).checked_rem(others.len()).unwrap_or(0);
        let told = others.iter().cycle().skip(begin).take(others.len().min(wanted));
        let told =
            if said.is_over { Vec::new() } else { told.map(|peer| Peer::clone(peer)).collect() };
        if peers.is_empty() {
            inner.peers.remove(&said.hash);
        }
        (told, counts)
    }

    /// Whether somebody at this address has announced this torrent and is not silent.
    pub(crate) fn has_announced(&self, hash: &InfoHash, address: IpAddr, now: u64) -> bool {
        let inner = self.lock();
        let Some(peers) = inner.peers.get(hash) else { return false };
        let own = SocketAddr::new(address, 0)..=SocketAddr::new(address, u16::MAX);
        peers.range(own).any(|(_, peer)| now.saturating_sub(peer.heard) <= SILENCE)
    }

    /// The daemon seeds at this port from now on.
    pub(crate) fn seeded_at(&self, port: u16, id: [u8; 20]) {
        self.lock().seeder = Some((port, id));
    }

    /// The port of the daemon's own seeder, and what it calls itself.
    pub fn seeder(&self) -> Option<(u16, [u8; 20])> {
        self.lock().seeder
    }

    /// How many peers there are of a torrent.
    pub fn counts(&self, hash: &InfoHash, now: u64) -> Counts {
        let mut inner = self.lock();
        let Some(peers) = inner.peers.get_mut(hash) else { return Counts::default() };
        peers.retain(|_, peer| now.saturating_sub(peer.heard) <= SILENCE);
        counts(peers)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn counts(peers: &BTreeMap<SocketAddr, Peer>) -> Counts {
    let complete = peers.values().filter(|peer| peer.is_complete).count();
    Counts { complete, incomplete: peers.len() - complete }
}

/// The one that was not heard for longest gives way: of the same address where that has its share, else of all.
fn make_room(peers: &mut BTreeMap<SocketAddr, Peer>, address: SocketAddr) {
    if peers.contains_key(&address) {
        return;
    }
    let own = |ip: IpAddr| SocketAddr::new(ip, 0)..=SocketAddr::new(ip, u16::MAX);
    let oldest = |peers: &mut dyn Iterator<Item = &Peer>| {
        peers.min_by_key(|peer| peer.heard).map(|peer| peer.address)
    };
    let gone = if peers.range(own(address.ip())).count() >= MOST_OF_ADDRESS {
        oldest(&mut peers.range(own(address.ip())).map(|(_, peer)| peer))
    } else if peers.len() >= MOST_PEERS {
        oldest(&mut peers.values())
    } else {
        None
    };
    if let Some(gone) = gone {
        peers.remove(&gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: InfoHash = [7; 20];

    fn said(ip: [u8; 4], port: u16, is_complete: bool) -> Announcement {
        let address = SocketAddr::new(ip.into(), port);
        Announcement {
            hash: HASH,
            address,
            id: [port.to_be_bytes()[1]; 20],
            is_complete,
            is_over: false,
        }
    }

    #[test]
    fn peers_are_told_of_each_other_until_they_are_silent_or_go() {
        let swarm = Swarm::default();
        let (first, second) = (said([10, 0, 0, 1], 6881, true), said([10, 0, 0, 2], 6881, false));
        assert_eq!(swarm.announce(&first, 50, 0).0, []);
        let (told, counts) = swarm.announce(&second, 50, 1_000);
        assert_eq!(told.iter().map(|peer| peer.address).collect::<Vec<_>>(), [first.address]);
        assert_eq!(counts, Counts { complete: 1, incomplete: 1 });
        assert_eq!(swarm.announce(&first, 50, 2_000).0.len(), 1);
        assert_eq!(swarm.announce(&first, 0, 2_000).0.len(), 0, "it wants none");
        assert_eq!(swarm.counts(&HASH, SILENCE + 1_500), Counts { complete: 1, incomplete: 0 });
        let (own, other) = (first.address.ip(), IpAddr::from([10, 0, 0, 3]));
        assert!(
            swarm.has_announced(&HASH, own, 2_000) && !swarm.has_announced(&HASH, other, 2_000)
        );
        assert!(!swarm.has_announced(&HASH, own, SILENCE + 2_001), "it is silent");
        assert!(!swarm.has_announced(&[8; 20], own, 2_000));
        let over = Announcement { is_over: true, ..first };
        assert_eq!(swarm.announce(&over, 50, SILENCE).0, []);
        assert_eq!(swarm.counts(&HASH, SILENCE + 1_500), Counts::default());
    }

    #[test]
    fn memory_and_answers_are_bounded_and_every_peer_has_its_turn() {
        let swarm = Swarm::default();
        for port in 1..100 {
            swarm.announce(&said([10, 0, 0, 1], port, false), 50, u64::from(port));
        }
        assert_eq!(
            swarm.counts(&HASH, 100).incomplete,
            MOST_OF_ADDRESS,
            "one address has its share"
        );
        for number in 0..u32::try_from(MOST_PEERS).unwrap() + 100 {
            let [_, b, c, d] = number.to_be_bytes();
            swarm.announce(&said([11, b, c, d], 6881, false), 1, 200);
        }
        assert_eq!(swarm.counts(&HASH, 200).incomplete, MOST_PEERS);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let (told, _) = swarm.announce(&said([11, 0, 0, 1], 6881, false), MOST_TOLD, 200);
            assert_eq!(told.len(), MOST_TOLD);
            seen.extend(told.into_iter().map(|peer| peer.address));
        }
        assert!(seen.len() > 10 * MOST_TOLD, "{}", seen.len());
    }
}
