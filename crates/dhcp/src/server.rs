//! The server for IPv4 on an interface: [`reply`] decides, and [`crate::turns`] is the loop around it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use perilune_model::Family;
use socket2::{Domain, Protocol, Socket, Type};
use tokio_util::sync::CancellationToken;

use crate::counters::{Counted, Fate};
use crate::exchange::Exchange;
use crate::leases::{Edit, Leases};
use crate::queue::Line;
use crate::reply::{Answer, Decision, Policy, reply};
use crate::request::{Kind, Request};
use crate::site::Site;
use crate::tap::Tap;
use crate::turns::{self, Counter, DAY, Group, MINUTE, Moment};

const PORT: u16 = 67;

/// The server of one interface, which has its port already.
#[derive(Debug)]
pub struct Server {
    socket: Socket,
    interface: String,
    policy: Policy,
    tap: Option<Tap<Exchange>>,
}

impl Server {
    /// Takes the port on an interface.
    pub fn bind(interface: &str, policy: Policy) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        turns::prepare(&socket)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        let tap = Tap::open(interface).inspect_err(|error| {
            tracing::info!(interface, %error, "DHCP cannot tell which card a frame came from, and counts invented machines as machines");
        });
        Ok(Self { socket, interface: interface.to_owned(), policy, tap: tap.ok() })
    }

    /// Serves until `stop`.
    pub async fn run(self, site: Site, stop: CancellationToken) {
        let Self { socket, interface, policy, tap } = self;
        let counter = Counter::new(socket.into(), interface, site);
        turns::run(Desk { counter, policy, tap }, stop).await;
    }
}

/// A server at work.
struct Desk {
    counter: Counter<Request>,
    policy: Policy,
    tap: Option<Tap<Exchange>>,
}

impl turns::Desk for Desk {
    type Request = Request;
    const PROTOCOL: &'static str = "DHCP";

    fn counter(&mut self) -> &mut Counter<Request> {
        &mut self.counter
    }

    fn admit(&mut self, bytes: &[u8], _from: SocketAddr, now: &Moment<'_>, leases: &Leases) {
        let Some(mut request) = Request::read(bytes) else {
            self.not_read(bytes, now.now);
            return;
        };
        if let Some(tap) = self.tap.as_mut().filter(|_| request.relay().is_none()) {
            let (transaction, address) = (request.transaction(), request.head_address());
            let frame = tap.frame_of(Exchange { transaction, address });
            request.card = frame.and_then(|frame| frame.card);
            request.is_missed = frame.is_none();
        }
        let (mac, kind) = (request.mac, request.kind);
        let is_node = now.cluster.node_by_mac(mac).is_some();
        let has_address = leases.of(mac, Family::V4).is_some();
        let line = Line::of(is_node, kind == Kind::Discover, has_address);
        let counters = &self.counter.site.counters;
        counters.count(Fate::Heard, Counted::V4(kind));
        if !self.counter.queue.push(line, request, now.now) {
            counters.count(Fate::Shed, Counted::V4(kind));
            tracing::debug!(%mac, ?line, "DHCP is busy; this machine must ask again");
        }
    }

    fn answer(
        &mut self,
        request: Request,
        now: &Moment<'_>,
        leases: &mut Leases,
        group: &mut Group,
    ) {
        self.policy.peers = Arc::clone(&self.counter.site.peers.borrow());
        let looks = request.kind == Kind::Discover;
        if looks && self.counter.heard.leaves(&self.policy.peers, request.mac, now.now) {
            tracing::debug!(mac = %request.mac, "DHCP leaves this machine to a controller that is not behind");
            return;
        }
        let (decision, sighting) = reply(now.cluster, leases, &self.policy, &request, now.now);
        group.edits.extend(leases.take_over());
        if let Some(sighting) = sighting {
            // Nobody must wait for a list of strangers.
            drop(self.counter.site.sightings.try_send(sighting));
        }
        self.act(decision, &request, group, now.now);
    }
}

impl Desk {
    fn not_read(&mut self, bytes: &[u8], now: u64) {
        let Counter { interface, told, .. } = &mut self.counter;
        match Request::fault(bytes) {
            Some(reason) if told.is_new(reason.clone(), now, DAY) => {
                tracing::warn!(interface, reason, "DHCP cannot serve a machine");
            }
            Some(_) => {}
            None => tracing::debug!(interface, length = bytes.len(), "not a DHCP request"),
        }
    }

    fn act(&mut self, decision: Decision, request: &Request, group: &mut Group, now: u64) {
        let Counter { interface, told, site, .. } = &mut self.counter;
        let (mac, kind) = (request.mac, request.kind.word());
        match decision {
            Decision::Ignore(reason) => {
                tracing::debug!(%mac, kind, interface, reason, "DHCP is silent");
            }
            Decision::Unserved(reason) => {
                if told.is_new(reason.clone(), now, MINUTE) {
                    tracing::warn!(%mac, kind, interface, reason, "DHCP cannot serve a machine");
                }
            }
            Decision::Forget(address) => {
                tracing::info!(%mac, kind, interface, %address, "DHCP lease is over");
            }
            Decision::Answer(answer) => {
                let Answer { packet, kind: given, address, to, lease, missing_program } = *answer;
                tracing::info!(%mac, kind, interface, %address, answer = given.word(), "DHCP");
                site.counters.count(Fate::Sent, Counted::V4(given));
                if let Some(firmware) = missing_program
                    && told.is_new(format!("{mac} {firmware}"), now, DAY)
                {
                    tracing::warn!(
                        %mac, interface, firmware,
                        "DHCP gives a machine an address and no boot program: there is none for its firmware"
                    );
                }
                match lease {
                    Some(lease) => {
                        group.edits.push(Edit::Lent(lease));
                        group.promised.push((address, packet, to.into()));
                    }
                    None => group.said.push((packet, to.into())),
                }
            }
        }
    }
}
