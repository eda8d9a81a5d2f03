//! Connections from a port below 1024: what only the machine's own root can make, and so what tells the machine apart from a user on it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

/// Below, ports have names of services; `rresvport` of every Unix takes the same range.
const FIRST: u16 = 512;
const LAST: u16 = 1023;

/// Opens connections from such a port, where the kernel lets us.
#[derive(Debug)]
pub(crate) struct PrivilegedPort;

impl Connector<()> for PrivilegedPort {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _chained: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        let mut failure = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        for address in &details.addrs {
            match open(*address, details.timeout) {
                Ok(stream) => {
                    let config = details.config;
                    let buffers =
                        LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
                    return Ok(Some(Connection { stream, buffers }));
                }
                Err(error) => failure = error,
            }
        }
        Err(Error::Io(failure))
    }
}

fn open(to: SocketAddr, timeout: NextTimeout) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    // A port whose last connection ended a moment ago may be taken again: the tries of one boot are few and to one place.
    socket.set_reuse_address(true)?;
    // The controller says what is missing, should no port be free or allowed.
    (FIRST..=LAST).rev().find(|port| socket.bind(&any(to, *port).into()).is_ok());
    match timeout.not_zero() {
        Some(limit) => socket.connect_timeout(&to.into(), *limit)?,
        None => socket.connect(&to.into())?,
    }
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

fn any(to: SocketAddr, port: u16) -> SocketAddr {
    match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
    }
}

/// A connection of [`PrivilegedPort`].
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffers: LazyBuffers,
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let limit = timeout.not_zero().map(|limit| *limit);
        self.stream.set_write_timeout(limit)?;
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output).map_err(|error| in_words(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let limit = timeout.not_zero().map(|limit| *limit);
        self.stream.set_read_timeout(limit)?;
        let input = self.buffers.input_append_buf();
        let amount = self.stream.read(input).map_err(|error| in_words(error, timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        // One connection for one request: the next one begins anew.
        false
    }
}

fn in_words(error: std::io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            Error::Timeout(timeout.reason)
        }
        _ => Error::Io(error),
    }
}
