//! Holds what machines ask while a DHCP server beside the daemon cannot hear, and gives it to that server afterwards.
//!
//! A server of DHCP looks at the frames of its interfaces, those that go out as well, since a machine without an address is not reached
//! otherwise. So a frame that was held goes out where it came in, to the card that it is from: that machine has nobody at port 67, no
//! other machine of the wire hears it twice, and the server takes it for one that came in. It then answers the card that sent it, which
//! is ours, and its answer is handed on to the machine.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{LinkAddr, MsgFlags, sendto};
use perilune_datagrams::Inbox;
use socket2::Socket;
use tokio::time::sleep;

use crate::exchange::Exchange;
use crate::frames::{self, Port, Way, keep_much};
use crate::observe::{LARGEST, SERVER_PORT};
use crate::tap::Exchange as _;

/// Frames that are given on together.
const AT_ONCE: usize = 32;
/// Between them: the server's socket has room for a hundred requests or so, and it answers 6,000 and more in a second.
const PAUSE: Duration = Duration::from_millis(5);
/// Frames of a flood beyond these are left out: other machines want to be heard, too.
const MOST: usize = 8192;
/// So many pauses are waited for the last answers.
const PATIENCE: u32 = 40;
/// RFC 2131, section 2: what a server sends.
const REPLY: u8 = 2;

/// What machines ask DHCP servers over IPv4 from now on, kept by the system until it is given on, or dropped.
#[derive(Debug)]
pub struct Held {
    interfaces: Vec<u32>,
    requests: Socket,
}

/// What has become of requests that were held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Given {
    /// So many the server was shown.
    pub requests: usize,
    /// So many of its answers were handed on.
    pub answers: usize,
}

impl Held {
    /// Begins to hold what comes in on these interfaces. Needs the right to raw sockets (`CAP_NET_RAW`).
    ///
    /// # Errors
    /// Those of the system: no such interface, or no right.
    pub fn begin(interfaces: &[String]) -> io::Result<Self> {
        let interfaces = interfaces.iter().map(|name| if_nametoindex(name.as_str()));
        let interfaces = interfaces.collect::<Result<Vec<u32>, _>>()?;
        let requests = open(&interfaces, Way::In, Port::Destination)?;
        Ok(Self { interfaces, requests })
    }

    /// Shows the server what was held, and hands its answers on.
    ///
    /// # Errors
    /// Those of the system. What is not given on so is asked again.
    pub async fn give_on(self) -> io::Result<Given> {
        let mut inbox = Inbox::new(AT_ONCE, LARGEST);
        let mut held = Vec::new();
        // What comes from now on the server hears itself.
        while held.len() < MOST && inbox.look(&self.requests).is_ok() {
            held.extend(inbox.messages().filter_map(|frame| {
                let link = frame.link().filter(is_for_us)?;
                Some((Exchange::of(frame.bytes)?, link, frame.bytes.to_vec()))
            }));
        }
        let answers = open(&self.interfaces, Way::Out, Port::Source)?;
        let (mut given, mut asked, mut silence) = (Given::default(), BTreeMap::new(), 0);
        let mut rest = held.chunks(AT_ONCE);
        while silence < PATIENCE {
            for (exchange, link, frame) in rest.next().unwrap_or_default() {
                // Whom this does not reach asks again.
                if send(&answers, frame, link) {
                    asked.insert(*exchange, link);
                    given.requests += 1;
                }
            }
            if asked.is_empty() && rest.len() == 0 {
                break;
            }
            sleep(PAUSE).await;
            silence += 1;
            while inbox.look(&answers).is_ok() {
                for frame in inbox.messages().filter(|frame| is_reply(frame.bytes)) {
                    let machine = Exchange::of(frame.bytes).and_then(|own| asked.remove(&own));
                    if machine.is_some_and(|link| send(&answers, frame.bytes, link)) {
                        given.answers += 1;
                    }
                }
            }
            if rest.len() > 0 {
                silence = 0;
            }
        }
        Ok(given)
    }
}

fn open(interfaces: &[u32], way: Way, port: Port) -> io::Result<Socket> {
    let filter = frames::datagrams(port, SERVER_PORT);
    let socket = frames::open(interfaces, way, libc::ETH_P_IP, filter)?;
    keep_much(&socket)?;
    Ok(socket)
}

fn send(socket: &Socket, packet: &[u8], to: &LinkAddr) -> bool {
    sendto(socket.as_raw_fd(), packet, to, MsgFlags::MSG_DONTWAIT).is_ok()
}

/// What an interface that takes everything has heard of other machines' is not the server's.
fn is_for_us(link: &LinkAddr) -> bool {
    link.pkttype() != libc::PACKET_OTHERHOST
}

/// Whether a packet of IPv4 has an answer of a server in it. Requests that are given on go the same way.
fn is_reply(packet: &[u8]) -> bool {
    let head = packet.first().map(|first| usize::from(first & 0x0f) * 4);
    head.and_then(|head| packet.get(head + 8)) == Some(&REPLY)
}
