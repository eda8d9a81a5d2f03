//! The TFTP server: read only, confined to one directory, for firmware that fetches its boot loader.
//!
//! Each transfer has a socket of its own; a file is held in memory while machines fetch it, so that a thousand
//! machines that boot at once read it from the disk once.

mod counters;
mod files;
pub mod packet;
mod socket;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use counters::Counters;
use counters::Fate;
pub use files::{Fallback, distribution_loaders};
use files::{Files, Refusal};
use packet::{ErrorCode, Malformed, Mode, Read, Request, parse_request};
use socket::Arrival;
use transfer::{End, Window};

/// The port that RFC 1350 gives to TFTP.
pub const PORT: u16 = 69;
/// A warning about the same shortage is repeated after this time, not before.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// As many clients with names that were cut are remembered.
const REMEMBERED: usize = 1024;

/// What cannot be helped at the start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "TFTP cannot listen on {address}{}{}",
        interface.as_ref().map(|interface| format!(" of {interface}")).unwrap_or_default(),
        hint(source)
    )]
    Listen { address: SocketAddr, interface: Option<String>, source: std::io::Error },
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            ": another program has UDP port 69 (TFTP) there; `ss -ulpn 'sport = :69'` names it. Stop that one, or leave out --dhcp-interface"
        }
        std::io::ErrorKind::PermissionDenied => {
            ": this port needs privileges; run perilune as root, or with CAP_NET_BIND_SERVICE and CAP_NET_RAW"
        }
        _ => "",
    }
}

/// Where requests are awaited: an address, and the interface that it is limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub address: SocketAddr,
    pub interface: Option<String>,
}

/// What is served.
#[derive(Clone, Debug)]
pub struct Settings {
    pub root: PathBuf,
    /// Files that stand in for missing ones: see [`distribution_loaders`].
    pub fallbacks: Vec<Fallback>,
    /// How many transfers may run at once on each listener. Clients beyond that ask again after a while.
    pub transfers: usize,
    /// What counts how transfers end.
    pub counters: Arc<Counters>,
}

/// The server, which has its ports already.
#[derive(Debug)]
pub struct Server {
    sockets: Vec<(UdpSocket, Option<String>)>,
    files: Arc<Files>,
    transfers: usize,
    counters: Arc<Counters>,
}

impl Server {
    /// Takes the ports. Call it within the runtime that will run the server.
    pub fn bind(listeners: &[Listener], settings: Settings) -> Result<Self, Error> {
        let sockets = listeners
            .iter()
            .map(|Listener { address, interface }| {
                let socket = socket::listen(*address, interface.as_deref()).map_err(|source| {
                    Error::Listen { address: *address, interface: interface.clone(), source }
                })?;
                Ok((socket, interface.clone()))
            })
            .collect::<Result<_, Error>>()?;
        let files = Arc::new(Files::new(settings.root.clone(), settings.fallbacks.clone()));
        let Settings { transfers, counters, .. } = settings;
        Ok(Self { sockets, files, transfers, counters })
    }

    /// Where it listens, with the ports that were chosen where zero was asked.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|(socket, _)| socket.local_addr().ok()).collect()
    }

    /// Serves until `stop`; transfers that run then are cut off.
    pub async fn run(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        for (socket, interface) in self.sockets {
            let service = Service {
                interface,
                files: Arc::clone(&self.files),
                free: Arc::new(Semaphore::new(self.transfers)),
                active: Arc::default(),
                warned: None,
                cut: BTreeSet::new(),
                counters: Arc::clone(&self.counters),
            };
            tasks.spawn(service.run(socket));
        }
        let finish = async {
            while let Some(ended) = tasks.join_next().await {
                pass_panic_on(ended);
            }
            // Without a listener there is nothing to do but to wait.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = finish => {}
        }
    }
}

/// The transfers of one listener, by client.
type Active = Arc<Mutex<BTreeMap<SocketAddr, Running>>>;

/// A transfer that has not ended.
#[derive(Debug)]
struct Running {
    request: Vec<u8>,
    /// The client has acknowledged something.
    heard: Arc<AtomicBool>,
    stop: CancellationToken,
}

/// What serves one listener.
struct Service {
    interface: Option<String>,
    files: Arc<Files>,
    free: Arc<Semaphore>,
    active: Active,
    warned: Option<Instant>,
    /// Whose names were cut, and that was said.
    cut: BTreeSet<(IpAddr, String)>,
    counters: Arc<Counters>,
}

impl Service {
    async fn run(mut self, socket: UdpSocket) {
        let mut transfers = JoinSet::new();
        let mut buffer = vec![0; 2048];
        loop {
            tokio::select! {
                Some(ended) = transfers.join_next() => pass_panic_on(ended),
                arrival = socket::receive(&socket, &mut buffer) => match arrival {
                    Ok(arrival) => {
                        let packet = buffer.get(..arrival.length).unwrap_or_default();
                        self.accept(arrival, packet, &mut transfers);
                    }
                    Err(error) => {
                        warn!(error = &error as &dyn std::error::Error, "TFTP cannot receive");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    fn accept(&mut self, arrival: Arrival, packet: &[u8], transfers: &mut JoinSet<()>) {
        let Some(request) = parse_request(packet) else {
            debug!(client = %arrival.client, length = packet.len(), "not a TFTP request");
            return;
        };
        if is_repeated(&self.active, arrival.client, packet) {
            return;
        }
        if let Ok(Request::Read(read)) = &request {
            self.tell_of_cut(arrival.client, read);
        }
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else {
            self.counters.count(Fate::Shed);
            self.warn_of_crowd(arrival.client);
            return;
        };
        let running = Running {
            request: packet.to_vec(),
            heard: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (heard, stop) = (Arc::clone(&running.heard), running.stop.clone());
        // A client that asks for something else on the same port has given up its former transfer.
        if let Some(former) = lock(&self.active).insert(arrival.client, running) {
            former.stop.cancel();
        }
        let (files, interface) = (Arc::clone(&self.files), self.interface.clone());
        let (active, counters) = (Arc::clone(&self.active), Arc::clone(&self.counters));
        transfers.spawn(async move {
            let serve = serve(&files, &arrival, interface.as_deref(), request, &heard);
            tokio::select! {
                fate = serve => {
                    counters.count(fate);
                    forget(&active, arrival.client, &heard);
                }
                () = stop.cancelled() => counters.count(Fate::Stopped),
            }
            drop(permit);
        });
    }

    /// Firmware asks several times for one file, and again at each boot: it is told of once.
    fn tell_of_cut(&mut self, client: SocketAddr, read: &Read) {
        if read.cut == 0 {
            return;
        }
        if self.cut.len() >= REMEMBERED {
            self.cut.clear();
        }
        if self.cut.insert((client.ip(), read.name.clone())) {
            debug!(%client, file = read.name, cut = read.cut, "a TFTP file name is cut before the first byte that is not printable");
        }
    }

    fn warn_of_crowd(&mut self, client: SocketAddr) {
        if self.warned.is_none_or(|warned| warned.elapsed() >= WARNING_INTERVAL) {
            self.warned = Some(Instant::now());
            warn!(%client, "too many TFTP transfers at once: this client and others must ask again");
        }
    }
}

/// A client that has not heard from us asks again; the transfer that runs will answer it.
fn is_repeated(active: &Active, client: SocketAddr, packet: &[u8]) -> bool {
    lock(active)
        .get(&client)
        .is_some_and(|running| running.request == packet && !running.heard.load(Ordering::Relaxed))
}

/// Removes a transfer that ended, unless the client has begun another one meanwhile.
fn forget(active: &Active, client: SocketAddr, heard: &Arc<AtomicBool>) {
    let mut active = lock(active);
    if active.get(&client).is_some_and(|running| Arc::ptr_eq(&running.heard, heard)) {
        active.remove(&client);
    }
}

fn lock(active: &Active) -> MutexGuard<'_, BTreeMap<SocketAddr, Running>> {
    // The map is whole between any two statements, so a panic elsewhere does not matter.
    active.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    files: &Arc<Files>,
    arrival: &Arrival,
    interface: Option<&str>,
    request: Result<Request, Malformed>,
    heard: &AtomicBool,
) -> Fate {
    let client = arrival.client;
    let socket = match socket::connect(arrival, interface) {
        Ok(socket) => socket,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            warn!(%client, error, "no socket for a TFTP transfer");
            return Fate::Refused;
        }
    };
    let refuse = async |code, message: &str| {
        // A lost error costs the client a timeout, after which it asks again.
        socket.send(&packet::error(code, message)).await.ok();
        Fate::Refused
    };
    let read = match request {
        Ok(Request::Read(read)) => read,
        Ok(Request::Write) => {
            info!(%client, "TFTP write refused");
            return refuse(ErrorCode::AccessViolation, "files can only be read here").await;
        }
        Err(malformed) => {
            info!(%client, reason = %malformed, "malformed TFTP request");
            return refuse(ErrorCode::IllegalOperation, &malformed.to_string()).await;
        }
    };
    match files.read(&read.name).await {
        Ok((_in_use, bytes)) => send_file(&socket, client, &read, bytes, heard).await,
        Err(refusal) => {
            let missing = matches!(refusal, Refusal::NotFound);
            match files.advice(&read.name).filter(|_| missing) {
                Some(advice) => warn!(%client, advice, "a machine cannot boot"),
                None => info!(%client, file = read.name, reason = %refusal, "TFTP file refused"),
            }
            let code = match refusal {
                Refusal::NotFound => ErrorCode::NotFound,
                Refusal::Outside | Refusal::NotAFile => ErrorCode::AccessViolation,
                Refusal::TooLarge => ErrorCode::Undefined,
                Refusal::Unreadable(ref error) => {
                    let error = error as &dyn std::error::Error;
                    warn!(file = read.name, error, "a TFTP file cannot be read");
                    ErrorCode::AccessViolation
                }
            };
            refuse(code, &refusal.to_string()).await
        }
    }
}

async fn send_file(
    socket: &UdpSocket,
    client: SocketAddr,
    read: &Read,
    bytes: Arc<[u8]>,
    heard: &AtomicBool,
) -> Fate {
    let bytes = match read.mode {
        Mode::Octet => bytes,
        Mode::Netascii => netascii(&bytes),
    };
    let length = bytes.len();
    let greeting = read.grant(length);
    let window = Window::new(bytes, read.block_size(), read.window(), greeting.is_some());
    let started = Instant::now();
    let mark = || heard.store(true, Ordering::Relaxed);
    let end = transfer::run(socket, window, greeting, read.timeout, mark).await;
    let (file, milliseconds) = (&read.name, started.elapsed().as_millis());
    match end {
        End::Complete => {
            info!(%client, file, length, milliseconds, "TFTP file sent");
            Fate::Sent
        }
        End::Aborted { code, message } => {
            debug!(%client, file, code, message, "TFTP client stopped");
            Fate::Stopped
        }
        End::Vanished => {
            info!(%client, file, milliseconds, "TFTP client vanished");
            Fate::Vanished
        }
    }
}

/// RFC 764: a line ends in CR LF, and a CR that ends none is followed by NUL.
fn netascii(bytes: &[u8]) -> Arc<[u8]> {
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    for byte in bytes {
        match byte {
            b'\n' => text.extend(b"\r\n"),
            b'\r' => text.extend(b"\r\0"),
            other => text.push(*other),
        }
    }
    text.into()
}

/// A bug in a task is a bug of the server, and is not hidden.
fn pass_panic_on(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
