//! The server for IPv6 on an interface. It shares leases, their storage, the order of answers and the loop around them with the server for
//! IPv4.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use perilune_model::interface::BMC_INTERFACE;
use perilune_model::{Cluster, Family, MacAddress, Name};
use socket2::{Domain, Protocol, Socket, Type};
use tokio_util::sync::CancellationToken;

use super::exchange::Exchange;
use super::message::Kind;
use super::observe::{CLIENT_PORT, SERVER_PORT};
use super::reply::{Answer, Decision, Policy, reply};
use super::request::Request;
use crate::counters::{Counted, Fate};
use crate::leases::{Edit, Leases};
use crate::queue::{Line, Waits};
use crate::site::Site;
use crate::tap::Tap;
use crate::turns::{self, Counter, DAY, Group, MINUTE, Moment};

/// All servers and relays of a link, and all servers of a site (RFC 8415, section 7.1).
const ALL_OF_LINK: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3);
/// How often it is looked which addresses we have.
const LOOK: Duration = Duration::from_secs(5);

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
    socket: Socket,
    interface: String,
    duid: Vec<u8>,
    settings: Settings,
    tap: Option<Tap<Exchange>>,
}

impl Server {
    /// Takes the port on an interface.
    pub fn bind(interface: &str, settings: Settings) -> io::Result<Self> {
        let index = if_nametoindex(interface)?;
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_only_v6(true)?;
        socket.set_reuse_address(true)?;
        turns::prepare(&socket)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, SERVER_PORT)).into())?;
        socket.join_multicast_v6(&ALL_OF_LINK, index)?;
        socket.join_multicast_v6(&ALL_SERVERS, index)?;
        let tap = Tap::open(interface).inspect_err(|error| {
            tracing::info!(interface, %error, "DHCPv6 cannot tell which card a frame came from");
        });
        let duid = duid(interface)?;
        Ok(Self { socket, interface: interface.to_owned(), duid, settings, tap: tap.ok() })
    }

    /// Serves until `stop`.
    pub async fn run(self, site: Site, stop: CancellationToken) {
        let Self { socket, interface, duid, settings, tap } = self;
        let counter = Counter::new(socket.into(), interface, site);
        let desk = Desk { counter, duid, settings, tap, policy: None, looked: None };
        turns::run(desk, stop).await;
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
    counter: Counter<Asked>,
    duid: Vec<u8>,
    settings: Settings,
    tap: Option<Tap<Exchange>>,
    policy: Option<Policy>,
    /// When it was looked which addresses we have.
    looked: Option<Instant>,
}

impl turns::Desk for Desk {
    type Request = Asked;
    const PROTOCOL: &'static str = "DHCPv6";

    fn counter(&mut self) -> &mut Counter<Asked> {
        &mut self.counter
    }

    fn admit(&mut self, bytes: &[u8], from: SocketAddr, now: &Moment<'_>, leases: &Leases) {
        let SocketAddr::V6(from) = from else { return };
        let Some(mut asked) = asked(bytes, from, self.tap.as_mut()) else {
            let (interface, length) = (&self.counter.interface, bytes.len());
            tracing::debug!(interface, length, "not a DHCPv6 request");
            return;
        };
        let cards = self.cards_of(now.cluster, asked.request.machine_number());
        asked.request.may_be_of(cards);
        let (kind, mac) = (asked.request.kind, asked.machine());
        let mut own = asked.request.candidates.iter();
        let is_node = own.clone().any(|mac| now.cluster.node_by_mac(*mac).is_some());
        let has_address = own.any(|mac| leases.of(*mac, Family::V6).is_some());
        let line = Line::of(is_node, kind == Kind::Solicit, has_address);
        let counters = &self.counter.site.counters;
        counters.count(Fate::Heard, Counted::V6(kind));
        if !self.counter.queue.push(line, asked, now.now) {
            counters.count(Fate::Shed, Counted::V6(kind));
            tracing::debug!(%mac, ?line, "DHCPv6 is busy; this machine must ask again");
        }
    }

    fn answer(
        &mut self,
        Asked { request, to }: Asked,
        now: &Moment<'_>,
        leases: &mut Leases,
        group: &mut Group,
    ) {
        let Counter { interface, site, heard, .. } = &mut self.counter;
        let Some(policy) = &mut self.policy else {
            tracing::debug!(
                interface,
                "DHCPv6 is silent: we have no address of a network of the cluster here"
            );
            return;
        };
        policy.peers = Arc::clone(&site.peers.borrow());
        let looks = request.kind == Kind::Solicit;
        let mac = request.candidates.first().copied();
        if mac.is_some_and(|mac| looks && heard.leaves(&policy.peers, mac, now.now)) {
            tracing::debug!("DHCPv6 leaves a machine to a controller that is not behind");
            return;
        }
        let (decision, sighting) = reply(now.cluster, leases, policy, &request, now.now);
        group.edits.extend(leases.take_over());
        if let Some(sighting) = sighting {
            // Nobody must wait for a list of strangers.
            drop(site.sightings.try_send(sighting));
        }
        self.act(decision, &request, to, group, now.now);
    }

    fn look(&mut self) {
        // Followers of the cluster are not told that addresses of this host come and go.
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.looked = Some(Instant::now());
            self.find_policy();
        }
    }
}

impl Desk {
    /// The cards of the node whose machine has this number.
    fn cards_of(&self, cluster: &Cluster, number: Option<[u8; 16]>) -> Vec<MacAddress> {
        let node = number.and_then(|number| (self.settings.node_of)(number));
        let node = node.and_then(|name| cluster.nodes().get(&name));
        let interfaces = node.into_iter().flat_map(|node| &node.interfaces);
        // A BMC has a system of its own, which does not know the number of the machine.
        let own = interfaces.filter(|interface| interface.name.as_str() != BMC_INTERFACE);
        own.filter_map(|interface| interface.macaddress).collect()
    }

    /// By our address on the interface, of those that are in a network of the cluster that has IPv6: addresses come and go.
    fn find_policy(&mut self) {
        let Counter { site, interface, .. } = &self.counter;
        let cluster = Arc::clone(&site.cluster.borrow());
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
        let Self { settings, duid, .. } = self;
        self.policy = server.map(|server| Policy {
            server,
            duid: duid.clone(),
            url: (settings.url)(server),
            lease_seconds: settings.lease_seconds,
            strangers_lease_seconds: settings.strangers_lease_seconds,
            peers: Arc::clone(&site.peers.borrow()),
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
        let Counter { interface, told, site, .. } = &mut self.counter;
        let kind = request.kind.word();
        match decision {
            Decision::Ignore(reason) => {
                tracing::debug!(source = %request.source, kind, interface, reason, "DHCPv6 is silent");
            }
            Decision::Unserved(reason) => {
                if told.is_new(reason.clone(), now, MINUTE) {
                    tracing::warn!(source = %request.source, kind, interface, reason, "DHCPv6 cannot serve a machine");
                }
            }
            Decision::Answer(answer) => {
                let Answer { message, kind: given, mac, address, lease, remark } = *answer;
                let shown = address.map(|address| address.to_string()).unwrap_or_default();
                tracing::info!(%mac, kind, interface, address = shown, answer = given.word(), "DHCPv6");
                site.counters.count(Fate::Sent, Counted::V6(given));
                if let Some(remark) = remark
                    && told.is_new(format!("{mac} {remark}"), now, DAY)
                {
                    tracing::warn!(%mac, interface, remark, "DHCPv6");
                }
                match lease {
                    Some(lease) => {
                        let address = lease.address;
                        group.edits.push(Edit::Lent(lease));
                        group.promised.push((address, message, to));
                    }
                    None => group.said.push((message, to)),
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
