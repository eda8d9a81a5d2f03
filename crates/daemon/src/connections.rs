//! HTTP connections: how many there may be, and how long a client may take to say what it wants.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutBody;

use crate::api::Service;

/// How long requests that are being answered may take when the daemon stops.
const LAST_ANSWERS: Duration = Duration::from_millis(700);
/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_secs(1);

/// What a client may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Until the head of a request is there: the first since it connected, another since the last answer.
    pub head: Duration,
    /// Between two parts of a request's body.
    pub pause: Duration,
    /// Connections of all clients together; more wait until one ends.
    pub connections: usize,
    /// Connections of one address; more are closed at once. Proxies on this machine have no such limit.
    pub of_one_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(20),
            pause: Duration::from_secs(30),
            connections: 8192,
            of_one_address: 256,
        }
    }
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
        listener: TcpListener,
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
            let (limits, stop) = (self.limits.clone(), stop.clone());
            let connection = serve(stream, peer, service.clone(), limits, stop);
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

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    service: impl Service,
    limits: Limits,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its small packets back");
    }
    let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let mut request = request.map(|body| Body::new(TimeoutBody::new(limits.pause, body)));
        request.extensions_mut().insert(ConnectInfo(peer));
        service.clone().oneshot(request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
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
