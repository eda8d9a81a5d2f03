//! The connections of a client, all moved by one thread.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};

use super::progress::Progress;
use super::session::{Key, Session};

/// As many connections there are, and of them that this side has made, so that others find room as well.
const MOST: usize = 64;
const MOST_OURS: usize = 32;
/// From one address, of those that others have made.
const MOST_OF_ADDRESS: usize = 2;
/// Told addresses that wait to be tried.
const MOST_KNOWN: usize = 400;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const PART: usize = 64 << 10;
const BACKLOG: i32 = 64;

pub(super) struct Sockets {
    listener: TcpListener,
    connections: BTreeMap<Key, Connection>,
    next: Key,
    /// Addresses that the tracker has told of and that were not tried since.
    known: Vec<SocketAddr>,
    /// What was read last.
    part: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// Where others find it, where this side has called it.
    called: Option<SocketAddr>,
    is_connecting: bool,
}

impl Sockets {
    /// Listens at all addresses of the machine.
    pub(super) fn listen(port: u16) -> io::Result<Self> {
        let any = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        let ports = [port, 0];
        let mut places = ports.iter().flat_map(|port| any.map(|ip| SocketAddr::new(ip, *port)));
        let first = places.next().map(|place| listener(&place));
        // Such as without IPv6, or where another program has the port.
        let listener = places.fold(first, |bound, place| match bound {
            Some(Err(_)) => Some(listener(&place)),
            bound => bound,
        });
        let listener = listener.ok_or(ErrorKind::AddrNotAvailable)??;
        let (connections, known) = (BTreeMap::new(), Vec::new());
        Ok(Self { listener, connections, next: 0, known, part: vec![0; PART] })
    }

    pub(super) fn port(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Moves bytes until it is over. What this machine cannot do is told by the progress.
    pub(super) fn run(
        mut self,
        mut session: Session<'_>,
        told: &Receiver<Vec<SocketAddr>>,
        progress: &Progress,
    ) {
        let mut looked = Instant::now();
        while !progress.is_over() {
            let moved = self.turn(&mut session, &mut looked, told);
            if let Err(error) = moved {
                progress.fail(format!("the pieces of peers cannot be kept: {error}"));
                return;
            }
        }
    }

    fn turn(
        &mut self,
        session: &mut Session<'_>,
        looked: &mut Instant,
        told: &Receiver<Vec<SocketAddr>>,
    ) -> io::Result<()> {
        let (accepts, ready) = self.wait(session)?;
        let now = Instant::now();
        if accepts {
            self.accept(session, now);
        }
        for (key, flags) in ready {
            let is_open = self.move_bytes(key, flags, session, now)?;
            if !is_open {
                self.connections.remove(&key);
                session.closed(key);
            }
        }
        if now.saturating_duration_since(*looked) >= LOOK_EVERY {
            *looked = now;
            session.tick(now)?;
            for list in told.try_iter() {
                self.learn(list);
            }
            self.call(session, now);
        }
        for key in session.take_gone() {
            self.connections.remove(&key);
        }
        Ok(())
    }

    /// Waits for something to do: whether somebody calls, and which connections are ready for what.
    fn wait(&self, session: &Session<'_>) -> io::Result<(bool, Vec<(Key, PollFlags)>)> {
        let mut fds = vec![PollFd::new(&self.listener, PollFlags::IN)];
        fds.extend(self.connections.iter().map(|(key, connection)| {
            let waits = connection.is_connecting || !session.unsent(*key).is_empty();
            let out = if waits { PollFlags::OUT } else { PollFlags::empty() };
            PollFd::new(&connection.stream, PollFlags::IN | out)
        }));
        let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_EVERY.subsec_nanos()) };
        match poll(&mut fds, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut flags = fds.iter().map(PollFd::revents);
        let accepts = flags.next().is_some_and(|flags| !flags.is_empty());
        let ready = self.connections.keys().copied().zip(flags);
        Ok((accepts, ready.filter(|(_, flags)| !flags.is_empty()).collect()))
    }

    fn accept(&mut self, session: &mut Session<'_>, now: Instant) {
        // What cannot be accepted is tried again at the next turn.
        while let Ok((stream, address)) = self.listener.accept() {
            let ip = address.ip().to_canonical();
            let same = session.connections().filter(|(other, ours)| *other == ip && !ours).count();
            let has_room = self.connections.len() < MOST && same < MOST_OF_ADDRESS;
            if !has_room || !session.is_welcome(ip) || stream.set_nonblocking(true).is_err() {
                continue;
            }
            stream.set_nodelay(true).ok();
            let connection = Connection { stream, called: None, is_connecting: false };
            let key = self.insert(connection);
            session.connected(key, ip, false, now);
        }
    }

    fn insert(&mut self, connection: Connection) -> Key {
        self.next += 1;
        self.connections.insert(self.next, connection);
        self.next
    }

    fn learn(&mut self, addresses: Vec<SocketAddr>) {
        for address in addresses {
            if self.known.len() < MOST_KNOWN && !self.known.contains(&address) {
                self.known.push(address);
            }
        }
    }

    /// Calls those that were told of and with whom there is no connection.
    fn call(&mut self, session: &mut Session<'_>, now: Instant) {
        for address in std::mem::take(&mut self.known) {
            let called: Vec<SocketAddr> =
                self.connections.values().filter_map(|connection| connection.called).collect();
            let is_called = called.contains(&address);
            let has_room = called.len() < MOST_OURS && self.connections.len() < MOST;
            if is_called || !has_room || !session.is_welcome(address.ip()) {
                continue;
            }
            // It is told of again.
            let Ok(stream) = call(&address) else { continue };
            let connection = Connection { stream, called: Some(address), is_connecting: true };
            let key = self.insert(connection);
            session.connected(key, address.ip(), true, now);
        }
    }

    /// Reads and writes what can be; whether the connection is still open.
    fn move_bytes(
        &mut self,
        key: Key,
        flags: PollFlags,
        session: &mut Session<'_>,
        now: Instant,
    ) -> io::Result<bool> {
        let Some(connection) = self.connections.get_mut(&key) else { return Ok(true) };
        let stream = &mut connection.stream;
        if connection.is_connecting {
            if stream.take_error().is_ok_and(|error| error.is_none()) && flags == PollFlags::OUT {
                connection.is_connecting = false;
            } else {
                return Ok(false);
            }
        }
        if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            match stream.read(&mut self.part) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    session.received(key, self.part.get(..count).unwrap_or_default(), now)?;
                }
                Err(error) if passes(&error) => {}
                Err(_gone) => return Ok(false),
            }
        }
        let unsent = session.unsent(key);
        if unsent.is_empty() {
            return Ok(true);
        }
        match stream.write(unsent) {
            Ok(0) => return Ok(false),
            Ok(count) => session.sent(key, count, now),
            Err(error) if passes(&error) => {}
            Err(_gone) => return Ok(false),
        }
        session.give(now)?;
        Ok(true)
    }
}

fn passes(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn listener(place: &SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(*place), Type::STREAM, Some(Protocol::TCP))?;
    if place.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&(*place).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Begins a connection.
fn call(address: &SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(*address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&(*address).into()) {
        Ok(()) => {}
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}
