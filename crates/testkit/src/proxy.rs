//! A TCP proxy on loopback that loses connections when it is told to.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its proxy has failed")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// When a connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server never gets what was sent.
    Before,
    /// The server gets it, and cannot answer.
    After,
    /// The server has answered, and its answer is lost.
    Answered,
}

/// A proxy to one server; it ends when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    plan: Mutex<Option<(Vec<u8>, Cut)>>,
    connections: Mutex<Vec<TcpStream>>,
    is_closed: AtomicBool,
    is_over: AtomicBool,
}

impl Proxy {
    /// Starts a proxy to a port on loopback.
    pub fn start(port: u16) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), port)
    }

    /// The same for those who connect to this listener, which may be in another network.
    pub fn on(listener: TcpListener, port: u16) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, port, &accepting));
        Self { address, shared }
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Loses the connection, once, over which these bytes are sent to the server.
    pub fn cut_at(&self, needle: &str, cut: Cut) {
        *lock(&self.shared.plan) = Some((needle.as_bytes().to_vec(), cut));
    }

    /// Whether the connection that was to be lost is still there.
    pub fn is_waiting(&self) -> bool {
        lock(&self.shared.plan).is_some()
    }

    /// Loses all connections, and takes no more until it is opened again.
    pub fn close(&self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        self.cut_all();
    }

    /// Takes connections again.
    pub fn open(&self) {
        self.shared.is_closed.store(false, Ordering::SeqCst);
    }

    /// Loses all connections that there are.
    pub fn cut_all(&self) {
        for stream in lock(&self.shared.connections).drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.cut_all();
        // Whoever waits for connections looks.
        TcpStream::connect(self.address).ok();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, port: u16, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        if shared.is_over.load(Ordering::SeqCst) {
            return;
        }
        let server = TcpStream::connect(("127.0.0.1", port));
        let (Ok(server), false) = (server, shared.is_closed.load(Ordering::SeqCst)) else {
            continue;
        };
        client.set_nodelay(true).ok();
        server.set_nodelay(true).ok();
        lock(&shared.connections)
            .extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
        let is_deaf = Arc::<AtomicBool>::default();
        let (deaf, back) =
            (Arc::clone(&is_deaf), (server.try_clone().unwrap(), client.try_clone().unwrap()));
        let watching = Arc::clone(shared);
        thread::spawn(move || forward(client, server, &watching, &is_deaf));
        thread::spawn(move || answer(back.0, back.1, &deaf));
    }
}

/// From the client to the server.
fn forward(mut client: TcpStream, mut server: TcpStream, shared: &Shared, is_deaf: &AtomicBool) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let Some(bytes) = buffer.get(..length) else { break };
        let planned = {
            let mut plan = lock(&shared.plan);
            let is_meant =
                |plan: &mut (Vec<u8>, Cut)| bytes.windows(plan.0.len()).any(|part| part == plan.0);
            plan.take_if(is_meant).map(|(_, cut)| cut)
        };
        match planned {
            Some(Cut::Before) => break,
            Some(Cut::Answered) => is_deaf.store(true, Ordering::SeqCst),
            Some(Cut::After) | None => {}
        }
        if server.write_all(bytes).is_err() || planned == Some(Cut::After) {
            break;
        }
    }
    client.shutdown(Shutdown::Both).ok();
    server.shutdown(Shutdown::Both).ok();
}

/// From the server to the client; the first answer after the cut is lost, and the connection with it.
fn answer(mut server: TcpStream, mut client: TcpStream, is_deaf: &AtomicBool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = server.read(&mut buffer) {
        let Some(bytes) = buffer.get(..length) else { break };
        if is_deaf.load(Ordering::SeqCst) || client.write_all(bytes).is_err() {
            break;
        }
    }
    client.shutdown(Shutdown::Both).ok();
    server.shutdown(Shutdown::Both).ok();
}
