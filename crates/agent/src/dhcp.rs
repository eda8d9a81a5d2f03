//! A `DHCPv4` client (RFC 2131) for one lease. Replies are asked for as broadcasts, so that a plain socket hears
//! them before the interface has an address. An installation is over long before any sane lease ends.

mod message;

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use socket2::{Domain, Protocol, Socket, Type};

use crate::link::Link;
use crate::mac::MacAddress;
use message::{Kind, answer, question};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// How long one request waits for its answer: the first one, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(16);
const LARGEST_PACKET: usize = 4096;
/// Requests for what was offered, before the search begins anew.
const REQUESTS: usize = 3;

/// What a server has lent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub address: Ipv4Net,
    pub gateway: Option<Ipv4Addr>,
    pub nameservers: Vec<IpAddr>,
    pub domain: Option<String>,
    pub server: Ipv4Addr,
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no DHCP server answers on {interface}; check its cable and the controller's DHCP service"
    )]
    NoAnswer { interface: String },
    #[error("cannot ask for an address on {interface}")]
    Socket { interface: String, source: io::Error },
}

/// Asks until a lease is granted or `limit` is over.
pub fn acquire(link: &Link, limit: Duration) -> Result<Lease, Error> {
    let failed = |source| Error::Socket { interface: link.name.clone(), source };
    let socket = open(&link.name).map_err(failed)?;
    let mut client = Client { socket, mac: link.mac, transaction: transaction().map_err(failed)? };
    let end = Instant::now() + limit;
    let mut wait = FIRST_WAIT;
    while Instant::now() < end {
        if let Some(lease) = client.attempt(wait).map_err(failed)? {
            return Ok(lease);
        }
        wait = (wait * 2).min(LONGEST_WAIT);
        client.transaction = client.transaction.wrapping_add(1);
    }
    Err(Error::NoAnswer { interface: link.name.clone() })
}

struct Client {
    socket: Socket,
    mac: MacAddress,
    transaction: u32,
}

impl Client {
    /// One search for a server, and one request to the first that offers something of use.
    fn attempt(&mut self, wait: Duration) -> io::Result<Option<Lease>> {
        let discover = question(self.mac, self.transaction, Kind::Discover, None);
        let Some(offer) =
            self.exchange(&discover, wait, |lease, kind| (kind == Kind::Offer).then_some(lease))?
        else {
            return Ok(None);
        };
        let request = question(self.mac, self.transaction, Kind::Request, Some(&offer));
        for _request in 0..REQUESTS {
            let answer = self.exchange(&request, wait, |lease, kind| match kind {
                Kind::Ack => Some(Some(lease)),
                Kind::Nak => Some(None),
                _ => None,
            })?;
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
        Ok(None)
    }

    /// Sends a message and takes the first answer that `accept` takes.
    fn exchange<T>(
        &self,
        message: &[u8],
        wait: Duration,
        accept: impl Fn(Lease, Kind) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let everybody = SocketAddr::from((Ipv4Addr::BROADCAST, SERVER_PORT));
        self.socket.send_to(message, &everybody.into())?;
        let end = Instant::now() + wait;
        let mut packet = [0; LARGEST_PACKET];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            let length = match (&self.socket).read(&mut packet) {
                Ok(length) => length,
                Err(error) if is_passing(&error) => continue,
                Err(error) => return Err(error),
            };
            let answer =
                packet.get(..length).and_then(|bytes| answer(bytes, self.mac, self.transaction));
            if let Some(accepted) = answer.and_then(|(lease, kind)| accept(lease, kind)) {
                return Ok(Some(accepted));
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

fn open(interface: &str) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT)).into())?;
    Ok(socket)
}

fn transaction() -> io::Result<u32> {
    let mut bytes = [0; 4];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u32::from_ne_bytes(bytes))
}
