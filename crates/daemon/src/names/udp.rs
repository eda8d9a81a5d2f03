//! Questions by UDP: many are read at once, and their answers are sent at once, from the address that was asked.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use perilune_datagrams::{self as datagrams, Inbox};
use perilune_dns::Transport;
use rustix::net::{SendFlags, sendto};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Outcome};
use super::forward::Asker;

/// Questions that are read at once.
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
    let mut inbox = Inbox::new(BATCH, LARGEST);
    while !stop.is_cancelled() {
        match inbox.wait(socket.as_ref()) {
            Ok(()) => answer(socket, desk, &inbox),
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

/// Answers all that were read.
fn answer(socket: &Arc<UdpSocket>, desk: &Desk, inbox: &Inbox) {
    let view = desk.view();
    let now = desk.now();
    let mut answers = Vec::new();
    for message in inbox.messages() {
        let Some(from) = message.address() else { continue };
        match desk.decide(&view, (from.ip(), Transport::Udp), message.bytes, now) {
            Outcome::Say(answer) => answers.push((answer, from)),
            Outcome::Forward(question, servers) => {
                let asker = Asker::Udp { socket: Arc::clone(socket), to: from };
                desk.forwarder.ask(question, servers, asker);
            }
            // By UDP there are none.
            Outcome::Transfer(_) | Outcome::Nothing => {}
        }
    }
    // Whoever is not answered asks again.
    datagrams::send(socket, &answers).ok();
}
