//! Questions by UDP: many are read at once, and their answers are sent at once, from the address that was asked.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt, sockopt};
use perilune_dns::Transport;
use rustix::net::addr::SocketAddrArg as _;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg, sendto};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Outcome};
use super::forward::Asker;
use crate::clock;

/// Questions that are read with one call: a few while few come, since room for many has a cost of its own.
const FEW: usize = 4;
const BATCH: usize = 64;
/// As large as any question is.
const LARGEST: usize = 2048;
/// What the system keeps for us while we answer others: what it throws away is asked again seconds later.
const KEPT_BYTES: usize = 4 << 20;
/// After a failure of the system, which is not asked again at once.
const PAUSE: Duration = Duration::from_millis(20);
/// A thread that nobody could wake looks so often whether it is to end.
const LOOK: Duration = Duration::from_secs(1);

/// Takes the port at an address of ours. Each address has a socket of its own, so that answers leave from where they were asked, and so that
/// a server at another address of this host has its port still.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Beyond the system's usual limit that is root's alone.
    if setsockopt(&socket, sockopt::RcvBufForce, &KEPT_BYTES).is_err() {
        socket.set_recv_buffer_size(KEPT_BYTES)?;
    }
    socket.set_read_timeout(Some(LOOK))?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Answers until `stop`, on a thread of its own: with one call that waits and reads, and one that sends, it costs less than with an event
/// loop between them, which moves it from thread to thread. Several may share a socket.
pub(super) fn serve(socket: &Arc<UdpSocket>, desk: &Desk, stop: &CancellationToken) {
    let mut buffer = vec![0; BATCH * LARGEST];
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    let mut size = FEW;
    while !stop.is_cancelled() {
        match turn(socket, desk, (&mut headers, &mut buffer), size) {
            Ok(asked) => {
                size = match asked {
                    all if all == size => (size * 2).min(BATCH),
                    few if few < size / 4 => (size / 2).max(FEW),
                    _ => size,
                };
            }
            Err(error) if is_usual(&error) => {}
            Err(error) => {
                tracing::debug!(%error, "DNS cannot receive");
                let pause = timeout(PAUSE, stop.cancelled());
                Handle::current().block_on(pause).ok();
            }
        }
    }
    // The next of those that share it.
    wake(socket);
}

/// Nothing came for a while, or a signal did.
fn is_usual(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Has those that share the socket look whether they are to end.
pub(super) async fn wake_at(stop: CancellationToken, socket: Arc<UdpSocket>) {
    stop.cancelled().await;
    wake(&socket);
}

fn wake(socket: &UdpSocket) {
    // It is no question. Where the address is gone already they look in a moment.
    if let Ok(own) = socket.local_addr() {
        say(socket, &[], own);
    }
}

/// Sends what the system takes now.
pub(super) fn say(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) {
    sendto(socket, bytes, SendFlags::DONTWAIT, &to).ok();
}

/// Waits for questions, and answers all that are there: how many there were.
fn turn(
    socket: &Arc<UdpSocket>,
    desk: &Desk,
    (headers, buffer): (&mut MultiHeaders<SockaddrStorage>, &mut [u8]),
    room: usize,
) -> io::Result<usize> {
    let buffer = buffer.get_mut(..room * LARGEST).unwrap_or_default();
    let asked = receive(socket, headers, buffer)?;
    let view = desk.view();
    let now = clock::milliseconds();
    let mut answers = Vec::with_capacity(asked.len());
    for (bytes, (length, sender)) in buffer.chunks(LARGEST).zip(&asked) {
        let Some(from) = sender else { continue };
        let bytes = bytes.get(..*length).unwrap_or_default();
        match desk.decide(&view, (from.ip(), Transport::Udp), bytes, now) {
            Outcome::Say(answer) => answers.push((answer, *from)),
            Outcome::Forward(question, servers) => {
                let asker = Asker::Udp { socket: Arc::clone(socket), to: *from };
                desk.forwarder.ask(question, servers, asker);
            }
            // By UDP there are none.
            Outcome::Transfer(_) | Outcome::Nothing => {}
        }
    }
    send(socket, &answers);
    Ok(asked.len())
}

/// Waits for a message and reads all that are there, each into its part of the buffer: how long it is, and who sent it.
fn receive(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrStorage>,
    buffer: &mut [u8],
) -> io::Result<Vec<(usize, Option<SocketAddr>)>> {
    let parts = buffer.chunks_mut(LARGEST).map(|part| [IoSliceMut::new(part)]);
    let mut parts: Vec<_> = parts.collect();
    let flags = MsgFlags::MSG_WAITFORONE;
    let messages = recvmmsg(socket.as_raw_fd(), headers, parts.iter_mut(), flags, None)?;
    Ok(messages.map(|message| (message.bytes, message.address.and_then(address_of))).collect())
}

fn address_of(sender: SockaddrStorage) -> Option<SocketAddr> {
    let v4 = sender.as_sockaddr_in().map(|own| SocketAddr::V4(SocketAddrV4::from(*own)));
    v4.or_else(|| sender.as_sockaddr_in6().map(|own| SocketAddr::V6(SocketAddrV6::from(*own))))
}

/// Sends what the system takes now: whoever is not answered asks again.
fn send(socket: &UdpSocket, answers: &[(Vec<u8>, SocketAddr)]) {
    let mut rest = answers;
    while !rest.is_empty() {
        let addresses: Vec<_> = rest.iter().map(|(_, to)| to.as_any()).collect();
        let parts: Vec<_> = rest.iter().map(|(bytes, _)| [IoSlice::new(bytes)]).collect();
        let mut controls: Vec<_> = rest.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let messages = addresses.iter().zip(&parts).zip(&mut controls);
        let mut messages: Vec<_> = messages
            .map(|((to, part), control)| MMsgHdr::new_with_addr(to, part, control))
            .collect();
        let sent = match sendmmsg(socket, &mut messages, SendFlags::DONTWAIT) {
            Ok(sent) => sent,
            Err(rustix::io::Errno::AGAIN) => return,
            // Of the first one, such as a client that is not reached any more: the others are sent.
            Err(_) => 1,
        };
        rest = rest.get(sent.max(1)..).unwrap_or_default();
    }
}
