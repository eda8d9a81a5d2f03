//! The loop around the answers: messages in, leases stored, messages out. It shares leases, their storage and the order of answers with the
//! server for IPv4.

use std::fmt;
use std::future::ready;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use perilune_model::interface::BMC_INTERFACE;
use perilune_model::{Cluster, Family, MacAddress, Name};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::{JoinSet, yield_now};
use tokio_util::sync::CancellationToken;

use super::exchange::Exchange;
use super::message::Kind;
use super::observe::{CLIENT_PORT, SERVER_PORT};
use super::reply::{Answer, Decision, Policy, reply};
use super::request::Request;
use crate::counters::{Counted, Fate};
use crate::peers::HeardOnce;
use crate::queue::{Line, Queue, Waits};
use crate::server::{
    ANSWERED_AT_ONCE, DAY, GROUPS, Group, MINUTE, READ_AT_ONCE, Site, finish, keep_much, send,
};
use crate::tap::Tap;
use crate::told::Told;

/// All servers and relays of a link, and all servers of a site (RFC 8415, section 7.1).
const ALL_OF_LINK: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3);
/// How often it is looked which addresses we have.
const LOOK: Duration = Duration::from_secs(5);
/// As large as any message of ours or a machine's is.
const LARGEST: usize = 4096;

/// How the server answers.
#[derive(Clone)]
pub struct Settings {
    /// Where boot scripts and files are fetched, for machines that reach us at this address.
    pub url: Arc<dyn Fn(Ipv6Addr) -> String + Send + Sync>,
    /// The node whose machine has this number (RFC 4122), as its inventory says; none where two say so.
    pub node_of: Arc<dyn Fn([u8; 16]) -> Option<Name> + Send + Sync>,
    /// How long addresses are lent to nodes, in seconds.
    pub lease_seconds: u32,
    /// How long they are lent to strangers.
    pub strangers_lease_seconds: u32,
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("lease_seconds", &self.lease_seconds)
            .finish_non_exhaustive()
    }
}

/// The server of one interface, which has its port already.
#[derive(Debug)]
pub struct Server {
    socket: Arc<UdpSocket>,
    interface: String,
    duid: Vec<u8>,
    settings: Settings,
    tap: Option<Tap<Exchange>>,
}

impl Server {
    /// Takes the port on an interface. Call it within the runtime that will run the server.
    pub fn bind(interface: &str, settings: Settings) -> io::Result<Self> {
        let index = if_nametoindex(interface)?;
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_only_v6(true)?;
        socket.set_reuse_address(true)?;
        keep_much(&socket)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, SERVER_PORT)).into())?;
        socket.join_multicast_v6(&ALL_OF_LINK, index)?;
        socket.join_multicast_v6(&ALL_SERVERS, index)?;
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        let tap = Tap::open(interface).inspect_err(|error| {
            tracing::info!(interface, %error, "DHCPv6 cannot tell which card a frame came from");
        });
        let duid = duid(interface)?;
        Ok(Self { socket, interface: interface.to_owned(), duid, settings, tap: tap.ok() })
    }

    /// Serves until `stop`.
    pub async fn run(self, site: Site, stop: CancellationToken) {
        let mut desk = Desk {
            server: self,
            site,
            queue: Queue::default(),
            pending: JoinSet::new(),
            told: Told::default(),
            buffer: vec![0; LARGEST],
            policy: None,
            heard: HeardOnce::default(),
        };
        let mut look = tokio::time::interval(LOOK);
        loop {
            let has_work = desk.queue.has(desk.serves_strangers());
            let readable = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(_) = desk.pending.join_next() => Ok(()),
                () = ready(()), if has_work => Ok(()),
                // Followers of the cluster are not told that addresses of this host come and go.
                _ = look.tick() => {
                    desk.find_policy();
                    continue;
                }
                readable = desk.server.socket.readable() => readable,
            };
            if let Err(error) = readable.and_then(|()| desk.read()) {
                tracing::warn!(interface = desk.server.interface, %error, "DHCPv6 cannot receive");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            desk.answer();
            // Others of this thread have their turn, however many machines ask.
            yield_now().await;
        }
    }
}

impl Server {
    /// The cards of the node whose machine has this number.
    fn cards_of(&self, cluster: &Cluster, number: Option<[u8; 16]>) -> Vec<MacAddress> {
        let node = number.and_then(|number| (self.settings.node_of)(number));
        let node = node.and_then(|name| cluster.nodes().get(&name));
        let interfaces = node.into_iter().flat_map(|node| &node.interfaces);
        // A BMC has a system of its own, which does not know the number of the machine.
        let own = interfaces.filter(|interface| interface.name.as_str() != BMC_INTERFACE);
        own.filter_map(|interface| interface.macaddress).collect()
    }
}

/// A DUID of the interface's hardware address: the same after a restart, without a file (RFC 8415, section 11.4).
fn duid(interface: &str) -> io::Result<Vec<u8>> {
    let read = |file: &str| std::fs::read_to_string(format!("/sys/class/net/{interface}/{file}"));
    let kind = read("type")?.trim().parse::<u16>().unwrap_or_default();
    let address = read("address")?;
    let digits = address.trim().split(':').filter_map(|pair| u8::from_str_radix(pair, 16).ok());
    let kind = kind.to_be_bytes();
    Ok([0, 3].into_iter().chain(kind).chain(digits).collect())
}

/// A request, and where its answer goes.
struct Asked {
    request: Request,
    to: SocketAddr,
}

impl Waits for Asked {
    fn machine(&self) -> MacAddress {
        // Those of whom nothing is known share a place.
        self.request.candidates.first().copied().unwrap_or(MacAddress::ethernet([0; 6]))
    }

    fn number(&self) -> u8 {
        self.request.kind.number()
    }
}

/// A server at work.
struct Desk {
    server: Server,
    site: Site,
    queue: Queue<Asked>,
    pending: JoinSet<()>,
    told: Told,
    buffer: Vec<u8>,
    policy: Option<Policy>,
    heard: HeardOnce,
}

impl Desk {
    fn serves_strangers(&self) -> bool {
        self.pending.len() < GROUPS
    }

    fn read(&mut self) -> io::Result<()> {
        let published = Arc::clone(&self.site.cluster.borrow());
        let shared = Arc::clone(&self.site.leases);
        // What a panicking holder left is still a table of leases.
        let leases = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.site.clock)();
        for _ in 0..READ_AT_ONCE {
            let (length, from) = match self.server.socket.try_recv_from(&mut self.buffer) {
                Ok((length, SocketAddr::V6(from))) => (length, from),
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let bytes = self.buffer.get(..length).unwrap_or_default();
            let Some(mut asked) = asked(bytes, from, self.server.tap.as_mut()) else {
                tracing::debug!(interface = self.server.interface, length, "not a DHCPv6 request");
                continue;
            };
            let cards = self.server.cards_of(&published, asked.request.machine_number());
            asked.request.may_be_of(cards);
            let (kind, mac) = (asked.request.kind, asked.machine());
            let mut own = asked.request.candidates.iter();
            let is_node = own.clone().any(|mac| published.node_by_mac(*mac).is_some());
            let has_address = own.any(|mac| leases.of(*mac, Family::V6).is_some());
            let line = Line::of(is_node, kind == Kind::Solicit, has_address);
            self.site.counters.count(Fate::Heard, Counted::V6(kind));
            if !self.queue.push(line, asked, now) {
                self.site.counters.count(Fate::Shed, Counted::V6(kind));
                tracing::debug!(%mac, ?line, "DHCPv6 is busy; this machine must ask again");
            }
        }
        Ok(())
    }

    fn answer(&mut self) {
        let published = Arc::clone(&self.site.cluster.borrow());
        let shared = Arc::clone(&self.site.leases);
        let mut group = Group::default();
        {
            let mut leases = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let strangers = self.serves_strangers();
            let now = (self.site.clock)();
            for _ in 0..ANSWERED_AT_ONCE {
                let Some(Asked { request, to }) = self.queue.pop(strangers, now) else { break };
                let Some(policy) = &mut self.policy else {
                    let interface = &self.server.interface;
                    tracing::debug!(
                        interface,
                        "DHCPv6 is silent: we have no address of a network of the cluster here"
                    );
                    continue;
                };
                policy.peers = Arc::clone(&self.site.peers.borrow());
                let looks = request.kind == Kind::Solicit;
                let mac = request.candidates.first().copied();
                if mac.is_some_and(|mac| looks && self.heard.leaves(&policy.peers, mac, now)) {
                    tracing::debug!("DHCPv6 leaves a machine to a controller that is not behind");
                    continue;
                }
                let (decision, sighting) = reply(&published, &mut leases, policy, &request, now);
                let over = leases.take_over().into_iter();
                group.edits.extend(over.map(|address| (address, None)));
                if let Some(sighting) = sighting {
                    // Nobody must wait for a list of strangers.
                    drop(self.site.sightings.try_send(sighting));
                }
                self.act(decision, &request, to, &mut group, now);
            }
        }
        if !group.edits.is_empty() {
            let socket = Arc::clone(&self.server.socket);
            let storing = self.site.store.store(group.edits);
            self.pending.spawn(finish(storing, socket, group.packets));
        }
    }

    /// By our address on the interface, of those that are in a network of the cluster that has IPv6: addresses come and go.
    fn find_policy(&mut self) {
        let cluster = Arc::clone(&self.site.cluster.borrow());
        let interface = &self.server.interface;
        let own = cluster.own_addresses().iter().filter(|(_, known)| *known == interface);
        let own = own.filter_map(|(address, _)| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        });
        let served: Vec<Ipv6Addr> =
            own.filter(|own| cluster.network_of(IpAddr::V6(*own)).is_some()).collect();
        let is_controllers = |address: &&Ipv6Addr| {
            let mut controllers = cluster.controllers().values();
            controllers.any(|controller| controller.addresses.ipv6 == Some(**address))
        };
        let server = served.iter().find(is_controllers).or(served.first()).copied();
        if server == self.policy.as_ref().map(|policy| policy.server) {
            return;
        }
        let Server { settings, duid, .. } = &self.server;
        self.policy = server.map(|server| Policy {
            server,
            duid: duid.clone(),
            url: (settings.url)(server),
            lease_seconds: settings.lease_seconds,
            strangers_lease_seconds: settings.strangers_lease_seconds,
            peers: Arc::clone(&self.site.peers.borrow()),
        });
        if let Some(address) = server {
            tracing::info!(interface, %address, "DHCPv6 answers here");
        }
    }

    fn act(
        &mut self,
        decision: Decision,
        request: &Request,
        to: SocketAddr,
        group: &mut Group,
        now: u64,
    ) {
        let (interface, kind) = (&self.server.interface, request.kind.word());
        match decision {
            Decision::Ignore(reason) => {
                tracing::debug!(source = %request.source, kind, interface, reason, "DHCPv6 is silent");
            }
            Decision::Unserved(reason) => {
                if self.told.is_new(reason.clone(), now, MINUTE) {
                    tracing::warn!(source = %request.source, kind, interface, reason, "DHCPv6 cannot serve a machine");
                }
            }
            Decision::Answer(answer) => {
                let Answer { message, kind: given, mac, address, lease, remark } = *answer;
                let shown = address.map(|address| address.to_string()).unwrap_or_default();
                tracing::info!(%mac, kind, interface, address = shown, answer = given.word(), "DHCPv6");
                self.site.counters.count(Fate::Sent, Counted::V6(given));
                if let Some(remark) = remark
                    && self.told.is_new(format!("{mac} {remark}"), now, DAY)
                {
                    tracing::warn!(%mac, interface, remark, "DHCPv6");
                }
                match lease {
                    Some(lease) => {
                        let address = lease.address;
                        group.edits.push((address, Some(lease)));
                        group.packets.push((address, message, to));
                    }
                    None => send(&self.server.socket, &message, to),
                }
            }
        }
    }
}

/// A request, with the card that it came from where that can be known, and where its answer goes: machines listen at their own port, relays
/// at ours (RFC 8415, section 7.2).
fn asked(bytes: &[u8], from: SocketAddrV6, tap: Option<&mut Tap<Exchange>>) -> Option<Asked> {
    let plain = Request::read(bytes, *from.ip(), None)?;
    let is_relayed = plain.is_relayed();
    // Machines ask from their own port, and relays from ours. Any user may send from a higher one, and give back what is another's.
    if from.port() != if is_relayed { SERVER_PORT } else { CLIENT_PORT } {
        return None;
    }
    let exchange = Exchange { source: *from.ip(), transaction: plain.transaction() };
    let seen = tap.filter(|_| !is_relayed).map(|tap| tap.frame_of(exchange));
    let mut request = match seen.flatten().and_then(|seen| seen.card) {
        Some(card) => Request::read(bytes, *from.ip(), Some(card))?,
        None => plain,
    };
    request.is_missed = seen.is_some_and(|seen| seen.is_none());
    let port = if is_relayed { SERVER_PORT } else { CLIENT_PORT };
    let to = SocketAddrV6::new(*from.ip(), port, 0, from.scope_id());
    Some(Asked { request, to: to.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ports_that_users_do_not_have_are_heard_and_answers_go_where_it_is_listened() {
        let solicit = [1, 0, 0, 1];
        let mut relayed = vec![12, 0];
        relayed.extend([0; 32]);
        relayed.extend([0, 9, 0, 4]);
        relayed.extend(solicit);
        let to = |bytes: &[u8], port| {
            let from = SocketAddrV6::new("fe80::1".parse().unwrap(), port, 0, 3);
            asked(bytes, from, None).map(|asked| asked.to.to_string())
        };
        assert_eq!(to(&solicit, 546).as_deref(), Some("[fe80::1%3]:546"));
        assert_eq!(to(&relayed, 547).as_deref(), Some("[fe80::1%3]:547"));
        for port in [547, 1024, 40_000] {
            assert_eq!(to(&solicit, port), None, "{port}");
        }
        for port in [546, 1024, 40_000] {
            assert_eq!(to(&relayed, port), None, "{port}");
        }
    }
}
