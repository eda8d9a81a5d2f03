//! Questions for other servers: two are asked at once, from ports and with numbers that nobody can guess, and the first that knows is
//! believed. The same question is asked once, however many clients have it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as OwnSocket};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use perilune_dns::{Cache, Question, Sameness, is_helpful, is_truncated};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::udp;
use crate::clock;

const PORT: u16 = 53;
/// Questions that may wait to be looked at.
const WAITING: usize = 1024;
/// Questions that are asked at one moment, each with two sockets.
const ASKED: usize = 512;
/// Of them for one client, so that it does not keep others from asking.
const EACH: usize = 64;
/// Clients that wait for one answer.
const CLIENTS: usize = 256;
/// How long two servers have, and how often that is tried: clients wait for 5 s.
const PATIENCE: Duration = Duration::from_millis(1400);
const TRIES: usize = 3;
/// Where servers say at once that they are not there, they are asked again after this.
const PAUSE: Duration = Duration::from_millis(200);
/// Messages that are no answer to what was asked: somebody guesses. By TCP there is nothing to guess.
const WRONG: usize = 8;
/// We say that we take 1232 bytes; some servers send more.
const LARGEST: usize = 4096;

/// Takes questions for other servers; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Forwarder(mpsc::Sender<Ask>);

#[derive(Debug)]
struct Ask {
    question: Question,
    servers: Vec<IpAddr>,
    asker: Asker,
}

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Asker {
    /// A client that asked by this socket.
    Udp {
        /// Ours.
        socket: Arc<OwnSocket>,
        /// The client's address.
        to: SocketAddr,
    },
    /// A connection.
    Tcp(oneshot::Sender<Vec<u8>>),
}

impl Asker {
    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Udp { to, .. } => Some(to.ip()),
            // Their connections are counted.
            Self::Tcp(_) => None,
        }
    }

    /// Tells what came; `None` when nobody answered. Who is not there any more misses it.
    fn tell(self, question: &Question, answer: Option<&[u8]>) {
        let is_udp = matches!(self, Self::Udp { .. });
        let told =
            answer.map_or_else(|| question.failed(), |answer| question.to_client(answer, is_udp));
        match self {
            Self::Udp { socket, to } => udp::say(&socket, &told, to),
            Self::Tcp(sender) => drop(sender.send(told)),
        }
    }
}

impl Forwarder {
    /// A forwarder, and what does its work.
    pub(super) fn new() -> (Self, Worker) {
        let (sender, waiting) = mpsc::channel(WAITING);
        (Self(sender), Worker { waiting, cache: Cache::default(), asked: BTreeMap::new() })
    }

    /// Has a question answered by one of these servers.
    pub(super) fn ask(&self, question: Question, servers: Vec<IpAddr>, asker: Asker) {
        if let Err(error) = self.0.try_send(Ask { question, servers, asker }) {
            let Ask { question, asker, .. } = error.into_inner();
            asker.tell(&question, None);
        }
    }
}

/// What is asked now, with who waits for it, and what was answered before.
pub(super) struct Worker {
    waiting: mpsc::Receiver<Ask>,
    cache: Cache,
    asked: BTreeMap<Sameness, Vec<(Question, Asker)>>,
}

impl Worker {
    /// Asks until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut exchanges: JoinSet<(Sameness, Option<Vec<u8>>)> = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(done) = exchanges.join_next() => match done {
                    Ok((sameness, answer)) => self.done(&sameness, answer.as_deref()),
                    Err(error) => tracing::error!(%error, "a DNS question was not forwarded"),
                },
                ask = self.waiting.recv() => match ask {
                    Some(ask) => self.take(ask, &mut exchanges),
                    None => return,
                },
            }
        }
    }

    fn take(&mut self, ask: Ask, exchanges: &mut JoinSet<(Sameness, Option<Vec<u8>>)>) {
        let Ask { question, servers, asker } = ask;
        if let Some(kept) = self.cache.get(&question, clock::steady_milliseconds()) {
            asker.tell(&question, Some(&kept));
            return;
        }
        let sameness = question.sameness();
        if self.asks_too_much(&sameness, &asker) {
            asker.tell(&question, None);
            return;
        }
        let clients = self.asked.entry(sameness.clone()).or_default();
        clients.push((question.clone(), asker));
        if clients.len() == 1 {
            exchanges.spawn(async move {
                let answer = exchange(&question, &servers).await;
                (sameness, answer)
            });
        }
    }

    fn asks_too_much(&self, sameness: &Sameness, asker: &Asker) -> bool {
        if let Some(clients) = self.asked.get(sameness) {
            return clients.len() >= CLIENTS;
        }
        let is_first = |clients: &&Vec<(Question, Asker)>| {
            let first = clients.first().and_then(|(_, first)| first.address());
            first.is_some() && first == asker.address()
        };
        self.asked.len() >= ASKED || self.asked.values().filter(is_first).count() >= EACH
    }

    fn done(&mut self, sameness: &Sameness, answer: Option<&[u8]>) {
        for (index, (question, asker)) in
            self.asked.remove(sameness).into_iter().flatten().enumerate()
        {
            if let Some(answer) = answer.filter(|_| index == 0) {
                self.cache.put(&question, answer, clock::steady_milliseconds());
            }
            asker.tell(&question, answer);
        }
    }
}

/// Asks two servers at once, then the next two; when all were asked, the first again.
async fn exchange(question: &Question, servers: &[IpAddr]) -> Option<Vec<u8>> {
    let pairs: Vec<&[IpAddr]> = servers.chunks(2).collect();
    let mut unhelpful = None;
    for pair in pairs.iter().cycle().take(TRIES) {
        match timeout(PATIENCE, first_helpful(question, pair)).await {
            Ok(Some(answer)) if is_helpful(&answer) => return Some(answer),
            // Another may know more; with no other, this is the answer.
            Ok(Some(answer)) if pairs.len() == 1 => return Some(answer),
            Ok(Some(answer)) => unhelpful = Some(answer),
            Ok(None) => sleep(PAUSE).await,
            Err(_) => {}
        }
    }
    unhelpful
}

/// The first answer that says something about the name, else any.
async fn first_helpful(question: &Question, servers: &[IpAddr]) -> Option<Vec<u8>> {
    let mut asked: FuturesUnordered<_> =
        servers.iter().map(|server| ask(question, (*server, PORT).into())).collect();
    let mut unhelpful = None;
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(answer) if is_helpful(&answer) => return Some(answer),
            Ok(answer) => unhelpful = Some(answer),
            Err(error) => tracing::debug!(%error, "a DNS server was asked in vain"),
        }
    }
    unhelpful
}

/// What one server answers.
async fn ask(question: &Question, server: SocketAddr) -> io::Result<Vec<u8>> {
    match ask_by_udp(question, server).await? {
        Some(answer) if !is_truncated(&answer) => Ok(answer),
        _ => ask_by_tcp(question, server).await,
    }
}

/// `None` when somebody sends what was not asked for.
async fn ask_by_udp(question: &Question, server: SocketAddr) -> io::Result<Option<Vec<u8>>> {
    // The system chooses a port by chance, and takes nothing but what comes from the server's address and port.
    let anywhere = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(anywhere).await?;
    socket.connect(server).await?;
    let id = number()?;
    socket.send(&question.to_server(id)).await?;
    let mut buffer = vec![0; LARGEST];
    for _ in 0..WRONG {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).unwrap_or_default();
        if question.is_answered_by(answer, id) {
            return Ok(Some(answer.to_vec()));
        }
    }
    tracing::warn!(%server, "answers come to DNS questions that were not asked: somebody may be trying to forge answers");
    Ok(None)
}

async fn ask_by_tcp(question: &Question, server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let id = number()?;
    let message = question.to_server(id);
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message.as_slice()].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    if question.is_answered_by(&answer, id) {
        Ok(answer)
    } else {
        Err(io::Error::other("it answers another question"))
    }
}

/// A number that nobody can guess.
pub(super) fn number() -> io::Result<u16> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u16::from_be_bytes(bytes))
}
