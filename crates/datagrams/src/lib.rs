//! Many messages by one call of the system, in and out: `recvmmsg(2)` and `sendmmsg(2)`. Where a server answers tens of thousands of short
//! messages in a second, calls cost more than answers do.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{LinkAddr, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use rustix::net::addr::SocketAddrArg as _;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg, sendto};

/// Messages that are read with one call: a few while few come, since room for many has a cost of its own.
const FEW: usize = 4;

/// Room for messages that are read together.
#[derive(Debug)]
pub struct Inbox {
    buffer: Vec<u8>,
    received: Vec<(usize, Option<SockaddrStorage>)>,
    /// Of one message, in bytes.
    largest: usize,
    most: usize,
    /// As many are read next time.
    size: usize,
    was_full: bool,
}

/// A message, as it was received.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// What it says. Of one that is longer than there is room for, the beginning.
    pub bytes: &'a [u8],
    sender: Option<SockaddrStorage>,
}

impl Inbox {
    /// For at most so many messages at a time, the largest with so many bytes.
    #[must_use]
    pub fn new(most: usize, largest: usize) -> Self {
        Self {
            buffer: vec![0; most * largest],
            received: Vec::new(),
            largest,
            most,
            size: FEW.min(most),
            was_full: false,
        }
    }

    /// Waits for a message, as long as the socket waits, and reads all that are there, or as many as there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when none came in time, [`io::ErrorKind::Interrupted`] when a signal did; others are of the system.
    pub fn wait(&mut self, socket: &impl AsRawFd) -> io::Result<()> {
        self.receive(socket, MsgFlags::MSG_WAITFORONE)
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// As those of [`Self::wait`], at once.
    pub fn look(&mut self, socket: &impl AsRawFd) -> io::Result<()> {
        self.receive(socket, MsgFlags::MSG_DONTWAIT)
    }

    fn receive(&mut self, socket: &impl AsRawFd, flags: MsgFlags) -> io::Result<()> {
        self.received.clear();
        self.was_full = false;
        let room = self.buffer.get_mut(..self.size * self.largest).unwrap_or_default();
        let parts = room.chunks_mut(self.largest).map(|part| [IoSliceMut::new(part)]);
        let mut parts: Vec<_> = parts.collect();
        // Made anew, since it can go to no other thread: with room for few it costs little beside the call.
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(self.size, None);
        let messages = recvmmsg(socket.as_raw_fd(), &mut headers, parts.iter_mut(), flags, None)?;
        self.received.extend(messages.map(|message| (message.bytes, message.address)));
        self.was_full = self.received.len() == self.size;
        self.size = match self.received.len() {
            _ if self.was_full => (self.size * 2).min(self.most),
            few if few < self.size / 4 => (self.size / 2).max(FEW.min(self.most)),
            _ => self.size,
        };
        Ok(())
    }

    /// Whether there may be more than was read.
    #[must_use]
    pub fn was_full(&self) -> bool {
        self.was_full
    }

    /// Those that were read last.
    pub fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.buffer.chunks(self.largest).zip(&self.received).map(|(part, (length, sender))| {
            Message { bytes: part.get(..*length).unwrap_or_default(), sender: *sender }
        })
    }
}

impl Message<'_> {
    /// Who sent it, by UDP.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        let sender = self.sender?;
        let v4 = sender.as_sockaddr_in().map(|own| SocketAddr::V4(SocketAddrV4::from(*own)));
        v4.or_else(|| sender.as_sockaddr_in6().map(|own| SocketAddr::V6(SocketAddrV6::from(*own))))
    }

    /// Who sent it, of a frame.
    #[must_use]
    pub fn link(&self) -> Option<LinkAddr> {
        self.sender?.as_link_addr().copied()
    }
}

/// Sends what the system takes now. Whoever is not answered asks again.
///
/// # Errors
/// The first that there was. The others were sent nevertheless, unless the system takes no more.
pub fn send(socket: &UdpSocket, messages: &[(Vec<u8>, SocketAddr)]) -> io::Result<()> {
    if let [(bytes, to)] = messages {
        sendto(socket, bytes, SendFlags::DONTWAIT, to)?;
        return Ok(());
    }
    let mut first = Ok(());
    let mut rest = messages;
    while !rest.is_empty() {
        let addresses: Vec<_> = rest.iter().map(|(_, to)| to.as_any()).collect();
        let parts: Vec<_> = rest.iter().map(|(bytes, _)| [IoSlice::new(bytes)]).collect();
        let mut controls: Vec<_> = rest.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let all = addresses.iter().zip(&parts).zip(&mut controls);
        let mut all: Vec<_> =
            all.map(|((to, part), control)| MMsgHdr::new_with_addr(to, part, control)).collect();
        let sent = match sendmmsg(socket, &mut all, SendFlags::DONTWAIT) {
            Ok(sent) => sent.max(1),
            Err(error) => {
                if first.is_ok() {
                    first = Err(error.into());
                }
                if error == rustix::io::Errno::AGAIN {
                    break;
                }
                // Of the first one, such as a client that is not reached any more.
                1
            }
        };
        rest = rest.get(sent..).unwrap_or_default();
    }
    first
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn socket() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    }

    #[test]
    fn what_many_said_is_read_in_order_and_tells_who_sent_it() {
        let (from, to) = (socket(), socket());
        let there = to.local_addr().unwrap();
        let said: Vec<Vec<u8>> = (0..100).map(|number| vec![number; 3]).collect();
        let messages: Vec<_> = said.iter().map(|bytes| (bytes.clone(), there)).collect();
        send(&from, &messages).unwrap();
        let mut inbox = Inbox::new(32, 16);
        let (mut heard, mut most) = (Vec::new(), 0);
        while heard.len() < said.len() {
            inbox.wait(&to).unwrap();
            most = most.max(inbox.messages().count());
            let own = Some(from.local_addr().unwrap());
            assert!(inbox.messages().all(|message| message.address() == own));
            heard.extend(inbox.messages().map(|message| message.bytes.to_vec()));
        }
        assert_eq!(heard, said);
        assert_eq!(most, 32, "more are read at once while many come");
        let error = inbox.look(&to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(inbox.messages().count(), 0, "nothing of before");
    }

    #[test]
    fn a_message_that_is_too_long_is_cut_and_an_empty_one_is_one() {
        let (from, to) = (socket(), socket());
        let there = to.local_addr().unwrap();
        send(&from, &[(vec![1; 40], there), (Vec::new(), there)]).unwrap();
        let mut inbox = Inbox::new(1, 16);
        inbox.wait(&to).unwrap();
        assert_eq!(inbox.messages().map(|message| message.bytes.len()).collect::<Vec<_>>(), [16]);
        inbox.wait(&to).unwrap();
        assert_eq!(inbox.messages().map(|message| message.bytes.len()).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn one_that_cannot_be_sent_does_not_keep_the_others() {
        let (from, to) = (socket(), socket());
        let there = to.local_addr().unwrap();
        // No socket of IPv4 reaches that.
        let far = "[2001:db8::1]:9".parse().unwrap();
        let said = [(vec![1], there), (vec![2], far), (vec![3], there)];
        assert!(send(&from, &said).is_err());
        let mut inbox = Inbox::new(8, 16);
        let mut heard = Vec::new();
        while heard.len() < 2 {
            inbox.wait(&to).unwrap();
            heard.extend(inbox.messages().map(|message| message.bytes.to_vec()));
        }
        assert_eq!(heard, [[1], [3]]);
    }
}
