//! What handlers are given of a request: who asks, what the path and the body say.
#![expect(
    clippy::disallowed_types,
    reason = "axum's own extractors are wrapped here, and used nowhere else"
)]

use std::error::Error;
use std::net::{IpAddr, SocketAddr};

use axum::body::Bytes;
use axum::extract::{
    ConnectInfo, FromRequest, FromRequestParts, MatchedPath, RawPathParams, Request,
};
use axum::http::header;
use axum::http::request::Parts;
use futures_util::TryStreamExt as _;
use http_body_util::LengthLimitError;
use perilune_model::user::Role;
use perilune_store::Meta;
use perilune_wire::fields::Fields;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::permissions;
use crate::api::problem::ApiError;
use crate::api::query;
use crate::auth::Identity;
use crate::clock;
use crate::cluster::Author;
use crate::state::State;

pub(super) const TOKEN_HEADER: &str = "x-access-tokens";
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

/// Where a log-in comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// The address that failures count against.
    pub(crate) address: IpAddr,
    /// The other end of the connection, where that is a program of this machine that speaks for itself.
    pub(crate) neighbour: Option<SocketAddr>,
}

impl FromRequestParts<State> for Origin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &State) -> Result<Self, ApiError> {
        let Peer(address) = peer(parts);
        let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let connected =
            connected.map(|ConnectInfo(end)| SocketAddr::new(end.ip().to_canonical(), end.port()));
        let neighbour = connected
            .filter(|end| end.ip().is_loopback() && !parts.headers.contains_key(FORWARDED));
        Ok(Self { address, neighbour })
    }
}

/// Whether somebody on the way says for whom the request is.
pub(super) fn is_forwarded(parts: &Parts) -> bool {
    parts.headers.contains_key(FORWARDED)
}

pub(super) fn peer(parts: &Parts) -> Peer {
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
    /// What the user may do.
    pub role: Role,
    origin: IpAddr,
    action: String,
    is_trial: bool,
}

impl Caller {
    /// Who asks for a change by this request, and whether it is only tried.
    pub fn meta(&self) -> Author {
        let meta = Meta {
            at: clock::milliseconds(),
            author: self.user.clone(),
            origin: self.origin.to_string(),
            action: self.action.clone(),
        };
        Author { meta, dry_run: self.is_trial }
    }

    /// The address that the request came from.
    pub fn origin(&self) -> IpAddr {
        self.origin
    }

    /// Whether the request only asks what would change.
    pub fn is_trial(&self) -> bool {
        self.is_trial
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        match identify(parts, state)? {
            Identity::User(user) => caller(parts, state, user),
            Identity::Node { .. } => {
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
                return Ok(Self { caller: caller(parts, state, user)?, is_node: false });
            }
            Identity::Node { name, .. } => name,
        };
        let path = RawPathParams::from_request_parts(parts, state).await;
        let path = path.map_err(|error| ApiError::Malformed(error.to_string()))?;
        let mut named =
            path.iter().filter(|(key, _)| matches!(*key, "node" | "name")).map(|(_, value)| value);
        if named.next().is_none_or(|named| named == node) {
            let caller = the_caller(parts, format!("node {node}"), Role::Viewer)?;
            Ok(Self { caller, is_node: true })
        } else {
            Err(ApiError::Forbidden("Token is not valid for this node".to_owned()))
        }
    }
}

/// Somebody who is logged in, if their role lets them do this.
fn caller(parts: &Parts, state: &State, user: String) -> Result<Caller, ApiError> {
    let role = state.role_of(&user).ok_or_else(|| {
        ApiError::Unauthenticated(format!("there is no user '{user}' any more; log in again"))
    })?;
    let path = parts.extensions.get::<MatchedPath>().map_or(parts.uri.path(), MatchedPath::as_str);
    let needed = permissions::needed(&parts.method, path, parts.uri.path());
    if role < needed {
        let (role, needed) = (role.word(), needed.word());
        return Err(ApiError::Forbidden(format!(
            "the user '{user}' is a {role}, and this needs the role {needed}"
        )));
    }
    let caller = the_caller(parts, user, role)?;
    if caller.is_trial && !permissions::can_be_tried(&parts.method, path) {
        let message = "this does more than change the description of the cluster, and cannot be tried with dry_run";
        return Err(ApiError::Malformed(message.to_owned()));
    }
    Ok(caller)
}

fn the_caller(parts: &Parts, user: String, role: Role) -> Result<Caller, ApiError> {
    let Peer(origin) = peer(parts);
    let action = format!("{} {}", parts.method, parts.uri.path());
    Ok(Caller { user, role, origin, action, is_trial: query::wants_trial(&parts.uri)? })
}

/// Lets in who is logged in and has the role for this, and nodes; answers who it is.
pub(crate) fn admit(parts: &Parts, state: &State) -> Result<Identity, ApiError> {
    let identity = identify(parts, state)?;
    if let Identity::User(user) = &identity {
        caller(parts, state, user.clone())?;
    }
    Ok(identity)
}

/// Who the request's token is for.
fn identify(parts: &Parts, state: &State) -> Result<Identity, ApiError> {
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

/// The body, JSON whatever its declared type.
#[derive(Debug, Clone)]
pub struct Body(pub Value);

impl FromRequest<State> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &State) -> Result<Self, ApiError> {
        let bytes = receive(request).await?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| {
            let is_deep = error.to_string().contains("recursion limit");
            let message =
                if is_deep { "the JSON is nested too deeply" } else { "data is not valid json" };
            ApiError::Malformed(message.to_owned())
        })
    }
}

/// As large as bodies may be on some routes.
#[derive(Debug, Clone, Copy)]
pub(super) struct LargestBody(pub(super) usize);

/// As large as any other body may be. Images are not posted.
const LARGEST_BODY: LargestBody = LargestBody(16 << 20);

/// Many clients hear an answer only when they have sent everything. So many times too large a body may be, and is still received.
const LISTENED: usize = 4;

async fn drain(request: Request) {
    let mut body = request.into_body().into_data_stream();
    while let Ok(Some(_)) = body.try_next().await {}
}

/// The whole body. One that says that it is far too large is not waited for.
async fn receive(request: Request) -> Result<Bytes, ApiError> {
    let LargestBody(limit) = request.extensions().get().copied().unwrap_or(LARGEST_BODY);
    let too_large = || {
        let most = limit >> 20;
        ApiError::TooLarge(format!(
            "the body is larger than {most} MiB, the most that is read here"
        ))
    };
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if let Some(announced) = announced.filter(|announced| *announced > limit) {
        if announced <= limit.saturating_mul(LISTENED) {
            drain(request).await;
        }
        return Err(too_large());
    }
    let bytes = axum::body::to_bytes(request.into_body(), limit).await;
    bytes.map_err(|error| {
        let is_large = error.source().is_some_and(<dyn Error>::is::<LengthLimitError>);
        if is_large {
            too_large()
        } else {
            ApiError::Malformed(format!("the body did not arrive whole: {error}"))
        }
    })
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
