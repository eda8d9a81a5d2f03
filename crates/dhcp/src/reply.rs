//! What a machine is answered.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use perilune_model::network::Network;
use perilune_model::{Cluster, Family, Kind as ObjectKind, MacAddress};

use crate::answer::{self, Subject};
use crate::leases::{Lease, Leases, Source};
use crate::network::{self, Asker, Reservation};
use crate::peers::Peers;
use crate::request::{Kind, Request};

/// How the server answers on one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Our address on the interface.
    pub server: Ipv4Addr,
    /// Where boot scripts and files are fetched: `http://ADDRESS:PORT`.
    pub url: String,
    /// Where the API is: for switches that are to fetch by https.
    pub api_url: String,
    /// How long addresses are lent to nodes, in seconds.
    pub lease_seconds: u32,
    /// How long they are lent to strangers: so long does one who takes what he can get keep it from others.
    pub strangers_lease_seconds: u32,
    /// The controllers that answer together.
    pub peers: Arc<Peers>,
}

/// A machine that is no node's asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The machine.
    pub mac: MacAddress,
    /// The address that it was given.
    pub address: Option<IpAddr>,
    /// What its firmware calls itself.
    pub vendor_class: Option<String>,
    /// Whether its frames come from the card that it says it is.
    pub is_confirmed: bool,
}

/// An answer and what must be stored before it is sent.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The packet.
    pub packet: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The address that it gives; none is `0.0.0.0`.
    pub address: IpAddr,
    /// Where it goes.
    pub to: SocketAddrV4,
    /// The lease that it gives.
    pub lease: Option<Lease>,
    /// What the machine's firmware is called, when it boots from the network and there is no program for it.
    pub missing_program: Option<String>,
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
    /// The lease of this address is over.
    Forget(IpAddr),
}

/// Decides about a request. `now` is in milliseconds, on a clock that never jumps.
pub fn reply(
    cluster: &Cluster,
    leases: &mut Leases,
    policy: &Policy,
    request: &Request,
    now: u64,
) -> (Decision, Option<Sighting>) {
    let Some(network) = network::of(cluster, policy, request) else {
        return (Decision::Ignore("it asks in a network that is not described"), None);
    };
    leases.settle(now);
    let is_node = cluster.node_by_mac(request.mac).is_some();
    let case = Case {
        source: if is_node { Source::Node } else { request.source() },
        cluster,
        network,
        policy,
        request,
        now,
        reservation: network::reservation(cluster, network, request.mac, Family::V4),
        asker: Asker::new(policy, request),
    };
    let decision = match request.kind {
        _ if !network.dhcp => Decision::Ignore("DHCP is off for its network"),
        Kind::Discover => case.discover(leases),
        Kind::Request => case.request(leases),
        Kind::Inform => case.answer(Kind::Ack, None, None),
        Kind::Release => case.release(leases),
        Kind::Decline => case.decline(leases),
        _ => Decision::Ignore("it is not for a server"),
    };
    let is_described = is_node || cluster.device_by_mac(request.mac).is_some();
    let sighting = (!is_described).then(|| Sighting {
        mac: request.mac,
        address: leases.of(request.mac, Family::V4),
        vendor_class: request.vendor_class(),
        is_confirmed: request.card == Some(request.mac),
    });
    (decision, sighting)
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
    fn discover(&self, leases: &mut Leases) -> Decision {
        if let Some(reservation) = &self.reservation {
            return self.answer(Kind::Offer, Some(reservation.address), None);
        }
        let (asker, source) = (&self.asker, &self.source);
        let place = network::Place {
            cluster: self.cluster,
            network: self.network,
            peers: &self.policy.peers,
        };
        match network::choose(place, leases, asker, source, self.now) {
            Some(address) => {
                leases.offer(address, asker.mac, self.source.clone(), self.now);
                self.answer(Kind::Offer, Some(address), None)
            }
            None => self.without_address(),
        }
    }

    fn without_address(&self) -> Decision {
        let source = (self.request.mac, &self.source);
        network::unserved(self.cluster, self.network, source, Family::V4).map_or(
            Decision::Ignore("it is not ours, and nothing is lent here"),
            Decision::Unserved,
        )
    }

    /// RFC 2131, section 4.3.2.
    fn request(&self, leases: &mut Leases) -> Decision {
        let chosen = self.request.server();
        if chosen.is_some_and(|server| server != self.policy.server) {
            if let Some(offered) = leases
                .of(self.request.mac, Family::V4)
                .filter(|offered| !leases.is_lent(*offered, self.request.mac, self.now))
            {
                leases.release(offered, self.request.mac);
            }
            return Decision::Ignore("it has chosen another server");
        }
        let wanted = self.request.wanted().or_else(|| self.request.current());
        let Some(wanted) = wanted.map(IpAddr::V4) else {
            return Decision::Ignore("it does not say which address it wants");
        };
        if let Some(reservation) = &self.reservation {
            return if wanted == reservation.address {
                if let Some(former) = leases.of(self.request.mac, Family::V4) {
                    leases.release(former, self.request.mac);
                }
                self.answer(Kind::Ack, Some(wanted), None)
            } else {
                self.refuse("another address is reserved for this machine")
            };
        }
        self.request_dynamic(leases, wanted, chosen.is_some())
    }

    fn request_dynamic(&self, leases: &mut Leases, wanted: IpAddr, chosen: bool) -> Decision {
        let mac = self.request.mac;
        let inside = self.network.contains(wanted);
        let dynamic = network::is_dynamic(self.network, wanted);
        let free = leases.is_free(wanted, mac, self.now)
            && network::may_be_lent(self.cluster, self.network, &self.asker, wanted);
        let known = leases.of(mac, Family::V4) == Some(wanted);
        if let Some(range) = network::range(self.network, Family::V4).filter(|_| dynamic && free)
            && !leases.is_held_by(wanted, mac, self.now)
            && !leases.has_room(self.cluster, &self.network.name, &range, &self.source)
        {
            return self.without_address();
        }
        match (dynamic && free, inside) {
            // One that we do not know may have its address from before our time: it keeps it when it is free.
            (true, _) if known || chosen || self.request.current().is_some() => {
                let until = self.now + u64::from(self.lease_seconds()) * 1000;
                let (source, name) = (self.source.clone(), self.request.name());
                let lease = Lease { address: wanted, mac, until, source, name };
                let lease = leases.lend_again(lease, self.now);
                self.answer(Kind::Ack, Some(wanted), Some(lease))
            }
            (true, _) => Decision::Ignore("it wants an address of which nothing is known here"),
            // Where nothing is lent, strangers are somebody else's business.
            _ if self.network.lent_range(Family::V4).is_none()
                && self.cluster.node_by_mac(mac).is_none() =>
            {
                Decision::Ignore("it is not ours, and nothing is lent here")
            }
            (false, true) => self.refuse("the address is not free"),
            (false, false) => self.refuse("the address is of another network"),
        }
    }

    fn release(&self, leases: &mut Leases) -> Decision {
        let current = self.request.current().map(IpAddr::V4);
        match current.filter(|address| leases.release(*address, self.request.mac)) {
            Some(address) => Decision::Forget(address),
            None => Decision::Ignore("it releases what it does not have"),
        }
    }

    fn decline(&self, leases: &mut Leases) -> Decision {
        let wanted = self.asker.wanted;
        let own = self.reservation.as_ref().filter(|own| wanted == Some(own.address));
        if let Some(Reservation { kind, name, address, .. }) = own {
            return Decision::Unserved(format!(
                "{kind} {name} found its address {address} in use by another machine; find that one, or give the {kind} another"
            ));
        }
        let declined = wanted.zip(network::range(self.network, Family::V4));
        let declined = declined.filter(|(address, range)| range.contains(address));
        match declined
            .filter(|(address, _)| leases.of(self.request.mac, Family::V4) == Some(*address))
        {
            Some((address, range)) => {
                leases.decline(address, &range, self.now);
                Decision::Forget(address)
            }
            None => Decision::Ignore("it declines what it was not given"),
        }
    }

    fn answer(&self, kind: Kind, address: Option<IpAddr>, lease: Option<Lease>) -> Decision {
        let network = match &self.reservation {
            Some(reservation) => reservation.network,
            None => self.network,
        };
        let node = self.cluster.node_by_mac(self.request.mac);
        let device = self.cluster.device_by_mac(self.request.mac).filter(|_| node.is_none());
        let switch = device.filter(|(kind, _)| *kind == ObjectKind::Switch);
        let switch = switch.and_then(|(_, name)| self.cluster.switches().get(name));
        let subject = Subject {
            cluster: self.cluster,
            network,
            node: node.map(|(node, interface)| (&**node, interface)),
            switch: switch.map(|switch| &**switch),
            device: device.map(|(_, name)| name),
            policy: self.policy,
        };
        let seconds =
            lease.as_ref().map_or(self.lease_seconds(), |lease| lease.seconds_left(self.now));
        let address = address.map(|address| (address, seconds));
        Decision::Answer(Box::new(Answer {
            lease,
            ..answer::give(&subject, self.request, kind, address)
        }))
    }

    fn lease_seconds(&self) -> u32 {
        if self.source.is_node() || self.reservation.is_some() {
            self.policy.lease_seconds
        } else {
            self.policy.strangers_lease_seconds
        }
    }

    fn refuse(&self, reason: &str) -> Decision {
        Decision::Answer(Box::new(answer::refuse(self.policy, self.request, reason)))
    }
}
