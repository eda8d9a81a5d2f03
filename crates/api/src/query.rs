//! What stands behind the `?` of a request. Booleans are strict there: who asks for a trial and misspells it wants no change.
#![expect(
    clippy::disallowed_types,
    reason = "axum's own extractor of queries is wrapped here, and used nowhere else"
)]

use std::time::UNIX_EPOCH;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use perilune_wire::fields;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::problem::ApiError;
use crate::state::State;

/// The parameters of the query.
#[derive(Debug, Clone)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<State> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &State) -> Result<Self, ApiError> {
        read(&parts.uri).map(Self)
    }
}

fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    let query = axum::extract::Query::<T>::try_from_uri(uri);
    query
        .map(|axum::extract::Query(value)| value)
        .map_err(|error| ApiError::Malformed(error.body_text()))
}

/// Whether a request asks only what would change.
pub(super) fn wants_trial(uri: &Uri) -> Result<bool, ApiError> {
    #[derive(Deserialize)]
    struct Trial {
        #[serde(default, deserialize_with = "boolean")]
        dry_run: bool,
    }
    read(uri).map(|Trial { dry_run }| dry_run)
}

/// A time as RFC 3339 writes it, in milliseconds since 1970.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = humantime::parse_rfc3339_weak(&text).ok();
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let milliseconds = since.and_then(|since| u64::try_from(since.as_millis()).ok());
    milliseconds.map(Some).ok_or_else(|| {
        D::Error::custom(format!("'{text}' is not a time; write it as 2026-01-02T10:00:00Z"))
    })
}

/// A boolean in any of the API's spellings; nothing else is one.
pub(super) fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    fields::boolean(&Value::String(text.clone())).ok_or_else(|| {
        D::Error::custom(format!(
            "'{text}' is not a boolean; write true or false (or yes, no, on, off, y, n, 1, 0)"
        ))
    })
}
