//! HTTP connections, with TLS or without: how many there may be, and how long a client may take to say what it wants.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::IntoResponse as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::{ServiceExt as _, service_fn as tower_service_fn};

use crate::api::Service;
use crate::api::problem::ApiError;
use crate::pace::{LimitedAnswer, PacedBody, Patience};
use crate::patience::Patient;

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
    /// Connections of all clients together; more wait until one ends.
    pub connections: usize,
    /// Connections of one address; more are closed at once. Proxies on this machine have no such limit.
    pub of_one_address: usize,
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
            connections: 8192,
            of_one_address: 256,
        }
    }
}

/// Where it is listened, and what TLS is spoken with there, if it is.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// The connections of all listeners.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: Limits,
    room: Arc<Semaphore>,
    held: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One connection; it is not counted any more when this is dropped.
#[derive(Debug)]
struct Held {
    all: Arc<Connections>,
    address: IpAddr,
    _room: OwnedSemaphorePermit,
}

impl Connections {
    /// None yet. Half of the files that the process may have open are for other purposes.
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        let most = limits.connections.min(open_files() / 2).max(1);
        Arc::new(Self { limits, room: Arc::new(Semaphore::new(most)), held: Mutex::default() })
    }

    /// Answers whoever connects, until `stop`; then those who have asked already.
    pub(crate) async fn answer(
        self: Arc<Self>,
        Listener { socket: listener, tls }: Listener,
        service: impl Service<Future: Send> + Sync,
        stop: CancellationToken,
    ) {
        let mut tasks = JoinSet::new();
        loop {
            let (stream, peer, held) = tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = tasks.join_next() => {
                    note(ended);
                    continue;
                }
                accepted = self.accept(&listener) => accepted,
            };
            let conversation = Conversation { peer, limits: self.limits, stop: stop.clone() };
            let connection = conversation.begin(stream, tls.clone(), service.clone());
            tasks.spawn(async move {
                connection.await;
                drop(held);
            });
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

    async fn accept(self: &Arc<Self>, listener: &TcpListener) -> (TcpStream, SocketAddr, Held) {
        loop {
            let Ok(room) = Arc::clone(&self.room).acquire_owned().await else {
                // Nobody closes it.
                return std::future::pending().await;
            };
            match listener.accept().await {
                Ok((stream, peer)) => match self.hold(peer.ip().to_canonical(), room) {
                    Some(held) => return (stream, peer, held),
                    None => tracing::debug!(%peer, "too many connections of one address"),
                },
                Err(error) if is_of_one_client(error.kind()) => {}
                Err(error) => {
                    tracing::error!(%error, "connections cannot be accepted");
                    tokio::time::sleep(NO_ROOM).await;
                }
            }
        }
    }

    fn hold(self: &Arc<Self>, address: IpAddr, room: OwnedSemaphorePermit) -> Option<Held> {
        let mut all = self.held();
        let count = all.entry(address).or_default();
        if *count >= self.limits.of_one_address && !address.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Held { all: Arc::clone(self), address, _room: room })
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        // The map is whole between any two statements, so a panic elsewhere does not matter.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = self.all.held();
        if let Some(count) = all.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.address);
            }
        }
    }
}

/// What is said over one connection.
struct Conversation {
    peer: SocketAddr,
    limits: Limits,
    stop: CancellationToken,
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
        let Self { peer, limits, stop } = self;
        let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let mut request =
                request.map(|body| Body::new(PacedBody::new(body, limits.of_body(), limits.body)));
            request.extensions_mut().insert(ConnectInfo(peer));
            let answered = service.clone().oneshot(request);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(of_one_address: usize) -> Arc<Connections> {
        Connections::new(Limits { of_one_address, ..Limits::default() })
    }

    async fn hold(connections: &Arc<Connections>, address: &str) -> Option<Held> {
        let room = Arc::clone(&connections.room).acquire_owned().await.unwrap();
        connections.hold(address.parse().unwrap(), room)
    }

    #[tokio::test]
    async fn one_address_has_so_many_connections_and_leaves_room_for_others() {
        let connections = connections(2);
        let first = hold(&connections, "10.141.0.1").await;
        let second = hold(&connections, "10.141.0.1").await;
        assert!(first.is_some() && second.is_some());
        assert!(hold(&connections, "10.141.0.1").await.is_none());
        let other = hold(&connections, "10.141.0.2").await;
        assert!(other.is_some());
        drop(first);
        assert!(hold(&connections, "10.141.0.1").await.is_some());
        drop((second, other));
        assert!(connections.held().is_empty(), "nobody is remembered who has gone");
    }

    #[tokio::test]
    async fn a_proxy_on_this_machine_may_have_many() {
        let connections = connections(1);
        let first = hold(&connections, "127.0.0.1").await;
        assert!(first.is_some() && hold(&connections, "127.0.0.1").await.is_some());
    }

    #[tokio::test]
    async fn a_refused_connection_takes_no_room() {
        let connections = connections(1);
        let before = connections.room.available_permits();
        let first = hold(&connections, "10.141.0.1").await;
        assert!(hold(&connections, "10.141.0.1").await.is_none());
        assert_eq!(connections.room.available_permits(), before - 1);
        drop(first);
        assert_eq!(connections.room.available_permits(), before);
    }
}
