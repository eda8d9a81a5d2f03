//! The loop of a server, the same for both families: messages in, leases stored, messages out. It has a thread of its own: with one call
//! that waits and reads, and one that sends, an answer costs less than with an event loop between them.

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, UdpSocket};
use std::panic::resume_unwind;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use perilune_datagrams::{self as datagrams, Inbox};
use perilune_model::Cluster;
use socket2::{SockRef, Socket};
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::frames::keep_much;
use crate::leases::{Edit, Leases};
use crate::peers::HeardOnce;
use crate::queue::{Queue, Waits};
use crate::site::{Site, Stored};
use crate::told::Told;

/// As large as any message of ours or a machine's is.
const LARGEST: usize = 4096;
/// The most messages that one call reads, and the most calls in a row: what has arrived by then is put in order before any of it is answered.
const READ_AT_ONCE: usize = 64;
const READS: usize = 4;
/// Requests that are answered before messages are read again.
const ANSWERED_AT_ONCE: usize = 32;
/// Groups of leases that may wait for the store. When it is slow, groups are larger; when it stands still, strangers wait.
const GROUPS: usize = 64;
/// A warning about the same thing is repeated after this many milliseconds.
pub(crate) const MINUTE: u64 = 60_000;
pub(crate) const DAY: u64 = 24 * 60 * MINUTE;
/// How often a thread that nobody could wake checks whether it is to end.
const LOOK: Duration = Duration::from_secs(1);
/// Strangers who wait for the store are looked at so often when nobody else asks.
const STORE_LOOK: Duration = Duration::from_millis(2);
/// After a failure of the system, which is not asked again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// A server at work: what is of one family.
pub(crate) trait Desk: Send + 'static {
    /// What machines ask.
    type Request: Waits;
    /// For messages.
    const PROTOCOL: &'static str;

    /// What both families have.
    fn counter(&mut self) -> &mut Counter<Self::Request>;

    /// Puts what a machine said in its line.
    fn admit(&mut self, bytes: &[u8], from: SocketAddr, now: &Moment<'_>, leases: &Leases);

    /// Answers a request, at once or with the others of the group once their leases are stored.
    fn answer(
        &mut self,
        request: Self::Request,
        now: &Moment<'_>,
        leases: &mut Leases,
        group: &mut Group,
    );

    /// Looks at the host, whose addresses come and go without a word; each second at least.
    fn look(&mut self) {}
}

/// What a turn goes by.
pub(crate) struct Moment<'a> {
    pub(crate) cluster: &'a Cluster,
    /// Milliseconds on the clock of the leases.
    pub(crate) now: u64,
}

/// What the servers of both families have.
pub(crate) struct Counter<R> {
    pub(crate) interface: String,
    pub(crate) site: Site,
    pub(crate) queue: Queue<R>,
    pub(crate) told: Told,
    pub(crate) heard: HeardOnce,
    socket: Arc<UdpSocket>,
    pending: JoinSet<()>,
}

/// Leases that are stored together, and what is said once they are, each with the address that it gives.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) edits: Vec<Edit>,
    pub(crate) promised: Vec<(IpAddr, Vec<u8>, SocketAddr)>,
    /// What needs no lease to be stored.
    pub(crate) said: Vec<(Vec<u8>, SocketAddr)>,
}

impl<R: Waits> Counter<R> {
    pub(crate) fn new(socket: UdpSocket, interface: String, site: Site) -> Self {
        Self {
            interface,
            site,
            queue: Queue::default(),
            told: Told::default(),
            heard: HeardOnce::default(),
            socket: Arc::new(socket),
            pending: JoinSet::new(),
        }
    }

    fn serves_strangers(&mut self) -> bool {
        while self.pending.try_join_next().is_some() {}
        self.pending.len() < GROUPS
    }

    /// Reads what has come, and waits for it where nobody waits for us.
    fn receive(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        let strangers = self.serves_strangers();
        if self.queue.has(strangers) {
            return inbox.look(self.socket.as_ref());
        }
        if self.queue.has(true) {
            // They wait for the store alone, and nodes must not wait with them.
            self.socket.set_read_timeout(Some(STORE_LOOK))?;
            let received = inbox.wait(self.socket.as_ref());
            self.socket.set_read_timeout(Some(LOOK))?;
            return received;
        }
        inbox.wait(self.socket.as_ref())
    }

    fn finish(&mut self, group: Group) {
        let Group { edits, promised, said } = group;
        send(&self.socket, &said);
        if edits.is_empty() {
            return;
        }
        let mut storing = self.site.store.store(edits);
        // Leases that are told again are stored already, and nobody needs to be woken for them.
        match storing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(stored) => tell(stored, &self.socket, promised),
            Poll::Pending => {
                let socket = Arc::clone(&self.socket);
                self.pending.spawn(async move { tell(storing.await, &socket, promised) });
            }
        }
    }
}

/// Prepares the socket of a server.
pub(crate) fn prepare(socket: &Socket) -> io::Result<()> {
    keep_much(socket)?;
    socket.set_read_timeout(Some(LOOK))
}

/// Serves on a thread until `stop`, or until nobody waits for this any more.
pub(crate) async fn run<D: Desk>(mut desk: D, stop: CancellationToken) {
    let stop = stop.child_token();
    let _ends_with_us = stop.clone().drop_guard();
    let socket = Arc::clone(&desk.counter().socket);
    let ends = stop.clone();
    let thread = spawn_blocking(move || serve(&mut desk, &ends));
    tokio::pin!(thread);
    tokio::select! {
        () = stop.cancelled() => {
            // It is not connected, of which the system complains; whoever reads from it is woken nevertheless.
            SockRef::from(socket.as_ref()).shutdown(Shutdown::Both).ok();
        }
        ended = &mut thread => return pass_on(ended),
    }
    pass_on(thread.await);
}

/// Whoever runs the server hears of a panic.
fn pass_on(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        resume_unwind(panic);
    }
}

fn serve<D: Desk>(desk: &mut D, stop: &CancellationToken) {
    let mut inbox = Inbox::new(READ_AT_ONCE, LARGEST);
    while !stop.is_cancelled() {
        desk.look();
        match desk.counter().receive(&mut inbox) {
            Ok(()) => admit(desk, &mut inbox),
            Err(error) if is_usual(&error) => {}
            Err(_) if stop.is_cancelled() => return,
            Err(error) => {
                let interface = &desk.counter().interface;
                tracing::warn!(interface, %error, "{} cannot receive", D::PROTOCOL);
                Handle::current().block_on(timeout(PAUSE, stop.cancelled())).ok();
            }
        }
        answer(desk);
    }
}

/// Nothing came for a while, or a signal did.
fn is_usual(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Takes in what has come. Reading costs little beside answering: what there is no time for is turned away here, knowing what it is.
fn admit<D: Desk>(desk: &mut D, inbox: &mut Inbox) {
    let Site { cluster, leases, clock, .. } = &desk.counter().site;
    let (published, shared) = (Arc::clone(&cluster.borrow()), Arc::clone(leases));
    let now = Moment { cluster: &published, now: clock() };
    // What a panicking holder left is still a table of leases.
    let leases = shared.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..READS {
        for message in inbox.messages() {
            if let Some(from) = message.address() {
                desk.admit(message.bytes, from, &now, &leases);
            }
        }
        if !inbox.was_full() || inbox.look(desk.counter().socket.as_ref()).is_err() {
            return;
        }
    }
}

fn answer<D: Desk>(desk: &mut D) {
    let counter = desk.counter();
    let strangers = counter.serves_strangers();
    if !counter.queue.has(strangers) {
        return;
    }
    let published = Arc::clone(&counter.site.cluster.borrow());
    let shared = Arc::clone(&counter.site.leases);
    let now = Moment { cluster: &published, now: (counter.site.clock)() };
    let mut group = Group::default();
    {
        let mut leases = shared.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..ANSWERED_AT_ONCE {
            let Some(request) = desk.counter().queue.pop(strangers, now.now) else { break };
            desk.answer(request, &now, &mut leases, &mut group);
        }
    }
    desk.counter().finish(group);
}

/// The system takes what is sent, or its queue is full of what we sent before: the machine asks again.
fn send(socket: &UdpSocket, messages: &[(Vec<u8>, SocketAddr)]) {
    if let Err(error) = datagrams::send(socket, messages) {
        tracing::warn!(%error, "a DHCP answer cannot be sent");
    }
}

/// Lets machines know of their leases, which are stored by now or could not be.
fn tell(stored: Stored, socket: &UdpSocket, promised: Vec<(IpAddr, Vec<u8>, SocketAddr)>) {
    let Stored::Durable(lost) = stored else {
        let leases = promised.len();
        tracing::warn!(leases, "leases were not stored, so their machines are not answered");
        return;
    };
    let (mut said, mut missed) = (Vec::new(), Vec::new());
    for (address, message, to) in promised {
        if lost.contains(&address) {
            missed.push(address);
        } else {
            said.push((message, to));
        }
    }
    for address in missed {
        tracing::warn!(%address, "another controller has lent an address meanwhile; its machine here begins anew");
    }
    send(socket, &said);
}
