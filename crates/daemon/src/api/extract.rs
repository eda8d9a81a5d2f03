//! What handlers are given of a request: who asks, what the path and the body say.
#![expect(
    clippy::disallowed_types,
    reason = "axum's own extractors are wrapped here, and used nowhere else"
)]

use std::net::{IpAddr, SocketAddr};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use perilune_store::Meta;
use perilune_wire::fields::Fields;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::problem::ApiError;
use crate::auth::Identity;
use crate::clock;
use crate::state::State;

const TOKEN_HEADER: &str = "x-access-tokens";
const FORWARDED: &str = "x-forwarded-for";

/// The address that a request came from. A proxy on this machine is believed about whom it speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl FromRequestParts<State> for Peer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &State) -> Result<Self, ApiError> {
        Ok(peer(parts))
    }
}

fn peer(parts: &Parts) -> Peer {
    let connected = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip().to_canonical());
    let connected = connected.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    if !connected.is_loopback() {
        return Peer(connected);
    }
    let forwarded = parts.headers.get(FORWARDED).and_then(|value| value.to_str().ok());
    let last = forwarded
        .and_then(|list| list.rsplit(',').next())
        .and_then(|last| last.trim().parse::<IpAddr>().ok());
    Peer(last.map_or(connected, |address| address.to_canonical()))
}

/// A person or a program that is logged in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user.
    pub user: String,
    origin: IpAddr,
    action: String,
}

impl Caller {
    /// What the history says about a change that this request makes.
    pub fn meta(&self) -> Meta {
        Meta {
            at: clock::milliseconds(),
            author: self.user.clone(),
            origin: self.origin.to_string(),
            action: self.action.clone(),
        }
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        match identify(parts, state)? {
            Identity::User(user) => Ok(caller(parts, user)),
            Identity::Node(_) => {
                Err(ApiError::Forbidden("Token is not permitted for this endpoint".to_owned()))
            }
        }
    }
}

/// Somebody who is logged in, or the node that the path names, while it installs.
#[derive(Debug, Clone)]
pub struct NodeOrCaller {
    /// Who asks, for the history.
    pub caller: Caller,
    /// Whether it is the node itself.
    pub is_node: bool,
}

impl FromRequestParts<State> for NodeOrCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let node = match identify(parts, state)? {
            Identity::User(user) => {
                return Ok(Self { caller: caller(parts, user), is_node: false });
            }
            Identity::Node(node) => node,
        };
        let path = RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|error| ApiError::Malformed(error.to_string()))?;
        let mut named =
            path.iter().filter(|(key, _)| matches!(*key, "node" | "name")).map(|(_, value)| value);
        if named.next().is_none_or(|named| named == node) {
            Ok(Self { caller: caller(parts, format!("node {node}")), is_node: true })
        } else {
            Err(ApiError::Forbidden("Token is not valid for this node".to_owned()))
        }
    }
}

fn caller(parts: &Parts, user: String) -> Caller {
    let Peer(origin) = peer(parts);
    Caller { user, origin, action: format!("{} {}", parts.method, parts.uri.path()) }
}

/// Who the request's token is for.
pub(crate) fn identify(parts: &Parts, state: &State) -> Result<Identity, ApiError> {
    let token =
        parts.headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if token.is_empty() {
        return Err(ApiError::Unauthenticated("A valid token is missing".to_owned()));
    }
    state
        .keys
        .identify(token)
        .ok_or_else(|| ApiError::Unauthenticated("Token is invalid".to_owned()))
}

/// The parameters of the path.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<State> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|error| ApiError::Malformed(error.body_text()))
    }
}

/// The parameters of the query.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<State> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|error| ApiError::Malformed(error.body_text()))
    }
}

/// The body, JSON whatever its declared type.
#[derive(Debug, Clone)]
pub struct Body(pub Value);

impl FromRequest<State> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &State) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| ApiError::Malformed(error.body_text()))?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|_error| ApiError::Malformed("data is not valid json".to_owned()))
    }
}

impl Body {
    /// What stands at a place of the body, such as `config`, `node`, `node001`.
    pub fn at(&self, place: &[&str]) -> Result<&Value, ApiError> {
        let found = place.iter().try_fold(&self.0, |value, key| value.as_object()?.get(*key));
        found.ok_or_else(|| {
            ApiError::Malformed(format!(
                "data structure incomplete or incorrect: there is no {}",
                place.join(":")
            ))
        })
    }

    /// The object that stands there.
    pub fn object(&self, place: &[&str]) -> Result<&Map<String, Value>, ApiError> {
        self.at(place)?.as_object().ok_or_else(|| {
            ApiError::Malformed(format!(
                "data structure incomplete or incorrect: {} is not an object",
                place.join(":")
            ))
        })
    }

    /// Reads every object of the list that stands there under `key`.
    pub fn read_list<T>(
        &self,
        place: &[&str],
        key: &str,
        read: impl FnMut(&mut Fields<'_>) -> T,
    ) -> Result<Vec<T>, ApiError> {
        let object = self.object(place)?;
        if !object.contains_key(key) {
            return self.at(&[place, &[key]].concat()).map(|_| Vec::new());
        }
        let mut fields = Fields::new(object);
        // Only what stands under the name in the path is meant.
        fields.ignore(&object.keys().map(String::as_str).collect::<Vec<_>>());
        let items = fields.objects(key, read);
        fields.finish()?;
        Ok(items.unwrap_or_default())
    }

    /// Reads the fields of the object that stands there; all that is wrong with them is told at once.
    pub fn read<T>(
        &self,
        place: &[&str],
        read: impl FnOnce(&mut Fields<'_>) -> T,
    ) -> Result<T, ApiError> {
        let mut fields = Fields::new(self.object(place)?);
        let request = read(&mut fields);
        fields.finish()?;
        Ok(request)
    }
}
