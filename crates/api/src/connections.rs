//! HTTP connections, with TLS or without: how many there may be, whose they are, and how long a client may take to say what it wants.

mod links;
mod ranks;
mod share;

use std::convert::Infallible;
use std::future::ready;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::Either;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::{ServiceExt as _, service_fn as tower_service_fn};

use crate::audience::Audience;
use crate::connections::links::Links;
pub(crate) use crate::connections::ranks::Ranks;
pub(crate) use crate::connections::share::Group;
use crate::connections::share::{Bounds, Rank, Refusal, Share, Taken, Whose};
use crate::pace::{LimitedAnswer, PacedBody, Patience};
use crate::patience::Patient;
use crate::problem::ApiError;

/// How long requests that are being answered may take when the daemon stops.
const LAST_ANSWERS: Duration = Duration::from_millis(700);
/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_secs(1);

/// As much as is read ahead of each client, and as a head may have.
const BUFFER: usize = 64 << 10;

/// What a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until it is agreed how TLS is spoken.
    pub handshake: Duration,
    /// Until the head of a request is there: the first since it connected, another since the last answer.
    pub head: Duration,
    /// For each 16 KiB of a request's body, and for one that is smaller.
    pub pause: Duration,
    /// For a request's body in all.
    pub body: Duration,
    /// For each 64 KiB of an answer that the client is to take.
    pub stall: Duration,
    /// For an answer in all: an archive over a slow line takes hours.
    pub answer: Duration,
    /// Until there is room for a connection.
    pub waiting: Duration,
    /// Connections of all clients together; more take one from a stranger who has many, or wait until one ends.
    pub connections: usize,
    /// Connections of one address; more are closed at once. This machine and the proxies of the site have no such limit.
    pub of_one_address: usize,
    /// Connections of one machine, or of one network behind a router, as long as nobody there is known; more are closed at once.
    pub of_one_group: usize,
}

impl Limits {
    fn of_body(&self) -> Patience {
        Patience { longest: self.pause, least: 16 << 10 }
    }

    fn of_answer(&self) -> Patience {
        Patience { longest: self.stall, least: 64 << 10 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            pause: Duration::from_secs(30),
            body: Duration::from_hours(1),
            stall: Duration::from_mins(2),
            answer: Duration::from_hours(12),
            waiting: Duration::from_mins(1),
            connections: 8192,
            of_one_address: 256,
            of_one_group: 1024,
        }
    }
}

/// What answers the requests of connections.
pub(crate) trait Service:
    tower::Service<axum::extract::Request, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Service for S where
    S: tower::Service<
            axum::extract::Request,
            Response = Response,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static
{
}

/// Who asks, as far as that shows.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// What its connections are counted by.
    pub(crate) group: Group,
    /// Where it is.
    pub(crate) address: IpAddr,
    /// Whether a boot is expected there.
    pub(crate) is_expected: bool,
}

/// Where it is listened, what TLS is spoken with there, if it is, and who is answered.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) audience: Audience,
}

/// The connections of all listeners.
pub(crate) struct Connections {
    limits: Limits,
    ranks: Ranks,
    links: Links,
    share: Mutex<Share>,
    /// Somebody has given a connection back.
    room: Notify,
    /// Who waits for one, and how many may.
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// One connection; it is not counted any more when this is dropped.
struct Held {
    all: Arc<Connections>,
    taken: Taken,
}

/// The connection of a request, for what finds out who is at its other end.
#[derive(Clone)]
pub(crate) struct Standing {
    held: Arc<Held>,
    address: IpAddr,
    is_raised: Arc<AtomicBool>,
}

impl Standing {
    fn new(held: Held, whose: Whose) -> Self {
        let is_own = whose.rank == Rank::Own;
        Self {
            held: Arc::new(held),
            address: whose.address,
            is_raised: Arc::new(AtomicBool::new(is_own)),
        }
    }

    /// Who is at this address, at the other end or behind a proxy there.
    pub(crate) fn asker(&self, address: IpAddr) -> Asker {
        let Whose { group, rank, .. } = self.held.all.whose(address);
        Asker { group, address, is_expected: rank == Rank::Machine }
    }

    /// A good token of a person came over it: strangers do not take it, nor the next from that address.
    pub(crate) fn is_of_a_person(&self) {
        if self.is_raised.swap(true, Ordering::Relaxed) {
            return;
        }
        let Held { all, taken } = &*self.held;
        all.ranks.is_a_person(self.address);
        all.share().raise(taken.number, Rank::Person);
    }
}

impl Connections {
    /// None yet. Half of the files that the process may have open are for other purposes.
    pub(crate) fn new(limits: Limits, ranks: Ranks) -> Arc<Self> {
        let all = limits.connections.min(open_files() / 2).max(1);
        let Limits { of_one_address, of_one_group, .. } = limits;
        let share = Share::new(Bounds { all, of_one_address, of_one_group });
        Arc::new(Self {
            limits,
            ranks,
            links: Links::default(),
            share: Mutex::new(share),
            room: Notify::new(),
            waiting: AtomicUsize::new(0),
            most_waiting: (all / 8).max(16),
        })
    }

    /// Answers whoever connects, until `stop`; then those who have asked already.
    pub(crate) async fn answer(
        self: Arc<Self>,
        Listener { socket: listener, tls, audience }: Listener,
        service: impl Service<Future: Send> + Sync,
        stop: CancellationToken,
    ) {
        let mut tasks = JoinSet::new();
        loop {
            let (stream, peer) = tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = tasks.join_next() => {
                    note(ended);
                    continue;
                }
                accepted = accept(&listener) => accepted,
            };
            let whose = self.whose(peer.ip().to_canonical());
            let taken = match self.take(whose) {
                Ok(held) => Some(held),
                Err(Refusal::NoRoom) if self.may_wait() => None,
                Err(refusal) => {
                    tracing::debug!(%peer, ?refusal, "a connection is refused");
                    continue;
                }
            };
            let visit = Visit { all: Arc::clone(&self), whose, peer, audience, stop: stop.clone() };
            tasks.spawn(visit.serve(stream, taken, tls.clone(), service.clone()));
        }
        drop(listener);
        let last = async {
            while let Some(ended) = tasks.join_next().await {
                note(ended);
            }
        };
        if tokio::time::timeout(LAST_ANSWERS, last).await.is_err() {
            tracing::debug!("requests that were still being answered are cut off");
        }
    }

    fn whose(&self, address: IpAddr) -> Whose {
        let card = self.links.card(address);
        Whose { address, group: links::group(address, card), rank: self.ranks.of(address, card) }
    }

    fn take(self: &Arc<Self>, whose: Whose) -> Result<Held, Refusal> {
        let taken = self.share().take(whose)?;
        Ok(Held { all: Arc::clone(self), taken })
    }

    /// Takes a place among those who wait, if there is one.
    fn may_wait(&self) -> bool {
        let most = self.most_waiting;
        let one_more = |waiting: usize| (waiting < most).then(|| waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// A connection for somebody who waits.
    async fn wait(self: &Arc<Self>, whose: Whose) -> Result<Held, Refusal> {
        let _place = Place(self);
        loop {
            let given_back = self.room.notified();
            match self.take(whose) {
                Err(Refusal::NoRoom) => given_back.await,
                decided => {
                    // Several may have been given back at once, which woke this one alone.
                    self.room.notify_one();
                    return decided;
                }
            }
        }
    }

    fn share(&self) -> MutexGuard<'_, Share> {
        // It is whole between any two statements, so a panic elsewhere does not matter.
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait.
struct Place<'a>(&'a Connections);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.all.share().give_back(self.taken.number) {
            self.all.room.notify_one();
        }
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_client(error.kind()) => {}
            Err(error) => {
                tracing::error!(%error, "connections cannot be accepted");
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
}

/// Somebody who has connected.
struct Visit {
    all: Arc<Connections>,
    whose: Whose,
    peer: SocketAddr,
    audience: Audience,
    stop: CancellationToken,
}

impl Visit {
    async fn serve(
        self,
        stream: TcpStream,
        taken: Option<Held>,
        tls: Option<TlsAcceptor>,
        service: impl Service,
    ) {
        let Self { all, whose, peer, audience, stop } = self;
        let held = match taken {
            Some(held) => held,
            None => {
                let limit = all.limits.waiting;
                let waiting = tokio::time::timeout(limit, all.wait(whose));
                let Some(Ok(Ok(held))) = stop.run_until_cancelled(waiting).await else { return };
                held
            }
        };
        let cut = held.taken.cut.clone();
        let standing = Standing::new(held, whose);
        let conversation = Conversation { peer, audience, limits: all.limits, stop, standing };
        let talk = conversation.begin(stream, tls, service);
        if cut.run_until_cancelled(talk).await.is_none() {
            tracing::debug!(%peer, "a connection was taken from who has many");
        }
    }
}

/// What is said over one connection.
struct Conversation {
    peer: SocketAddr,
    audience: Audience,
    limits: Limits,
    stop: CancellationToken,
    standing: Standing,
}

impl Conversation {
    async fn begin(self, stream: TcpStream, tls: Option<TlsAcceptor>, service: impl Service) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its small packets back");
        }
        let Some(tls) = tls else {
            let stream = Patient::new(stream, self.limits.of_answer());
            return self.serve(stream, service).await;
        };
        let opened = tokio::select! {
            () = self.stop.cancelled() => return,
            opened = tokio::time::timeout(self.limits.handshake, self.open(stream, &tls)) => opened,
        };
        let peer = self.peer;
        match opened {
            Ok(Ok(Opened::Tls(stream))) => self.serve(*stream, service).await,
            Ok(Ok(Opened::Plain(stream))) => self.serve(stream, tower_service_fn(misled)).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS was not agreed upon"),
            Err(_) => tracing::debug!(%peer, "TLS was not agreed upon in time"),
        }
    }

    async fn open(&self, stream: TcpStream, tls: &TlsAcceptor) -> io::Result<Opened> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        let stream = Patient::new(stream, self.limits.of_answer());
        // Every method of HTTP begins with a capital letter, and no message of TLS does.
        if first[0].is_ascii_uppercase() {
            return Ok(Opened::Plain(stream));
        }
        tls.accept(stream).await.map(Box::new).map(Opened::Tls)
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        service: impl Service,
    ) {
        let Self { peer, audience, limits, stop, standing } = self;
        let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let mut request =
                request.map(|body| Body::new(PacedBody::new(body, limits.of_body(), limits.body)));
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(standing.clone());
            let answered = match audience.refusal(&request) {
                None => Either::Left(service.clone().oneshot(request)),
                Some(refusal) => Either::Right(ready(Ok(refusal))),
            };
            let in_all = limits.answer;
            async move {
                answered.await.map(|answer| answer.map(|body| LimitedAnswer::new(body, in_all)))
            }
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.head)
                .max_buf_size(BUFFER)
                .serve_connection(TokioIo::new(stream), answer)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection ended");
        }
    }
}

/// What a client that connected where TLS is spoken turned out to speak.
enum Opened {
    Tls(Box<TlsStream<Patient>>),
    Plain(Patient),
}

/// The answer to whoever speaks plain HTTP where TLS is spoken.
async fn misled(_request: http::Request<Body>) -> Result<http::Response<Body>, Infallible> {
    let message = "https is spoken at this port; ask for https:// instead of http://".to_owned();
    let mut response = ApiError::Malformed(message).into_response();
    response
        .headers_mut()
        .insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    Ok(response)
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection failed");
    }
}

/// Whether only the client that was to be accepted went wrong.
fn is_of_one_client(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

/// How many files may be open: as many as the system allows this process, which is more than it begins with.
fn open_files() -> usize {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if raised { hard } else { soft }).unwrap_or(usize::MAX)
}
