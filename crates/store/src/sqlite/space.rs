//! Room on the disk of the database. A file keeps some of it, which is given up when the disk is nearly full: what machines report then
//! can be stored, and what people want to change is refused until there is room again.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::Error;

const FILE: &str = "perilune.reserve";
/// As much as is kept: many thousand records, with the journal of the database.
const RESERVE: u64 = 16 << 20;
/// With less than this the disk is nearly full.
const LOW: u64 = 8 << 20;

/// Whether the disk of a database is nearly full; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shortage(Arc<AtomicBool>);

impl Shortage {
    pub(crate) fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Refuses what can wait.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_there() { Err(Error::Full) } else { Ok(()) }
    }
}

/// What keeps the room; of the one thread that writes.
#[derive(Debug)]
pub(crate) struct Space {
    file: PathBuf,
    is_kept: bool,
    shortage: Shortage,
}

impl Space {
    pub(crate) fn new(directory: &Path, shortage: Shortage) -> Self {
        let file = directory.join(FILE);
        let is_kept = std::fs::metadata(&file).is_ok_and(|found| found.len() >= RESERVE);
        let mut space = Self { file, is_kept, shortage };
        space.look();
        space
    }

    /// Looks how much room there is, before something is written: afterwards it would be too late.
    pub(crate) fn look(&mut self) {
        let Some(free) = self.free() else { return };
        let is_short = if self.is_kept {
            if free < LOW {
                self.give_up();
            }
            free < LOW
        } else if free >= RESERVE + 2 * LOW {
            self.is_kept = self.keep();
            false
        } else {
            // Until the room can be kept again it counts as short, so that this is not left and entered all the time.
            true
        };
        if self.shortage.0.swap(is_short, Ordering::Relaxed) != is_short {
            let file = self.file.display();
            if is_short {
                tracing::error!(free, %file, "the disk of the database is nearly full: changes are refused until there is room, what machines report is stored");
            } else {
                tracing::info!(free, "there is room on the disk of the database again");
            }
        }
    }

    fn free(&self) -> Option<u64> {
        let found = statvfs(self.file.parent()?).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn give_up(&mut self) {
        self.is_kept = false;
        if let Err(error) = std::fs::remove_file(&self.file) {
            tracing::error!(%error, file = %self.file.display(), "the room that is kept cannot be used");
        }
    }

    /// Where the file system cannot keep room, what is free has to do.
    fn keep(&self) -> bool {
        let made =
            File::options().create(true).truncate(false).write(true).mode(0o600).open(&self.file);
        let kept = made.and_then(|file| Ok(fallocate(file, FallocateFlags::empty(), 0, RESERVE)?));
        if let Err(error) = &kept {
            tracing::warn!(%error, file = %self.file.display(), "no room is kept on the disk of the database");
            std::fs::remove_file(&self.file).ok();
        }
        kept.is_ok()
    }
}
