//! The image from other nodes, and to them, while it is unpacked. Whatever hinders that, the rest comes from the controller.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use perilune_plan::Image;
use perilune_torrent::client::{Fetch, Progress};
use perilune_torrent::metainfo::{LONGEST, Torrent};
use perilune_torrent::tracker::Announcement;

use crate::console::{Console, bytes};
use crate::controller::Controller;
use crate::download::Download;

/// When no piece at all comes for so long, the controller is asked.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// The first port that such programs are used to.
const PORT: u16 = 6881;
/// Where the archive is while the node is a peer: a name that is gone at once.
const FILE: &str = ".perilune-archive";
/// What the node's root needs beside the archive and what is in it.
const ROOM: u64 = 128 << 20;

/// An archive that comes from peers.
pub struct Swarm<'a> {
    image: &'a Image,
    torrent: Torrent,
    /// The pieces that have come. They are kept in the node's root, on its disk or in memory, until the image is unpacked.
    file: File,
    controller: &'a Controller,
    console: &'a Console,
    patience: Duration,
}

impl<'a> Swarm<'a> {
    /// What the plan wants to come from peers; `None` where the controller gives all of it, which is said.
    pub fn of(
        image: &'a Image,
        root: &Path,
        controller: &'a Controller,
        console: &'a Console,
        patience: Duration,
    ) -> Option<Self> {
        let name = image.torrent.as_deref()?;
        let found = torrent(name, controller).and_then(|torrent| {
            let file = place(root, &torrent, image.unpacked_size)?;
            Ok(Self { image, torrent, file, controller, console, patience })
        });
        let found = found.map_err(|error| {
            let reason = format!("{error:#}");
            console.warning(&format!(
                "the image is not fetched from other nodes: {reason}; it comes from the controller"
            ));
        });
        found.ok()
    }

    /// Bytes of the archive.
    pub fn total(&self) -> u64 {
        self.torrent.layout.length
    }

    /// Gives `work` the archive, and how many bytes of it have come.
    pub fn while_reading<T>(
        &self,
        work: impl FnOnce(&mut (dyn Read + Send), &(dyn Fn() -> u64 + Sync)) -> T,
    ) -> Result<T> {
        let ask = |said: &Announcement| {
            self.controller.announce(&said.query()).map_err(|error| error.to_string())
        };
        let fetch = Fetch { torrent: &self.torrent, file: &self.file, id: id()?, port: PORT };
        let result = fetch.while_fetching(&ask, |progress| {
            let position = AtomicU64::new(0);
            let mut source = Source { swarm: self, progress, position: &position, rest: None };
            let done = || progress.verified().max(position.load(Ordering::Relaxed));
            let result = work(&mut source, &done);
            self.tell(progress);
            result
        });
        result.context("this node cannot be a peer of others")
    }

    fn tell(&self, progress: &Progress) {
        let (came, given) = (bytes(progress.verified()), bytes(progress.given()));
        self.console.line(&format!("{came} came from other nodes, {given} were given to others"));
        match progress.wrong() {
            0 => {}
            wrong => self.console.warning(&format!(
                "{wrong} pieces were not what they should be, and were thrown away with those who gave them"
            )),
        }
    }
}

fn torrent(name: &str, controller: &Controller) -> Result<Torrent> {
    let text = controller.small_file(name, LONGEST)?;
    Torrent::read(&text).with_context(|| format!("{name} cannot be read"))
}

/// A file for the archive that is gone when it is closed, where there is room for it and for what is in it.
fn place(root: &Path, torrent: &Torrent, unpacked: Option<u64>) -> Result<File> {
    let system = rustix::fs::statvfs(root).context("cannot see how much room there is")?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let length = torrent.layout.length;
    // Without knowing better, what is in an archive is some times as much.
    let unpacked = unpacked.unwrap_or(length.saturating_mul(4));
    let needed = length.saturating_add(unpacked).saturating_add(ROOM);
    if needed > free {
        let (free, needed) = (bytes(free), bytes(needed));
        bail!("its root has {free} free, and archive and image need {needed} while it is unpacked");
    }
    let path = root.join(FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).context("what a former try has left cannot be removed");
        }
        _ => {}
    }
    let file = File::options().read(true).write(true).create_new(true).open(&path);
    let file = file.context("cannot keep pieces in the root")?;
    fs::remove_file(&path).context("cannot keep pieces in the root")?;
    Ok(file)
}

/// What this node calls itself: no other peer may have the same.
fn id() -> Result<[u8; 20]> {
    let mut id = *b"-PE0001-000000000000";
    if let Some(random) = id.get_mut(8..) {
        let mut source = File::open("/dev/urandom").context("there is no /dev/urandom")?;
        source.read_exact(random).context("cannot read /dev/urandom")?;
    }
    Ok(id)
}

/// The archive in its order.
struct Source<'s> {
    swarm: &'s Swarm<'s>,
    progress: &'s Progress,
    /// Bytes that were read, or have come from the controller.
    position: &'s AtomicU64,
    /// What the controller gives.
    rest: Option<Download<'s>>,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(rest) = &mut self.rest {
            return rest.read(buffer);
        }
        let layout = &self.swarm.torrent.layout;
        let at = self.position.load(Ordering::Relaxed);
        let Some(left) = layout.length.checked_sub(at).filter(|left| *left > 0) else {
            return Ok(0);
        };
        let piece = u32::try_from(at / layout.piece).map_err(io::Error::other)?;
        if let Err(stalled) = self.progress.wait(piece, self.swarm.patience) {
            let Swarm { image, controller, console, .. } = self.swarm;
            console.warning(&format!(
                "the image does not come from other nodes ({stalled}); the controller gives it from {} on",
                bytes(at)
            ));
            let rest =
                Download::rest(controller, console, &image.file, self.position, layout.length);
            return self.rest.insert(rest).read(buffer);
        }
        let end = layout.begin(piece.saturating_add(1));
        let count = (buffer.len() as u64).min(left).min(end - at);
        let part = buffer.get_mut(..usize::try_from(count).map_err(io::Error::other)?);
        let count = self.swarm.file.read_at(part.unwrap_or_default(), at)?;
        self.position.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
