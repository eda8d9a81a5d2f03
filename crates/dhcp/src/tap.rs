//! Which card a frame came from. A UDP socket does not tell; a packet socket does, and sees each frame before the UDP socket has its
//! packet. Who invents machines by the thousand sends them all from his own card, unless he may send any frame he likes.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{LinkAddr, recvfrom};
use perilune_model::MacAddress;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::server::keep_much;

/// As many frames are remembered until their packets are read.
const REMEMBERED: usize = 16_384;
/// Frames that are taken at a time: more than come while one is asked for.
const AT_ONCE: usize = 512;
/// Room for what is read of a frame, whatever the family.
const ROOM: usize = 128;

/// An exchange as a frame tells it, in one family of addresses.
pub(crate) trait Exchange: Ord + Copy {
    /// The Ethernet type of its packets.
    const PROTOCOL: i32;
    /// What is read of a packet, in bytes: as much as tells the exchange.
    const READ: usize;

    /// Classic BPF over packets: those that a server hears.
    fn filter() -> Vec<SockFilter>;

    /// The exchange of a packet.
    fn of(packet: &[u8]) -> Option<Self>;

    /// The card that it says it is of.
    fn own(&self) -> Option<MacAddress>;
}

/// What is known of a frame that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The card; none on a wire that does not tell, as InfiniBand's.
    pub(crate) card: Option<MacAddress>,
}

/// Frames from DHCP clients on one interface.
#[derive(Debug)]
pub(crate) struct Tap<E> {
    socket: Socket,
    index: usize,
    cards: BTreeMap<E, Option<MacAddress>>,
    order: VecDeque<E>,
}

impl<E: Exchange> Tap<E> {
    /// Needs the right to raw sockets (`CAP_NET_RAW`).
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        let index = if_nametoindex(interface)?.try_into().unwrap_or(usize::MAX);
        // What comes before the filter is there is read as what it is, or not at all.
        let protocol = u16::try_from(E::PROTOCOL).unwrap_or_default().to_be();
        let socket =
            Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(protocol))))?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&E::filter())?;
        keep_much(&socket)?;
        Ok(Self { socket, index, cards: BTreeMap::new(), order: VecDeque::new() })
    }

    /// The frame of this exchange; `None` where it was missed. Where frames of several cards say the same, the machine's own counts: nobody
    /// can take it away from it by saying the same.
    pub(crate) fn frame_of(&mut self, exchange: E) -> Option<Seen> {
        self.take_frames();
        self.cards.get(&exchange).map(|card| Seen { card: *card })
    }

    fn take_frames(&mut self) {
        let mut buffer = [0; ROOM];
        let buffer = buffer.get_mut(..E::READ.min(ROOM)).unwrap_or_default();
        for _ in 0..AT_ONCE {
            let Ok((length, from)) = recvfrom::<LinkAddr>(self.socket.as_raw_fd(), buffer) else {
                return;
            };
            let Some(from) = from.filter(|from| from.ifindex() == self.index) else { continue };
            let is_ethernet = from.hatype() == libc::ARPHRD_ETHER;
            let card = from.addr().filter(|_| is_ethernet).map(MacAddress::ethernet);
            if let Some(exchange) = buffer.get(..length).and_then(E::of) {
                self.remember(exchange, card);
            }
        }
    }

    fn remember(&mut self, exchange: E, card: Option<MacAddress>) {
        if let Some(known) = self.cards.get_mut(&exchange) {
            if known.is_none() || *known != exchange.own() {
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
