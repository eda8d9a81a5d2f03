//! Which card a frame came from, as a packet socket tells: see the same for IPv4.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::Ipv6Addr;
use std::os::fd::AsRawFd as _;

use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{LinkAddr, recvfrom};
use perilune_model::MacAddress;
use socket2::{Domain, Protocol, Socket, Type};

use super::identity::by_link_local;
use super::observe::{Datagram, only_requests};
use crate::server::keep_much;
use crate::tap::Seen;

/// As many frames are remembered until their messages are read.
const REMEMBERED: usize = 16_384;
/// What is read of a frame: the heads, and the transaction behind them.
const READ: usize = 40 + 8 + 4;
/// Frames that are taken at a time: more than come while one is asked for.
const AT_ONCE: usize = 512;

/// An exchange: where it came from, and its number.
type Exchange = (Ipv6Addr, [u8; 3]);

/// Frames from DHCP clients on one interface.
#[derive(Debug)]
pub(crate) struct Tap {
    socket: Socket,
    index: usize,
    cards: BTreeMap<Exchange, Option<MacAddress>>,
    order: VecDeque<Exchange>,
}

impl Tap {
    /// Needs the right to raw sockets (`CAP_NET_RAW`).
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        let index = if_nametoindex(interface)?.try_into().unwrap_or(usize::MAX);
        let protocol = u16::try_from(libc::ETH_P_IPV6).unwrap_or_default().to_be();
        let socket =
            Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(protocol))))?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&only_requests())?;
        keep_much(&socket)?;
        Ok(Self { socket, index, cards: BTreeMap::new(), order: VecDeque::new() })
    }

    /// What is known of the frame of a message; `None` where it was missed. Where several cards
    /// send the same, the one counts that the sender's address is made from: nobody can take that away from it.
    pub(crate) fn card_of(&mut self, source: Ipv6Addr, transaction: [u8; 3]) -> Option<Seen> {
        self.take_frames();
        self.cards.get(&(source, transaction)).map(|card| Seen { card: *card })
    }

    fn take_frames(&mut self) {
        let mut buffer = [0; READ];
        for _ in 0..AT_ONCE {
            let Ok((length, from)) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), &mut buffer)
            else {
                return;
            };
            let Some(from) = from.filter(|from| from.ifindex() == self.index) else { continue };
            let is_ethernet = from.hatype() == libc::ARPHRD_ETHER;
            let card = from.addr().filter(|_| is_ethernet).map(MacAddress::ethernet);
            let datagram = buffer.get(..length).and_then(Datagram::read);
            if let Some(Datagram { source, payload: [_, a, b, c, ..], .. }) = datagram {
                self.remember((source, [*a, *b, *c]), card);
            }
        }
    }

    fn remember(&mut self, exchange: Exchange, card: Option<MacAddress>) {
        if let Some(known) = self.cards.get_mut(&exchange) {
            if known.is_none() || *known != by_link_local(exchange.0) {
                *known = card;
            }
            return;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.cards.remove(&oldest);
        }
        self.order.push_back(exchange);
        self.cards.insert(exchange, card);
    }
}
