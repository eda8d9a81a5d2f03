//! Long lists, made while they are read. Of a list of 50,000 nodes a client holds two pieces in memory, not 60 MiB, however
//! slowly it reads: one that is sent, and the next.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::json;

/// As many bytes are made at once. A list that is shorter is sent whole, with its length.
const PIECE: usize = 64 * 1024;

/// What is sent next of a list.
pub(super) struct Piece {
    bytes: Vec<u8>,
    /// Whether an entry stands before the next one.
    follows: bool,
}

impl Piece {
    /// Whether this is enough for now.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= PIECE
    }

    /// Appends an entry.
    pub(super) fn add<T: Serialize>(
        &mut self,
        name: &str,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        if self.follows {
            self.bytes.extend_from_slice(b", ");
        }
        self.follows = true;
        json::append(&mut self.bytes, &name)?;
        self.bytes.extend_from_slice(b": ");
        json::append(&mut self.bytes, value)
    }
}

/// Entries by name, below config and the resource's word. `fill` appends entries to a piece until it is full, goes on where it was when it is
/// called again, and returns false after the last one.
pub(super) fn config(
    resource: &str,
    mut fill: impl FnMut(&mut Piece) -> Result<bool, serde_json::Error> + Send + 'static,
) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    let bytes = format!("{{\"config\": {{\"{resource}\": {{").into_bytes();
    let mut piece = Piece { bytes, follows: false };
    let more = match next(&mut piece, &mut fill) {
        Ok(more) => more,
        Err(error) => {
            tracing::error!(%error, "a list cannot be written as JSON");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let first = Bytes::from(std::mem::take(&mut piece.bytes));
    if !more {
        return (content_type, first).into_response();
    }
    let mut ahead = JoinSet::new();
    ahead.spawn(async { made(piece, fill) });
    let rest = stream::try_unfold(ahead, |mut ahead| async {
        let Some(made_piece) = ahead.join_next().await else { return Ok(None) };
        // A client must not take what it has for the whole list: the connection is cut.
        let (mut piece, fill, more) = made_piece.map_err(io::Error::other)?.map_err(|error| {
            tracing::error!(%error, "a list cannot be written as JSON");
            io::Error::other(error)
        })?;
        let bytes = Bytes::from(std::mem::take(&mut piece.bytes));
        if more {
            // On another processor, while this piece is sent.
            ahead.spawn(async { made(piece, fill) });
        }
        Ok::<_, io::Error>(Some((bytes, ahead)))
    });
    let all = stream::once(async { Ok::<_, io::Error>(first) }).chain(rest);
    (content_type, Body::from_stream(all)).into_response()
}

/// A piece that was made, what makes those after it, and whether there are any.
type Made<F> = Result<(Piece, F, bool), serde_json::Error>;

fn made<F>(mut piece: Piece, mut fill: F) -> Made<F>
where
    F: FnMut(&mut Piece) -> Result<bool, serde_json::Error>,
{
    let more = next(&mut piece, &mut fill)?;
    Ok((piece, fill, more))
}

/// Makes one piece, with what ends the list after its last entry. Returns whether there is more.
fn next(
    piece: &mut Piece,
    fill: &mut impl FnMut(&mut Piece) -> Result<bool, serde_json::Error>,
) -> Result<bool, serde_json::Error> {
    piece.bytes.reserve(PIECE + PIECE / 8);
    let more = fill(piece)?;
    if !more {
        piece.bytes.extend_from_slice(b"}}}");
    }
    Ok(more)
}
