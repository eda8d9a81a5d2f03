//! Fetches files from the controllers that have them. A file is in its place only when all of it is there and is what it should be; what broke off
//! goes on where it ended, after a restart as well.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Method, StatusCode, header};
use perilune_image::Readers;
use perilune_model::image;
use rustix::fs::OFlags;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;

use crate::archives::is_protected;
use crate::causes::chain;
use crate::holdings::look::Wanted;
use crate::holdings::{Kept, Other};
use crate::peer;
use crate::state::State;
use crate::{clock, jobs};

const PREFIX: &str = ".fetched-";
const SUFFIX: &str = ".part";
/// Where it is written down, in the data directory, which files came from others.
const RECORD: &str = "fetched.json";
/// Nodes that boot from files which were just replaced have this many milliseconds to fetch them, as where they were packed.
const GRACE: u64 = 60 * 60 * 1000;

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The other controller did not give it.
    #[error(transparent)]
    Peer(#[from] peer::Error),
    /// It could not be written here.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// No ticket could be made.
    #[error("no ticket for the file can be signed")]
    Ticket(#[from] jsonwebtoken::errors::Error),
    /// What came is something else.
    #[error("what came is not the file that is wanted: {0}")]
    Other(String),
    /// A defect.
    #[error("the work ended unexpectedly")]
    Defect,
}

/// The files that came from other controllers, and since when nobody names them: those are removed, as where they were packed.
#[derive(Debug)]
pub(super) struct Fetched {
    file: PathBuf,
    names: BTreeMap<String, Option<u64>>,
}

impl Fetched {
    pub(super) fn open(data: &Path) -> Self {
        let file = data.join(RECORD);
        let text = fs::read(&file).unwrap_or_default();
        Self { file, names: serde_json::from_slice(&text).unwrap_or_default() }
    }

    fn save(&self) {
        let text = serde_json::to_vec_pretty(&self.names).unwrap_or_default();
        let new = self.file.with_extension("new");
        let saved = fs::write(&new, text).and_then(|()| fs::rename(&new, &self.file));
        if let Err(error) = saved {
            tracing::warn!(file = %self.file.display(), %error, "it is not noted which files came from other controllers; they will not be removed");
        }
    }

    /// Removes what nobody has named for an hour.
    fn clean(&mut self, state: &State) {
        let (now, cluster) = (clock::milliseconds(), state.cluster.published());
        let before = self.names.clone();
        for (name, unused) in &mut self.names {
            *unused = (!image::uses_file(&cluster, name)).then(|| unused.unwrap_or(now));
        }
        let directory = &state.settings.image_files;
        self.names.retain(|name, unused| {
            if unused.is_none_or(|since| now.saturating_sub(since) < GRACE) {
                return true;
            }
            if let Err(error) = jobs::remove_file(directory, name, &cluster) {
                tracing::warn!(error = chain(&error), "an unused file cannot be removed");
            }
            false
        });
        if before != self.names {
            self.save();
        }
    }
}

/// Fetches what is missing here and is somewhere else: what machines boot first.
pub(super) async fn missing(
    state: &State,
    wanted: BTreeMap<String, Wanted>,
    fetched: &mut Fetched,
) {
    fetched.clean(state);
    remove_leftovers(&state.settings.image_files, &wanted);
    let others = state.holdings.others(&state.controllers);
    let mut plan: Vec<(&String, Vec<(&Other, &Kept)>)> = Vec::new();
    for (name, wanted) in &wanted {
        let has =
            |other: &'_ &Other| other.holding.files.get(name).is_some_and(|kept| wanted.is(kept));
        let sources = others.iter().filter(has);
        let sources: Vec<_> =
            sources.filter_map(|other| Some((other, other.holding.files.get(name)?))).collect();
        if !sources.is_empty() {
            plan.push((name, sources));
        }
    }
    plan.sort_by_key(|(_, sources)| sources.first().map(|(_, kept)| kept.size));
    for (name, sources) in plan {
        for (other, kept) in sources {
            let from = other.controller.name.as_str();
            match fetch(state, other, name, kept).await {
                Ok(()) => {
                    tracing::info!(
                        file = name,
                        from,
                        bytes = kept.size,
                        "a file of an image was fetched from another controller"
                    );
                    fetched.names.insert(name.clone(), None);
                    fetched.save();
                    make_torrent(state, name).await;
                    break;
                }
                Err(error) => {
                    tracing::warn!(
                        file = name,
                        from,
                        error = chain(&error),
                        "a file of an image was not fetched from another controller; it is tried again"
                    );
                }
            }
        }
    }
}

/// What was begun and nobody wants any more.
fn remove_leftovers(directory: &Path, wanted: &BTreeMap<String, Wanted>) {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    for entry in entries {
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
        if of.is_some_and(|of| !wanted.contains_key(of)) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

async fn fetch(state: &State, other: &Other, name: &str, kept: &Kept) -> Result<(), Error> {
    let directory = state.settings.image_files.clone();
    let part = directory.join(format!("{PREFIX}{name}{SUFFIX}"));
    let failed = |source| Error::Write { path: part.clone(), source };
    let mut options = OpenOptions::new();
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    options.create(true).append(true).mode(0o600).custom_flags(flags);
    let mut file = options.open(&part).await.map_err(failed)?;
    let mut there = file.metadata().await.map_err(failed)?.len();
    if there > kept.size {
        file.set_len(0).await.map_err(failed)?;
        there = 0;
    }
    if there < kept.size {
        let ticket = state.keys.for_file(name, clock::steady_milliseconds() / 1000)?;
        let path = format!("/files/{name}?ticket={ticket}");
        let range = (header::RANGE, format!("bytes={there}-"));
        let mut answer = other.peer().ask(Method::GET, &path, &[range], Bytes::new()).await?;
        if answer.status != StatusCode::PARTIAL_CONTENT {
            file.set_len(0).await.map_err(failed)?;
            there = 0;
        }
        while let Some(piece) = answer.next().await? {
            there += piece.len() as u64;
            if there > kept.size {
                break;
            }
            file.write_all(&piece).await.map_err(failed)?;
        }
    }
    file.sync_all().await.map_err(failed)?;
    drop(file);
    let (name, kept, readers) = (name.to_owned(), kept.clone(), readers_of(state, name));
    let finish = move || publish(&directory, &part, &name, (&kept, readers));
    spawn_blocking(finish).await.map_err(|_panic| Error::Defect)?
}

/// Archives hold what not everybody may see.
fn readers_of(state: &State, name: &str) -> Readers {
    let is_open = !is_protected(name);
    if is_open { Readers::Everybody } else { state.settings.archive_readers }
}

/// Puts a file that is whole in its place.
fn publish(
    directory: &Path,
    part: &Path,
    name: &str,
    (kept, readers): (&Kept, Readers),
) -> Result<(), Error> {
    let failed = |source| Error::Write { path: part.to_owned(), source };
    let summed = perilune_image::archive_sum(part, readers);
    let (checksum, size) = summed.map_err(|error| Error::Other(chain(&error)))?;
    if size < kept.size {
        // It goes on from there.
        return Err(Error::Other(format!("{size} of {} bytes", kept.size)));
    }
    if checksum != kept.checksum {
        fs::remove_file(part).map_err(failed)?;
        return Err(Error::Other(format!("its checksum is {checksum}, not {}", kept.checksum)));
    }
    fs::rename(part, directory.join(name)).map_err(failed)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

/// An archive has its torrent beside it, as where it was packed: the same, for whoever has the pieces from there.
async fn make_torrent(state: &State, name: &str) {
    if !is_protected(name) {
        return;
    }
    if let Err(error) = state.jobs.make_torrent(name).await {
        tracing::warn!(archive = name, error = chain(&error), "an archive has no torrent here");
    }
}
