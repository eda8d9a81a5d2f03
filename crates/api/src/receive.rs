//! The body of a request: how large it may be, and what memory it has. Who sends it is known before it is read.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use bytes::BytesMut;
use futures_util::TryStreamExt as _;
use perilune_notation::{Error as Notation, read_json};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use crate::bodies::{self, Sender, Share};
use crate::problem::ApiError;
use crate::state::State;

/// Existing clients know this sentence.
const NO_JSON: &str = "data is not valid json";
/// Many clients hear an answer only when they have sent everything. So many times too large a body may be, and is still received.
const LISTENED: usize = 4;

/// As large as bodies may be on some routes.
#[derive(Debug, Clone, Copy)]
pub(super) struct LargestBody(pub(super) usize);

/// What a request holds of the memory for bodies, until it is answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<Vec<Share>>>);

/// A body that arrived, and what may be made of it.
struct Received {
    text: Bytes,
    share: Share,
    held: Option<Held>,
}

impl Received {
    /// What became of the body stays as long as the request.
    fn keep(self) {
        if let Some(Held(held)) = self.held {
            held.lock().unwrap_or_else(PoisonError::into_inner).push(self.share);
        }
    }
}

/// The whole body, JSON whatever its declared type.
pub(super) async fn json(request: Request, state: &State) -> Result<Value, ApiError> {
    let mut received = receive(request, state).await?;
    received.share.read(&received.text)?;
    let value = read_json(&received.text).map_err(|error| {
        ApiError::Malformed(match error {
            Notation::Twice { .. } => error.to_string(),
            Notation::TooDeep(_) => "the JSON is nested too deeply".to_owned(),
            Notation::Unreadable { .. } => NO_JSON.to_owned(),
        })
    })?;
    received.keep();
    Ok(value)
}

/// The body where anybody may send one: nothing is kept of it but what it must say.
#[derive(Debug, Clone)]
pub(super) struct Typed<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<State> for Typed<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &State) -> Result<Self, ApiError> {
        let received = receive(request, state).await?;
        let read = serde_json::from_slice(&received.text).map_err(|error| {
            ApiError::Malformed(match error.classify() {
                Category::Data => format!("data structure incomplete or incorrect: {error}"),
                Category::Io | Category::Syntax | Category::Eof => NO_JSON.to_owned(),
            })
        })?;
        received.keep();
        Ok(Self(read))
    }
}

/// The whole body. One that says that it is far too large is not waited for.
async fn receive(request: Request, state: &State) -> Result<Received, ApiError> {
    let extensions = request.extensions();
    let sender = extensions.get().copied().unwrap_or(Sender::Stranger);
    let limit = match (extensions.get(), sender) {
        (Some(LargestBody(limit)), Sender::Machine | Sender::Person) => *limit,
        _ => sender.largest(),
    };
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let held = extensions.get::<Held>().cloned();
    let body = request.into_body();
    if let Some(announced) = announced.filter(|announced| *announced > limit) {
        if announced <= limit.saturating_mul(LISTENED) {
            drain(body).await;
        }
        return Err(too_large(limit));
    }
    let mut share = state.turns.bodies.begin(sender);
    let text = collect(body, limit, &mut share).await?;
    Ok(Received { text, share, held })
}

async fn drain(body: HttpBody) {
    let mut pieces = body.into_data_stream();
    while let Ok(Some(_)) = pieces.try_next().await {}
}

async fn collect(body: HttpBody, limit: usize, share: &mut Share) -> Result<Bytes, ApiError> {
    let mut pieces = body.into_data_stream();
    let mut text = BytesMut::new();
    let broken =
        |error: axum::Error| ApiError::Malformed(format!("the body did not arrive whole: {error}"));
    while let Some(piece) = pieces.try_next().await.map_err(broken)? {
        if text.len() + piece.len() > limit {
            return Err(too_large(limit));
        }
        share.arrive(piece.len())?;
        text.extend_from_slice(&piece);
    }
    Ok(text.freeze())
}

fn too_large(limit: usize) -> ApiError {
    let most = if limit < 1 << 20 {
        format!("{} KiB", limit >> 10)
    } else {
        format!("{} MiB", limit >> 20)
    };
    ApiError::TooLarge(format!(
        "the body is larger than {most}, the most that is read here of who asks like this"
    ))
}

impl From<bodies::Error> for ApiError {
    fn from(error: bodies::Error) -> Self {
        match error {
            bodies::Error::Full => Self::Busy { message: error.to_string(), seconds: 1 },
            bodies::Error::TooMuch => Self::TooLarge(error.to_string()),
        }
    }
}
