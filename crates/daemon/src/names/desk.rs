//! What all sockets share: who may ask what, and how often strangers are told that they may not.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use perilune_dns::{
    Client, Decision, Keys, Now, Place, Question, Transfer, Transport, View, Zone, answer,
};
use tokio::sync::{Semaphore, mpsc, watch};

use super::counters::{Counters, Fate};
use super::forward::Forwarder;
use crate::clock;
use crate::config::NameSettings;
use crate::leases::Leases;

/// Messages of strangers that are looked at in a second; with a key one of them may be a secondary server's.
const READ: u32 = 2_000;
/// Strangers that are told in a second that they are refused. More hear nothing: a server that answers everybody is used against others.
const TOLD: u32 = 100;

/// Zones that are given at one moment: each is in memory as a whole, and gathering one takes a core.
const TRANSFERS: usize = 4;
/// Zones that were given, and that nobody has looked at.
const FOLLOWED: usize = 256;

/// What all sockets share.
pub(super) struct Desk {
    pub(super) settings: NameSettings,
    pub(super) keys: Keys,
    pub(super) views: watch::Receiver<Arc<View>>,
    pub(super) forwarder: Forwarder,
    leases: Leases,
    counters: Arc<Counters>,
    /// Who may gather and give a whole zone; others wait.
    pub(super) transfers: Semaphore,
    /// Tells of zones that were given; nobody listens where there is nobody to be told of changes.
    given: mpsc::Sender<Given>,
    read: Window,
    told: Window,
}

/// A zone that a secondary server was given, and the number of what it says.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) zone: Zone,
    pub(super) fingerprint: u64,
}

/// What becomes of a message.
pub(super) enum Outcome {
    /// This goes back.
    Say(Vec<u8>),
    /// Others know.
    Forward(Question, Vec<IpAddr>),
    /// A whole zone goes back.
    Transfer(Box<Transfer>),
    /// Nothing goes back.
    Nothing,
}

impl Desk {
    pub(super) fn new(
        settings: NameSettings,
        keys: Keys,
        (views, leases): (watch::Receiver<Arc<View>>, Leases),
        (forwarder, counters): (Forwarder, Arc<Counters>),
    ) -> (Self, mpsc::Receiver<Given>) {
        let (given, followed) = mpsc::channel(FOLLOWED);
        let (read, told) = (Window::default(), Window::default());
        let transfers = Semaphore::new(TRANSFERS);
        (
            Self {
                settings,
                keys,
                views,
                forwarder,
                leases,
                counters,
                transfers,
                given,
                read,
                told,
            },
            followed,
        )
    }

    /// Notes that a zone was given as it is in a view. It takes as long as gathering it.
    pub(super) fn note_given(&self, view: &View, zone: &str) {
        if let Place::Ours(zone) = view.place(zone) {
            let fingerprint = view.fingerprint(&zone);
            // Who does not follow is told nothing.
            drop(self.given.try_send(Given { zone, fingerprint }));
        }
    }

    /// The view as of now.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.views.borrow())
    }

    /// Who asks from an address.
    pub(super) fn client(&self, view: &View, address: IpAddr) -> Client {
        let cluster = view.cluster();
        let settings = &self.settings;
        let is_in =
            |networks: &[ipnet::IpNet]| networks.iter().any(|network| network.contains(&address));
        Client {
            is_served: cluster.network_of(address).is_some()
                || address.is_loopback()
                || is_in(&settings.clients)
                || cluster.own_addresses().contains_key(&address),
            is_secondary: is_in(&settings.secondaries.networks),
            is_secondary_by_key: settings.secondaries.by_key,
        }
    }

    /// What time it is.
    pub(super) fn now(&self) -> Now {
        Now { time_of_day: clock::milliseconds(), of_leases: self.leases.now() }
    }

    /// Decides on a message at this time.
    pub(super) fn decide(
        &self,
        view: &View,
        (address, transport): (IpAddr, Transport),
        bytes: &[u8],
        now: Now,
    ) -> Outcome {
        let time = now.of_leases;
        let client = self.client(view, address);
        let is_stranger = !client.is_served && !client.is_secondary;
        if is_stranger && !self.read.take(READ, time) {
            self.counters.count(Fate::Ignored);
            return Outcome::Nothing;
        }
        let (fate, outcome) = match answer(view, &self.keys, (client, transport), bytes, now) {
            Decision::Answer(told) => (Fate::Answered, Outcome::Say(told)),
            Decision::Refuse(told) => {
                let is_small = !is_stranger || told.len() <= bytes.len();
                let may = is_small && (!is_stranger || self.told.take(TOLD, time));
                if may {
                    (Fate::Refused, Outcome::Say(told))
                } else {
                    (Fate::Ignored, Outcome::Nothing)
                }
            }
            Decision::Forward(servers) => {
                (Fate::Forwarded, forward(Question::read(bytes), servers, address))
            }
            Decision::Follow { names, servers } => {
                let question = Question::read(bytes).and_then(|own| own.behind(names));
                (Fate::Forwarded, forward(question, servers, address))
            }
            Decision::Transfer(transfer) => (Fate::Transferred, Outcome::Transfer(transfer)),
            Decision::Ignore => (Fate::Ignored, Outcome::Nothing),
        };
        self.counters.count(fate);
        outcome
    }
}

/// A server that asks us what we would ask it would be asked for ever.
fn forward(question: Option<Question>, mut servers: Vec<IpAddr>, client: IpAddr) -> Outcome {
    let Some(question) = question else { return Outcome::Nothing };
    servers.retain(|server| *server != client);
    if servers.is_empty() {
        Outcome::Say(question.refused())
    } else {
        Outcome::Forward(question, servers)
    }
}

/// How much there was in this second.
#[derive(Debug, Default)]
struct Window(Mutex<(u64, u32)>);

impl Window {
    /// Whether there may be one more at this time, in milliseconds.
    fn take(&self, limit: u32, now: u64) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (second, count) = &mut *window;
        if *second != now / 1000 {
            *second = now / 1000;
            *count = 0;
        }
        *count = count.saturating_add(1);
        *count <= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_is_done_in_a_second_and_again_in_the_next() {
        let window = Window::default();
        let taken = (0..10).filter(|_| window.take(3, 5_000)).count();
        assert_eq!(taken, 3);
        assert!(!window.take(3, 5_999));
        assert!(window.take(3, 6_000));
    }
}
