//! What a machine is answered.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use perilune_model::network::Network;
use perilune_model::{Cluster, Family, MacAddress};

use super::answer::{self, Given, Subject};
use super::identity;
use super::message::Kind;
use super::options::code;
use super::request::Request;
use crate::leases::{Lease, Leases, Source};
use crate::network::{self, Asker, Reservation};
use crate::peers::Peers;
use crate::reply::Sighting;

/// How the server answers on one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Our address there, in a network of the cluster.
    pub server: Ipv6Addr,
    /// By what machines tell us from other servers (RFC 8415, section 11).
    pub duid: Vec<u8>,
    /// Where boot scripts and files are fetched: `http://[ADDRESS]:PORT`.
    pub url: String,
    /// How long addresses are lent to nodes, in seconds.
    pub lease_seconds: u32,
    /// How long they are lent to strangers.
    pub strangers_lease_seconds: u32,
    /// The controllers that answer together.
    pub peers: Arc<Peers>,
}

/// An answer and what must be stored before it is sent.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The message, wrapped for the relays that the request came through.
    pub message: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The machine.
    pub mac: MacAddress,
    /// The address that it gives.
    pub address: Option<Ipv6Addr>,
    /// The lease that it gives.
    pub lease: Option<Lease>,
    /// What somebody should know of the machine, and mend.
    pub remark: Option<String>,
}

/// What is to be done about a request.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Nothing, and why.
    Ignore(&'static str),
    /// Nothing, and somebody must mend what keeps the machine from being served.
    Unserved(String),
    /// An answer.
    Answer(Box<Answer>),
}

/// Decides about a request. `now` is in milliseconds, on a clock that never jumps.
pub fn reply(
    cluster: &Cluster,
    leases: &mut Leases,
    policy: &Policy,
    request: &Request,
    now: u64,
) -> (Decision, Option<Sighting>) {
    let Some(network) = network_of(cluster, policy, request) else {
        return (Decision::Ignore("it asks in a network that is not described"), None);
    };
    if !network.dhcp || network.ipv6.is_none() {
        return (Decision::Ignore("DHCP is off for its network"), None);
    }
    leases.settle(now);
    let mac = identity::chosen(cluster, network, &request.candidates);
    let Some(mac) = mac else {
        return (nameless(request), None);
    };
    let is_node = cluster.node_by_mac(mac).is_some();
    let reservation = network::reservation(cluster, network, mac, Family::V6);
    let asker = Asker {
        mac,
        wanted: request.wanted().map(IpAddr::V6),
        relay: request.is_relayed().then_some(IpAddr::V6(request.source)),
        server: policy.server.into(),
    };
    let source = if is_node { Source::Node } else { request.source_of() };
    let case = Case { cluster, network, policy, request, now, reservation, source, asker };
    let decision = case.decide(leases);
    let is_described = is_node || cluster.device_by_mac(mac).is_some();
    let sighting = (!is_described).then(|| Sighting {
        mac,
        address: leases.of(mac, Family::V6),
        vendor_class: request.vendor_class(),
        is_confirmed: request.card == Some(mac),
    });
    (decision, sighting)
}

/// The network that a machine asks in.
fn network_of<'a>(
    cluster: &'a Cluster,
    policy: &Policy,
    request: &Request,
) -> Option<&'a Arc<Network>> {
    if !request.is_relayed() {
        return cluster.network_of(policy.server.into());
    }
    let link = request.link();
    let behind = request.relays().find_map(|relay| cluster.network_behind(relay, link));
    behind.or_else(|| cluster.network_of(link?))
}

fn nameless(request: &Request) -> Decision {
    if request.kind == Kind::InformationRequest {
        return Decision::Ignore("it asks for no address, and does not say who it is");
    }
    let hint = if request.is_relayed() {
        "let its relay add the client's link-layer address (option 79, RFC 6939), or the machine show a DUID of its card"
    } else {
        "let the machine show a DUID of its card (DUID-LL or DUID-LLT)"
    };
    Decision::Unserved(format!(
        "a machine asks by DHCPv6, and nothing tells the hardware address of its interface: {hint}"
    ))
}

struct Case<'a> {
    cluster: &'a Cluster,
    network: &'a Arc<Network>,
    policy: &'a Policy,
    request: &'a Request,
    now: u64,
    reservation: Option<Reservation<'a>>,
    source: Source,
    asker: Asker,
}

impl Case<'_> {
    /// RFC 8415, sections 16 and 18.3. What names another server is for that one.
    fn decide(&self, leases: &mut Leases) -> Decision {
        let request = self.request;
        let named = request.message.option(code::SERVER_ID);
        let is_ours = named == Some(&self.policy.duid[..]);
        let has_client = request.message.option(code::CLIENT_ID).is_some();
        match request.kind {
            Kind::InformationRequest if named.is_none() || is_ours => {
                self.answer(Kind::Reply, Given::Nothing, None)
            }
            _ if !has_client => Decision::Ignore("it does not say who it is"),
            Kind::Solicit | Kind::Rebind | Kind::Confirm if named.is_some() => {
                Decision::Ignore("it names a server where none is named")
            }
            Kind::Solicit => self.solicit(leases),
            Kind::Confirm => self.confirm(),
            Kind::Request | Kind::Renew | Kind::Release | Kind::Decline if !is_ours => {
                self.leave(leases);
                Decision::Ignore("it has chosen another server")
            }
            Kind::Request => self.request(leases),
            Kind::Rebind | Kind::Renew => self.extend(leases),
            Kind::Release => self.release(leases),
            Kind::Decline => self.decline(leases),
            Kind::Advertise | Kind::Reply | Kind::InformationRequest => {
                Decision::Ignore("it is not for us")
            }
        }
    }

    /// Who takes another server's offer does not need ours.
    fn leave(&self, leases: &mut Leases) {
        let mac = self.asker.mac;
        let offered = leases.of(mac, Family::V6).filter(|_| self.request.kind == Kind::Request);
        if let Some(offered) = offered.filter(|own| !leases.is_lent(*own, mac, self.now)) {
            leases.release(offered, mac);
        }
    }

    fn solicit(&self, leases: &mut Leases) -> Decision {
        if self.request.associations.is_empty() {
            return Decision::Ignore("it asks for no address for its interface");
        }
        if self.request.message.option(code::RAPID_COMMIT).is_some() {
            return self.request(leases);
        }
        if let Some(reservation) = &self.reservation {
            return self.answer(Kind::Advertise, Given::Address(reservation.address), None);
        }
        match self.choose(leases) {
            Some(address) => {
                leases.offer(address, self.asker.mac, self.source.clone(), self.now);
                self.answer(Kind::Advertise, Given::Address(address), None)
            }
            None => self.without_address(),
        }
    }

    fn choose(&self, leases: &mut Leases) -> Option<IpAddr> {
        let (cluster, network) = (self.cluster, self.network);
        let place = network::Place { cluster, network, peers: &self.policy.peers };
        network::choose(place, leases, &self.asker, &self.source, self.now)
    }

    fn without_address(&self) -> Decision {
        let source = (self.asker.mac, &self.source);
        network::unserved(self.cluster, self.network, source, Family::V6).map_or(
            Decision::Ignore("it is not ours, and nothing is lent here"),
            Decision::Unserved,
        )
    }

    fn request(&self, leases: &mut Leases) -> Decision {
        if let Some(reservation) = &self.reservation {
            if let Some(former) = leases.of(self.asker.mac, Family::V6) {
                leases.release(former, self.asker.mac);
            }
            return self.answer(Kind::Reply, Given::Address(reservation.address), None);
        }
        match self.choose(leases) {
            Some(address) => self.lend(leases, address),
            None => self.without_address(),
        }
    }

    fn lend(&self, leases: &mut Leases, address: IpAddr) -> Decision {
        let until = self.now + u64::from(self.lease_seconds()) * 1000;
        let (source, name, mac) = (self.source.clone(), self.request.name(), self.asker.mac);
        let lease = Lease { address, mac, until, source, name };
        let lease = leases.lend_again(lease, self.now);
        self.answer(Kind::Reply, Given::Address(address), Some(lease))
    }

    /// More time, from us or from whichever server answers. An address that the machine may not have any longer ends, and it has the right one.
    fn extend(&self, leases: &mut Leases) -> Decision {
        if self.reservation.is_some() {
            return self.request(leases);
        }
        let dynamic = self.asker.wanted.filter(|own| network::is_dynamic(self.network, *own));
        let is_known = leases.of(self.asker.mac, Family::V6).is_some();
        if dynamic.is_none() && !is_known {
            return if self.request.kind == Kind::Rebind {
                Decision::Ignore("it has its address from another server")
            } else {
                self.answer(Kind::Reply, Given::NoBinding, None)
            };
        }
        match self.choose(leases) {
            Some(address) => self.lend(leases, address),
            None => self.answer(Kind::Reply, Given::NoBinding, None),
        }
    }

    fn confirm(&self) -> Decision {
        let mut addresses = self.request.associations.iter().flat_map(|own| &own.addresses);
        if self.asker.wanted.is_none() {
            return Decision::Ignore("it does not say which address it has");
        }
        let is_here = addresses.all(|own| self.network.contains(IpAddr::V6(*own)));
        let given = if is_here { Given::Done } else { Given::NotOnLink };
        self.answer(Kind::Reply, given, None)
    }

    fn release(&self, leases: &mut Leases) -> Decision {
        if let Some(address) = self.asker.wanted {
            leases.release(address, self.asker.mac);
        }
        self.answer(Kind::Reply, Given::Done, None)
    }

    fn decline(&self, leases: &mut Leases) -> Decision {
        let (wanted, mac) = (self.asker.wanted, self.asker.mac);
        let own = self.reservation.as_ref().filter(|own| wanted == Some(own.address));
        let remark = own.map(|Reservation { kind, name, address, .. }| {
            format!(
                "{kind} {name} found its address {address} in use by another machine; find that one, or give the {kind} another"
            )
        });
        let declined = wanted.zip(network::range(self.network, Family::V6));
        let declined = declined.filter(|(address, range)| range.contains(address));
        if let Some((address, range)) =
            declined.filter(|(address, _)| leases.of(mac, Family::V6) == Some(*address))
        {
            leases.decline(address, &range, self.now);
        }
        match self.answer(Kind::Reply, Given::Done, None) {
            Decision::Answer(answer) => Decision::Answer(Box::new(Answer { remark, ..*answer })),
            other => other,
        }
    }

    fn answer(&self, kind: Kind, given: Given, lease: Option<Lease>) -> Decision {
        let network = match &self.reservation {
            Some(reservation) => reservation.network,
            None => self.network,
        };
        let mac = self.asker.mac;
        let node = self.cluster.node_by_mac(mac);
        let subject = Subject {
            cluster: self.cluster,
            network,
            node: node.map(|(node, _)| &**node),
            device: self.cluster.device_by_mac(mac).map(|(_, name)| name),
            policy: self.policy,
            mac: Some(mac),
            seconds: lease
                .as_ref()
                .map_or(self.lease_seconds(), |lease| lease.seconds_left(self.now)),
        };
        let (message, missing) = answer::make(&subject, self.request, kind, given);
        let address = match given {
            Given::Address(IpAddr::V6(address)) => Some(address),
            _ => None,
        };
        let remark = missing.map(|firmware| {
            format!("a machine is given an address and no boot program: there is none for its firmware, {firmware}")
        });
        Decision::Answer(Box::new(Answer { message, kind, mac, address, lease, remark }))
    }

    fn lease_seconds(&self) -> u32 {
        if self.source.is_node() || self.reservation.is_some() {
            self.policy.lease_seconds
        } else {
            self.policy.strangers_lease_seconds
        }
    }
}
