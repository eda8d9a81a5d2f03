//! What machines are told while the database that controllers share is away: kept on this controller's own disk, synced before the answer, and
//! stored when the database is back. The boards show it at once; this is for a controller that is stopped in between.
//!
//! One file for each node and kind, so that what is kept is bounded by the nodes that there are.

pub(crate) mod store;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use perilune_model::Name;
use perilune_plan::Installation;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use crate::boots::Exchange;

/// The directory, in that of the daemon.
const DIRECTORY: &str = "spool";
const MODE: u32 = 0o600;
/// What nobody can read is put out of the way under this ending.
const ODD: &str = "unreadable";
/// What is being written has this ending.
const UNFINISHED: &str = "new";

/// What a node told, or was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// It is installed, or its installation failed.
    Milestone(Milestone),
    /// It was given its token for a ticket of this controller.
    Exchange {
        /// The node.
        node: Name,
        /// The use of the ticket.
        exchange: Exchange,
    },
}

/// A state that a node does not tell again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Milestone {
    pub node: Name,
    pub state: String,
    pub status: Option<String>,
    /// What it starts from by itself, where it does.
    pub installation: Option<Installation>,
    /// When it told so: milliseconds since 1970.
    pub at: u64,
}

impl Entry {
    fn node(&self) -> &Name {
        match self {
            Self::Milestone(Milestone { node, .. }) | Self::Exchange { node, .. } => node,
        }
    }

    /// The name of its file. Names of nodes are no names of files.
    fn file(&self) -> String {
        let kind = match self {
            Self::Milestone(_) => "state",
            Self::Exchange { .. } => "boot",
        };
        format!("{kind}-{:x}.json", Sha256::digest(self.node().as_str()))
    }
}

/// The directory of what is kept; clones share it.
#[derive(Debug, Clone)]
pub struct Spool {
    directory: Arc<PathBuf>,
    is_used: Arc<AtomicBool>,
}

impl Spool {
    /// Nothing is made on the disk before there is something to keep. What a former daemon had not written to its end goes: it was
    /// promised to nobody.
    pub(crate) fn new(data_dir: &Path) -> Self {
        let directory = data_dir.join(DIRECTORY);
        for file in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|ending| ending == UNFINISHED) {
                fs::remove_file(file.path()).ok();
            }
        }
        let is_used = Arc::new(AtomicBool::new(directory.exists()));
        Self { directory: Arc::new(directory), is_used }
    }

    /// Keeps something in place of what was kept of the node and kind. On the disk when it returns.
    pub async fn keep(&self, entry: Entry) -> io::Result<()> {
        let spool = self.clone();
        let kept = spawn_blocking(move || spool.write(&entry)).await;
        kept.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    fn write(&self, entry: &Entry) -> io::Result<()> {
        if !self.directory.exists() {
            fs::create_dir_all(&*self.directory)?;
            // Else a machine that loses its power may come back without the directory and all that was promised.
            self.directory.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())?;
        }
        let text = serde_json::to_vec(entry)?;
        let place = self.directory.join(entry.file());
        // Two of one node at the same time each have a file of their own until it is whole.
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let new = place.with_extension(format!("{:016x}.{UNFINISHED}", u64::from_be_bytes(random)));
        let write = || {
            let mut file = File::options().write(true).create_new(true).mode(MODE).open(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, &place)?;
            File::open(&*self.directory)?.sync_all()
        };
        let written = write();
        if written.is_err() {
            // The disk may be full: half a file helps nobody.
            fs::remove_file(&new).ok();
        }
        // After the file is there: whoever stores what is kept may have looked a moment ago, and would not look again.
        self.is_used.store(true, Ordering::Release);
        written
    }

    /// What is kept, each with its file.
    fn read(&self) -> io::Result<Vec<(PathBuf, Entry)>> {
        let mut entries = Vec::new();
        for file in fs::read_dir(&*self.directory)? {
            let path = file?.path();
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            match serde_json::from_slice(&fs::read(&path)?) {
                Ok(entry) => entries.push((path, entry)),
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "what was kept for the database cannot be read; it is put aside");
                    fs::rename(&path, path.with_extension(ODD))?;
                }
            }
        }
        Ok(entries)
    }

    fn remove(&self, file: &Path, entry: &Entry) -> io::Result<()> {
        let now = fs::read(file).and_then(|bytes| Ok(serde_json::from_slice::<Entry>(&bytes)?))?;
        if now != *entry {
            self.is_used.store(true, Ordering::Release);
            return Ok(());
        }
        fs::remove_file(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milestone(node: &str, at: u64) -> Entry {
        Entry::Milestone(Milestone {
            node: Name::trusted(node),
            state: "install.success".to_owned(),
            status: None,
            installation: Some(Installation::default()),
            at,
        })
    }

    #[tokio::test]
    async fn what_is_kept_is_there_after_a_restart_and_the_last_of_a_node_counts() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path());
        assert!(!directory.path().join(DIRECTORY).exists());
        for entry in [milestone("a", 1), milestone("a", 2), milestone("../b", 3)] {
            spool.keep(entry).await.unwrap();
        }
        let again = Spool::new(directory.path());
        assert!(again.is_used.load(Ordering::Acquire));
        let mut kept = again.read().unwrap();
        kept.sort_by(|one, other| one.1.node().cmp(other.1.node()));
        let entries: Vec<&Entry> = kept.iter().map(|(_, entry)| entry).collect();
        assert_eq!(entries, [&milestone("../b", 3), &milestone("a", 2)]);
        // One that was replaced since it was read stays.
        let (file, entry) = kept.remove(1);
        again.keep(milestone("a", 9)).await.unwrap();
        again.remove(&file, &entry).unwrap();
        again.remove(&file, &milestone("a", 9)).unwrap();
        assert_eq!(again.read().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_put_aside_and_what_cannot_be_kept_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path());
        spool.keep(milestone("a", 1)).await.unwrap();
        fs::write(directory.path().join(DIRECTORY).join("state-0.json"), "{").unwrap();
        assert_eq!(spool.read().unwrap().len(), 1);
        assert!(directory.path().join(DIRECTORY).join("state-0.unreadable").exists());
        // Of a daemon that was killed while it wrote: promised to nobody, and never read.
        let half = directory.path().join(DIRECTORY).join("state-1.0123.new");
        fs::write(&half, "{").unwrap();
        assert_eq!(Spool::new(directory.path()).read().unwrap().len(), 1);
        assert!(!half.exists());
        let nowhere = Spool::new(Path::new("/proc/no/such"));
        nowhere.keep(milestone("a", 1)).await.unwrap_err();
    }
}
