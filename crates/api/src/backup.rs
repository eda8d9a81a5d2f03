//! `/backup`: all that the daemon needs to be itself again, as one file.

use std::io;

use crate::operations::routes;
use axum::body::Body as HttpBody;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use perilune_daemon::backup::{self, Manifest};
use perilune_daemon::causes::chain;
use perilune_daemon::clock;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::extract::Caller;
use crate::permissions::{Routes, admins};
use crate::problem::{ApiError, Problem};
use crate::query::{Query, boolean};
use crate::state::State;

/// Pieces that wait for the client; more is not held in memory.
const WAITING: usize = 8;
const PIECE: usize = 128 << 10;

pub(super) fn routes() -> Routes {
    Routes::new().add(admins().reveals("took a backup of everything"), routes!(take))
}

#[derive(Debug, Deserialize)]
struct Choice {
    /// Whether packed images are in it, too.
    #[serde(default, deserialize_with = "boolean")]
    images: bool,
}

/// A backup of the whole daemon as of now: database, keys, configuration, certificates, templates, plugins. `perilune restore` makes a data directory of it.
#[utoipa::path(get, path = "/backup", tag = "backup", params(
    ("images" = Option<bool>, Query, description = "true: packed images are in it, too"),
), responses(
    (status = 200, description = "The backup, a tar archive compressed by zstd whose last member says what must be in it", content_type = "application/zstd", body = Vec<u8>),
    (status = 503, description = "There is no room for a copy of the database", body = Problem),
))]
async fn take(
    state: axum::extract::State<State>,
    caller: Caller,
    Query(choice): Query<Choice>,
) -> Result<Response, ApiError> {
    let data_dir = &state.settings.data_dir;
    let copy = tempfile::Builder::new().prefix("backup-").suffix(".db").tempfile_in(data_dir);
    let copy = copy.map_err(|error| {
        ApiError::Unavailable(format!(
            "the database cannot be copied into {}: {error}; make room there",
            data_dir.display()
        ))
    })?;
    let revision = state.database.copy(copy.path().to_owned()).await?;
    let manifest = Manifest {
        format: backup::FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: clock::milliseconds(),
        revision,
        with_images: choice.images,
        files: std::collections::BTreeMap::new(),
    };
    let (pieces, stream) = mpsc::channel(WAITING);
    let settings = state.settings.clone();
    tracing::info!(user = caller.user, revision, images = choice.images, "a backup is taken");
    tokio::task::spawn_blocking(move || {
        let written = backup::contents(&settings, copy.path(), choice.images)
            .and_then(|parts| backup::write(Pieces::new(pieces.clone()), parts, manifest));
        if let Err(error) = written {
            tracing::warn!(error = chain(&error), "a backup was not finished");
            // The client must not take what it has for a whole answer.
            pieces.blocking_send(Err(io::Error::other(error.to_string()))).ok();
        }
    });
    let pieces = futures_util::stream::unfold(stream, |mut stream| async {
        stream.recv().await.map(|piece| (piece, stream))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/zstd"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"perilune-backup.tar.zst\""),
    ];
    Ok((headers, HttpBody::from_stream(pieces)).into_response())
}

/// Gives what is written to whoever takes it; fails when nobody does.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Pieces {
    fn new(sender: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self { sender, buffer: Vec::with_capacity(PIECE) }
    }
}

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone");
        self.sender.blocking_send(Ok(piece.into())).map_err(gone)
    }
}
