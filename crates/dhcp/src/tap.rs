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
/// What is read of a frame: as much as has the client's address in it, behind the longest head of IP.
const READ: usize = 60 + 8 + 34;
/// Frames that are taken at a time: more than come while one is asked for.
const AT_ONCE: usize = 512;

/// Frames from DHCP clients on one interface.
#[derive(Debug)]
pub(crate) struct Tap {
    socket: Socket,
    index: usize,
    cards: BTreeMap<Exchange, Option<MacAddress>>,
    order: VecDeque<Exchange>,
}

/// An exchange as the head of a message tells it: its number, and the beginning of the client's address, whatever kind of hardware it says
/// that it is: who is on Ethernet and says that he is on InfiniBand is seen as well.
type Exchange = (u32, [u8; 6]);

/// What is known of a frame that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The card; none on a wire that does not tell, as InfiniBand's.
    pub(crate) card: Option<MacAddress>,
}

impl Tap {
    /// Needs the right to raw sockets (`CAP_NET_RAW`).
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        let index = if_nametoindex(interface)?.try_into().unwrap_or(usize::MAX);
        // What comes before the filter is there is read as what it is, or not at all.
        let protocol = u16::try_from(libc::ETH_P_IP).unwrap_or_default().to_be();
        let socket =
            Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(protocol))))?;
        socket.set_nonblocking(true)?;
        socket.attach_filter(&only_clients())?;
        keep_much(&socket)?;
        Ok(Self { socket, index, cards: BTreeMap::new(), order: VecDeque::new() })
    }

    /// The frame of this exchange. Where frames of several cards say the same, the machine's own counts: nobody can take it away from it
    /// by saying the same.
    pub(crate) fn frame_of(&mut self, transaction: u32, address: [u8; 6]) -> Option<Seen> {
        self.take_frames();
        self.cards.get(&(transaction, address)).map(|card| Seen { card: *card })
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
            if let Some(exchange) = buffer.get(..length).and_then(client) {
                self.remember(exchange, card);
            }
        }
    }

    fn remember(&mut self, exchange: Exchange, card: Option<MacAddress>) {
        if let Some(known) = self.cards.get_mut(&exchange) {
            if *known != Some(MacAddress::ethernet(exchange.1)) {
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

/// The exchange of an IP packet.
fn client(packet: &[u8]) -> Option<Exchange> {
    let words = packet.first()? & 0xf;
    let message = packet.get(usize::from(words) * 4 + 8..)?;
    let transaction = u32::from_be_bytes(*message.get(4..)?.first_chunk()?);
    Some((transaction, *message.get(28..)?.first_chunk()?))
}

/// Classic BPF over IP packets: whole UDP from port 68 to port 67.
fn only_clients() -> [SockFilter; 11] {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_HALF_BEHIND_HEAD: u16 = 0x48;
    const HEAD_LENGTH: u16 = 0xb1;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const UDP: u32 = 17;
    let bytes = u32::try_from(READ).unwrap_or(u32::MAX);
    [
        SockFilter::new(LOAD_BYTE, 0, 0, 9),
        SockFilter::new(JUMP_IF_EQUAL, 0, 8, UDP),
        // A part of a packet that is not the first has no ports.
        SockFilter::new(LOAD_HALF, 0, 0, 6),
        SockFilter::new(JUMP_IF_SET, 6, 0, 0x1fff),
        SockFilter::new(HEAD_LENGTH, 0, 0, 0),
        SockFilter::new(LOAD_HALF_BEHIND_HEAD, 0, 0, 0),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, 68),
        SockFilter::new(LOAD_HALF_BEHIND_HEAD, 0, 0, 2),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, 67),
        SockFilter::new(RETURN, 0, 0, bytes),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
