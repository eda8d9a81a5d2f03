//! Fetches one file from peers and gives it to others meanwhile. Whoever needs the file reads what is verified, while the rest comes.
//!
//! All nodes of a cluster are friends: everybody is given what it asks for, in the order of asking, and no account is kept of who gave. What
//! peers say is believed in nothing: a piece counts when its hash is right, a piece comes from one peer, and who gave a wrong one is left.

mod announcer;
mod peer;
mod pieces;
mod progress;
mod session;
mod sockets;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::sync_channel;
use std::thread;

pub use progress::{Progress, Stalled};

use crate::metainfo::Torrent;
use crate::tracker::Announcement;
use session::Session;
use sockets::Sockets;

/// As many pieces wait in memory at most, by their bytes, but four.
const MEMORY: u64 = 48 << 20;
/// Lists of peers that wait to be tried.
const LISTS: usize = 4;

/// Asks the tracker; the body of its answer, or why it did not answer.
pub type Ask<'a> = dyn Fn(&Announcement) -> Result<Vec<u8>, String> + Sync + 'a;

/// A file that peers are to fetch.
#[derive(Clone, Copy)]
pub struct Fetch<'a> {
    pub torrent: &'a Torrent,
    /// Read and written; what is in it does not matter.
    pub file: &'a File,
    /// What this peer calls itself: no other peer may have the same.
    pub id: [u8; 20],
    /// Where it listens, if that is free; else anywhere.
    pub port: u16,
}

impl Fetch<'_> {
    /// Fetches and gives until `work` returns. What is verified is in the file, and told by the progress.
    pub fn while_fetching<T>(
        &self,
        ask: &Ask<'_>,
        work: impl FnOnce(&Progress) -> T,
    ) -> io::Result<T> {
        let progress = Progress::new(self.torrent);
        let sockets = Sockets::listen(self.port)?;
        let port = sockets.port()?;
        let (told, peers) = sync_channel::<Vec<SocketAddr>>(LISTS);
        Ok(thread::scope(|scope| {
            let progress = &progress;
            let announcing = scope.spawn(move || announcer::run(self, port, ask, &told, progress));
            let session = Session::new(*self, progress);
            let moving = scope.spawn(move || sockets.run(session, &peers, progress));
            // Whatever becomes of the work, nobody waits for threads that wait for it.
            let over = Over(progress);
            let result = work(progress);
            drop(over);
            // A defect in one of them has been told on the console; the work had its error by the progress.
            moving.join().ok();
            announcing.join().ok();
            result
        }))
    }
}

struct Over<'a>(&'a Progress);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
