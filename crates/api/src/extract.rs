//! What handlers are given of a request: who asks, what the path and the body say.
#![expect(
    clippy::disallowed_types,
    reason = "axum's own extractors are wrapped here, and used nowhere else"
)]

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Uri};
use perilune_daemon::auth::Identity;
use perilune_daemon::clock;
use perilune_daemon::cluster::{Author, RequestKey};
use perilune_daemon::token_uses::Use;
use perilune_model::Name;
use perilune_model::user::{ApiToken, Role};
use perilune_store::Meta;
use perilune_wire::fields::Fields;
use perilune_wire::hidden::View;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::answer::shown;
use crate::connections::Standing;
use crate::permissions::scope;
use crate::problem::ApiError;
use crate::query;
use crate::receive;
use crate::source;
use crate::state::{State, check_token};

pub(super) const TOKEN_HEADER: &str = "x-access-tokens";
/// Who polls, where another controller passes that on. It decides what is told as new, and nothing else.
pub(super) const FOLLOWER_HEADER: &str = "x-perilune-follower";

/// The address that a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub IpAddr);

impl FromRequestParts<State> for Peer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &State) -> Result<Self, ApiError> {
        Ok(peer(parts))
    }
}

/// Who polls: the address, and the user where one is logged in. Polling needs no token.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    address: IpAddr,
    user: Option<String>,
}

impl Follower {
    /// What its place in what it follows is kept under.
    pub(super) fn key(&self) -> String {
        format!("{} {}", self.address, self.user.as_deref().unwrap_or_default())
    }

    /// The same client, should it poll without its token.
    pub(super) fn unnamed(&self) -> Self {
        Self { address: self.address, user: None }
    }
}

impl FromRequestParts<State> for Follower {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let told = parts.headers.get(FOLLOWER_HEADER).and_then(|value| value.to_str().ok());
        let address = told.and_then(|text| text.parse().ok()).unwrap_or_else(|| peer(parts).0);
        let user = match identify(parts, state) {
            Ok(Identity::User { name, .. }) => Some(name),
            Ok(Identity::ApiToken(name)) => Some(token_text(&name, None)),
            Ok(Identity::Node { .. } | Identity::Importer(_)) | Err(_) => None,
        };
        Ok(Self { address, user })
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
        let source = source::of(parts);
        Ok(Self { address: source.address, neighbour: source.neighbour() })
    }
}

pub(super) fn peer(parts: &Parts) -> Peer {
    Peer(source::of(parts).address)
}

/// A person or a program that is logged in.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The user.
    pub user: String,
    /// What the user may do.
    pub role: Role,
    /// The nodes that it may be done to; all of them where there is no list.
    nodes: scope::Nodes,
    /// Whether it is a program with a token of its own, rather than somebody who has logged in.
    is_token: bool,
    asked: Asked,
}

/// What was asked, and from where.
#[derive(Debug, Clone)]
struct Asked {
    origin: IpAddr,
    /// Who became the user of a program on this machine, as `sudo` says. It is noted, and gives no right.
    sudo_user: Option<String>,
    method: Method,
    uri: Uri,
    is_trial: bool,
    key: Option<RequestKey>,
}

/// The header of a request that its client may send again.
const KEY_HEADER: &str = "idempotency-key";
const LONGEST_KEY: usize = 200;

impl Asked {
    /// `who` asks: nobody's requests are taken for another's.
    fn new(parts: &Parts, who: impl Display) -> Result<Self, ApiError> {
        let Peer(origin) = peer(parts);
        Ok(Self {
            origin,
            sudo_user: sudo_user(parts),
            key: key_of(parts, who)?,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            is_trial: query::wants_trial(&parts.uri)?,
        })
    }

    /// The user, with who is behind it: `luna (alice)`.
    fn who(&self, user: &str) -> String {
        match &self.sudo_user {
            Some(behind) if behind != user => format!("{user} ({behind})"),
            Some(_) | None => user.to_owned(),
        }
    }

    fn by(&self, author: String) -> Author {
        let (at, origin) = (clock::milliseconds(), self.origin.to_string());
        let meta = Meta { at, author, origin, action: action(&self.method, &self.uri) };
        Author { meta, dry_run: self.is_trial, key: self.key.clone() }
    }
}

fn action(method: &Method, uri: &Uri) -> String {
    format!("{method} {}", uri.path())
}

/// What the store knows a request by that may be sent again: the client's own word for it, for this operation on this object by this
/// client alone. Else whoever used a word before would have another's change taken for done.
fn key_of(parts: &Parts, who: impl Display) -> Result<Option<RequestKey>, ApiError> {
    let Some(given) = parts.headers.get(KEY_HEADER) else { return Ok(None) };
    let is_plain = (1..=LONGEST_KEY).contains(&given.len());
    let given = given.to_str().ok().filter(|_| is_plain).ok_or_else(|| {
        ApiError::Malformed(format!(
            "the header Idempotency-Key must be a text of 1 to {LONGEST_KEY} letters, such as a UUID"
        ))
    })?;
    let action = action(&parts.method, &parts.uri);
    let digest = Sha256::digest(format!("{who}\n{action}\n{given}"));
    Ok(Some(RequestKey::new(format!("{digest:x}"))))
}

impl Caller {
    pub(super) fn new(parts: &Parts, user: String, role: Role) -> Result<Self, ApiError> {
        let asked = Asked::new(parts, format_args!("user {user}"))?;
        Ok(Self { user, role, nodes: None, is_token: false, asked })
    }

    /// A program by its API token.
    pub(super) fn by_token(
        parts: &Parts,
        token: &ApiToken,
        role: Role,
        nodes: scope::Nodes,
    ) -> Result<Self, ApiError> {
        let user = token_text(&token.name, token.user.as_ref());
        let asked = Asked::new(parts, format_args!("token {}", token.name))?;
        Ok(Self { user, role, nodes, is_token: true, asked })
    }

    /// Whether this is the user of this name, who has logged in.
    pub(super) fn is_user(&self, name: &str) -> bool {
        !self.is_token && self.user == name
    }

    /// Refuses API tokens: what they may do is for people to decide.
    pub(super) fn needs_login(&self) -> Result<(), ApiError> {
        if !self.is_token {
            return Ok(());
        }
        let message = "API tokens are made and removed by administrators who have logged in";
        Err(ApiError::Forbidden(message.to_owned()))
    }

    /// Whether only some nodes concern the caller.
    pub(super) fn is_held_to_nodes(&self) -> bool {
        self.nodes.is_some()
    }

    /// Refuses who may not do anything to one of these nodes.
    pub(super) fn needs_nodes<'a>(
        &self,
        mut named: impl Iterator<Item = &'a str>,
    ) -> Result<(), ApiError> {
        let Some(allowed) = &self.nodes else { return Ok(()) };
        match named.find(|node| !allowed.contains(*node)) {
            None => Ok(()),
            Some(other) => Err(ApiError::Forbidden(format!(
                "the {} is not good for '{}'",
                self.user,
                shown(other)
            ))),
        }
    }

    /// Who asks for a change by this request, and whether it is only tried.
    pub(crate) fn meta(&self) -> Author {
        self.asked.by(self.asked.who(&self.user))
    }

    /// The address that the request came from.
    pub(crate) fn origin(&self) -> IpAddr {
        self.asked.origin
    }

    /// Whether the request only asks what would change.
    pub(crate) fn is_trial(&self) -> bool {
        self.asked.is_trial
    }

    /// What of an object is shown to this user: administrators alone see secrets.
    pub(super) fn view(&self) -> View {
        if self.role >= Role::Admin { View::Whole } else { View::WithoutSecrets }
    }

    /// Refuses who has a lower role. For a route that does several things; others declare it.
    pub(super) fn needs(&self, needed: Role) -> Result<(), ApiError> {
        if self.role >= needed {
            return Ok(());
        }
        let (user, role, needed) = (&self.user, self.role.word(), needed.word());
        Err(ApiError::Forbidden(format!(
            "the user '{user}' has the role {role}, and this needs the role {needed}"
        )))
    }
}

/// Only programs of this machine are believed: they are run by its administrators.
fn sudo_user(parts: &Parts) -> Option<String> {
    const LONGEST: usize = 32;
    source::of(parts).neighbour()?;
    let name = parts.headers.get("x-sudo-user")?.to_str().ok()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    let is_fit = !name.is_empty() && name.len() <= LONGEST && name.chars().all(is_name);
    is_fit.then(|| name.to_owned())
}

/// How a token is called where users are: no user's name has parentheses.
fn token_text(token: &Name, user: Option<&Name>) -> String {
    format!("token {token} ({})", user.map_or("configuration", Name::as_str))
}

/// A node that installs, by its own token. It is no user and has no role.
#[derive(Debug, Clone)]
pub(crate) struct NodeToken {
    /// The node.
    pub name: String,
    /// The archive that it began to install from.
    pub archive: Option<String>,
    asked: Asked,
}

impl NodeToken {
    pub(super) fn new(
        parts: &Parts,
        name: String,
        archive: Option<String>,
    ) -> Result<Self, ApiError> {
        let asked = Asked::new(parts, format_args!("node {name}"))?;
        Ok(Self { name, archive, asked })
    }
}

/// Whoever a route lets in that is not open to everybody.
#[derive(Debug, Clone)]
pub(crate) enum Bearer {
    /// A user.
    User(Caller),
    /// A node, where the route is open to nodes.
    Node(NodeToken),
}

impl Bearer {
    /// Who asks for a change by this request, and whether it is only tried.
    pub(crate) fn meta(&self) -> Author {
        match self {
            Self::User(caller) => caller.meta(),
            Self::Node(node) => node.asked.by(format!("node {}", node.name)),
        }
    }

    /// Who it is, in words.
    pub(super) fn who(&self) -> String {
        match self {
            Self::User(caller) => caller.asked.who(&caller.user),
            Self::Node(node) => format!("node {}", node.name),
        }
    }

    /// What names the request, where its client may send it again.
    pub(super) fn key(&self) -> Option<&RequestKey> {
        match self {
            Self::User(caller) => caller.asked.key.as_ref(),
            Self::Node(node) => node.asked.key.as_ref(),
        }
    }

    /// The address that the request came from.
    pub(super) fn origin(&self) -> IpAddr {
        match self {
            Self::User(caller) => caller.asked.origin,
            Self::Node(node) => node.asked.origin,
        }
    }

    /// Whether answers show secrets to whom they concern.
    pub(super) fn sees_secrets(&self) -> bool {
        match self {
            Self::User(caller) => caller.role >= Role::Admin,
            Self::Node(_) => true,
        }
    }

    /// Whether it is a node.
    pub(super) fn is_node(&self) -> bool {
        matches!(self, Self::Node(_))
    }

    pub(super) fn is_trial(&self) -> bool {
        match self {
            Self::User(caller) => caller.asked.is_trial,
            Self::Node(node) => node.asked.is_trial,
        }
    }
}

impl FromRequestParts<State> for Bearer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &State) -> Result<Self, ApiError> {
        // A defect of the program, and refused for that reason: who asks is known where the route says that somebody must be.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ApiError::Defect(format!("{} is open to everybody", parts.uri.path())))
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        match Bearer::from_request_parts(parts, state).await? {
            Bearer::User(caller) => Ok(caller),
            Bearer::Node(node) => {
                Err(ApiError::Defect(format!("the node {} is taken for a user", node.name)))
            }
        }
    }
}

/// Whose token a request has, in words, whether or not it is still good.
pub(super) fn whoever(token: Option<&HeaderValue>, state: &State) -> String {
    let token = token.and_then(|token| token.to_str().ok()).unwrap_or_default();
    match state.api_token_of(token) {
        Some(token) => token_text(&token.name, token.user.as_ref()),
        None => match known(state, token) {
            Some(Identity::User { name, .. }) => name,
            Some(Identity::Node { name, .. } | Identity::Importer(name)) => format!("node {name}"),
            Some(Identity::ApiToken(_)) | None => "nobody".to_owned(),
        },
    }
}

/// Who a signed token is for, as of now.
fn known(state: &State, token: &str) -> Option<Identity> {
    state.keys.identify(token, clock::seconds(), clock::steady_milliseconds() / 1000)
}

/// Who the request's token is for. Another controller may have given a node's token a moment ago.
pub(super) async fn identify_anywhere(parts: &Parts, state: &State) -> Result<Identity, ApiError> {
    let identity = identify(parts, state);
    if identity.is_ok() || !is_of_unknown_boot(parts, state) {
        return identity;
    }
    state.boots.look().await;
    identify(parts, state)
}

/// Whether the token is one that a controller has signed for a boot of which nothing is known here.
fn is_of_unknown_boot(parts: &Parts, state: &State) -> bool {
    let token = parts.headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok());
    let Some(Identity::Node { name, boot, .. }) = token.and_then(|token| known(state, token))
    else {
        return false;
    };
    state.boots.exchange_of(&name, &boot).is_none()
}

/// Who the request's token is for.
pub(super) fn identify(parts: &Parts, state: &State) -> Result<Identity, ApiError> {
    let identity = identity(parts, state)?;
    let is_a_person = matches!(identity, Identity::User { .. } | Identity::ApiToken(_));
    if let Some(standing) = parts.extensions.get::<Standing>().filter(|_| is_a_person) {
        standing.is_of_a_person();
    }
    Ok(identity)
}

fn identity(parts: &Parts, state: &State) -> Result<Identity, ApiError> {
    let token =
        parts.headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if token.is_empty() {
        return Err(ApiError::Unauthenticated("A valid token is missing".to_owned()));
    }
    if let Some(token) = state.api_token_of(token) {
        check_token(&token)?;
        let (at, Peer(from)) = (clock::milliseconds(), peer(parts));
        state.token_uses.used(&token.name, Use { at, from, made: token.made });
        return Ok(Identity::ApiToken(token.name.clone()));
    }
    let invalid = || ApiError::Unauthenticated("Token is invalid".to_owned());
    let identity = known(state, token).ok_or_else(invalid)?;
    match &identity {
        Identity::User { name, generation } => state.check_login(name, generation.as_deref())?,
        Identity::Node { name, boot, address, .. } => {
            // A proxy that names nobody asks for files alone, which hold no secret of one node.
            let source = source::of(parts);
            let is_there = source.is_anybody() || source.address == *address;
            if !is_there || state.boots.exchange_of(name, boot).is_none() {
                return Err(invalid());
            }
        }
        Identity::Importer(_) | Identity::ApiToken(_) => {}
    }
    Ok(identity)
}

/// The parameters of the path.
#[derive(Debug, Clone)]
pub(crate) struct Path<T>(pub T);

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
pub(crate) struct Body(pub Value);

impl FromRequest<State> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &State) -> Result<Self, ApiError> {
        receive::json(request, state).await.map(Self)
    }
}

impl Body {
    /// What stands at a place of the body, such as `config`, `node`, `node001`.
    pub(crate) fn at(&self, place: &[&str]) -> Result<&Value, ApiError> {
        let found = place.iter().try_fold(&self.0, |value, key| value.as_object()?.get(*key));
        found.ok_or_else(|| {
            ApiError::Malformed(format!(
                "data structure incomplete or incorrect: there is no {}",
                place.join(":")
            ))
        })
    }

    /// The object that stands there.
    pub(crate) fn object(&self, place: &[&str]) -> Result<&Map<String, Value>, ApiError> {
        self.at(place)?.as_object().ok_or_else(|| {
            ApiError::Malformed(format!(
                "data structure incomplete or incorrect: {} is not an object",
                place.join(":")
            ))
        })
    }

    /// Reads every object of the list that stands there under `key`.
    pub(crate) fn read_list<T>(
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
    pub(crate) fn read<T>(
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
