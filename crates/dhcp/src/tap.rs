//! Which card a frame came from. A UDP socket does not tell; a packet socket does, and sees each frame before the UDP socket has its
//! packet. Who invents machines by the thousand sends them all from his own card, unless he may send any frame he likes.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use nix::libc;
use nix::net::if_::if_nametoindex;
use perilune_datagrams::Inbox;
use perilune_model::MacAddress;
use socket2::{SockFilter, Socket};

use crate::frames::{self, Way, keep_much};

/// As many frames are remembered until their packets are read.
const REMEMBERED: usize = 16_384;
/// Frames that are read with one call, and calls while one frame is asked for: more than come meanwhile.
const AT_ONCE: usize = 64;
const CALLS: usize = 8;

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
    inbox: Inbox,
    cards: BTreeMap<E, Option<MacAddress>>,
    order: VecDeque<E>,
}

impl<E: Exchange> Tap<E> {
    /// Needs the right to raw sockets (`CAP_NET_RAW`).
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        let socket =
            frames::open(&[if_nametoindex(interface)?], Way::In, E::PROTOCOL, E::filter())?;
        keep_much(&socket)?;
        let inbox = Inbox::new(AT_ONCE, E::READ);
        Ok(Self { socket, inbox, cards: BTreeMap::new(), order: VecDeque::new() })
    }

    /// The frame of this exchange; `None` where it was missed. Where frames of several cards say the same, the machine's own counts: nobody
    /// can take it away from it by saying the same.
    pub(crate) fn frame_of(&mut self, exchange: E) -> Option<Seen> {
        let own = exchange.own();
        // That nothing can change, so that nothing is read for it.
        if !self.cards.get(&exchange).is_some_and(|card| card.is_some() && *card == own) {
            self.take_frames();
        }
        self.cards.get(&exchange).map(|card| Seen { card: *card })
    }

    fn take_frames(&mut self) {
        for _ in 0..CALLS {
            if self.inbox.look(&self.socket).is_err() {
                return;
            }
            let seen = self.inbox.messages().filter_map(|frame| {
                let link = frame.link()?;
                let is_ethernet = link.hatype() == libc::ARPHRD_ETHER;
                let card = link.addr().filter(|_| is_ethernet).map(MacAddress::ethernet);
                Some((E::of(frame.bytes)?, card))
            });
            for (exchange, card) in seen.collect::<Vec<_>>() {
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
