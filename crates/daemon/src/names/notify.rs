//! Tells secondary servers which zones have changed (RFC 1996), again and again until they say that they heard it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use perilune_dns::{View, Zone, is_noticed, notify};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Given};
use super::forward::number;
use super::status::Names;
use crate::clock;

const PORT: u16 = 53;
/// What is changed within this time is told at once.
const QUIET: Duration = Duration::from_millis(200);
/// After a look at all zones, the next is so many times as long away: changes without end take a part of one core.
const REST: u32 = 4;
/// How long a secondary has to answer, doubled each time, and how often it is told.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES: u32 = 7;
/// Zones that one secondary is told of at one moment.
const AT_ONCE: usize = 64;
/// Sets of zones that may wait for one secondary.
const WAITING: usize = 16;

/// Follows the views and tells of what is new until `stop`.
pub(super) async fn run(
    desk: Arc<Desk>,
    names: Names,
    mut given: mpsc::Receiver<Given>,
    stop: CancellationToken,
) {
    let mut secondaries = JoinSet::new();
    let mut told = Vec::new();
    for address in desk.settings.secondaries.addresses() {
        let (sender, changed) = mpsc::channel(WAITING);
        told.push(sender);
        let desk = Arc::clone(&desk);
        let names = names.clone();
        let secondary = Secondary { desk, names, address, changed, pending: BTreeMap::new() };
        secondaries.spawn(secondary.run(stop.clone()));
    }
    if told.is_empty() {
        return;
    }
    let mut views = desk.views.clone();
    let mut known = BTreeMap::new();
    let mut revision = None;
    loop {
        let view = Arc::clone(&views.borrow_and_update());
        let begun = Instant::now();
        // What is lent has no revision, and is in no zone that is given.
        if revision != Some(view.cluster().revision()) {
            revision = Some(view.cluster().revision());
            let Ok(found) = spawn_blocking(move || fingerprints(&view)).await else { return };
            let is_new = |zone: &&Zone| known.get(*zone) != found.get(*zone);
            let changed: Arc<[Zone]> = found.keys().filter(is_new).cloned().collect();
            tell(&told, &changed);
            known = found;
        }
        let mut quiet = None;
        let rested = Instant::now() + begun.elapsed() * REST;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = views.changed(), if quiet.is_none() => match changed {
                    Ok(()) => quiet = Some(rested.max(Instant::now() + QUIET)),
                    Err(_) => return,
                },
                Some(Given { zone, fingerprint }) = given.recv() => {
                    // It was given as it was between two looks. What it says may have been taken back since, and then nothing would be new
                    // at the next look: that must tell of it in any case.
                    if known.get(&zone) != Some(&fingerprint) {
                        known.remove(&zone);
                        tell(&told, &Arc::from([zone]));
                    }
                },
                () = sleep_until(quiet.unwrap_or_else(Instant::now)), if quiet.is_some() => break,
            }
        }
    }
}

/// One that is too far behind to be told learns of changes by looking itself.
fn tell(secondaries: &[mpsc::Sender<Arc<[Zone]>>], zones: &Arc<[Zone]>) {
    for sender in secondaries.iter().filter(|_| !zones.is_empty()) {
        drop(sender.try_send(Arc::clone(zones)));
    }
}

fn fingerprints(view: &View) -> BTreeMap<Zone, u64> {
    let zones = view.zones().into_iter();
    zones
        .map(|zone| {
            let fingerprint = view.fingerprint(&zone);
            (zone, fingerprint)
        })
        .collect()
}

/// One secondary server, and what it has not heard of.
struct Secondary {
    desk: Arc<Desk>,
    names: Names,
    address: IpAddr,
    changed: mpsc::Receiver<Arc<[Zone]>>,
    pending: BTreeMap<Zone, Attempt>,
}

/// How often a zone was told, and what is waited for.
struct Attempt {
    id: u16,
    tries: u32,
    due: Instant,
}

impl Secondary {
    async fn run(mut self, stop: CancellationToken) {
        let Some(socket) = self.socket().await else { return };
        let mut buffer = [0; 512];
        loop {
            let due = self.pending.values().map(|attempt| attempt.due).min();
            tokio::select! {
                () = stop.cancelled() => return,
                zones = self.changed.recv() => match zones {
                    Some(zones) => self.add(&zones),
                    None => return,
                },
                // Nobody at the other end is an error here, and the same as silence.
                Ok(length) = socket.recv(&mut buffer) => {
                    self.noticed(buffer.get(..length).unwrap_or_default());
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.send(&socket).await;
                }
            }
        }
    }

    /// From one of our addresses that is in its network, where there is one: secondaries listen to their primary alone.
    async fn socket(&self) -> Option<UdpSocket> {
        let view = self.desk.view();
        let network = view.cluster().network_of(self.address).map(|network| network.name.clone());
        let answering = self.names.answering().unwrap_or_default();
        let beside = answering.into_iter().find(|own| {
            let of_own = view.cluster().network_of(*own).map(|network| &network.name);
            own.is_ipv4() == self.address.is_ipv4()
                && network.is_some()
                && of_own == network.as_ref()
        });
        let anywhere = if self.address.is_ipv4() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        let own = SocketAddr::new(beside.unwrap_or(anywhere), 0);
        let opened = async {
            let socket = UdpSocket::bind(own).await?;
            socket.connect((self.address, PORT)).await?;
            std::io::Result::Ok(socket)
        };
        let opened = opened.await;
        if let Err(error) = &opened {
            let secondary = self.address;
            tracing::warn!(%secondary, %error, "a secondary DNS server cannot be told of changes");
        }
        opened.ok()
    }

    fn add(&mut self, zones: &[Zone]) {
        for zone in zones {
            let attempt = Attempt { id: 0, tries: 0, due: Instant::now() };
            self.pending.insert(zone.clone(), attempt);
        }
    }

    fn noticed(&mut self, answer: &[u8]) {
        let before = self.pending.len();
        self.pending.retain(|_, attempt| attempt.tries == 0 || !is_noticed(answer, attempt.id));
        if self.pending.len() < before {
            self.names.note_secondary(self.address, None);
        }
    }

    /// Tells what is due.
    async fn send(&mut self, socket: &UdpSocket) {
        let view = self.desk.view();
        let now = Instant::now();
        let due = self.pending.iter_mut().filter(|(_, attempt)| attempt.due <= now);
        let mut silent = false;
        for (zone, attempt) in due.take(AT_ONCE) {
            attempt.tries += 1;
            if attempt.tries > TRIES {
                silent = true;
                continue;
            }
            let Ok(id) = number() else { continue };
            attempt.id = id;
            attempt.due = now + PATIENCE * 2_u32.pow(attempt.tries - 1);
            let key = self.desk.settings.keys.first();
            let message = notify(&view, zone, key, id, clock::seconds());
            // What is not sent is not answered, and sent again.
            drop(socket.send(&message).await);
        }
        self.pending.retain(|_, attempt| attempt.tries <= TRIES);
        if silent {
            let failure = format!(
                "the secondary DNS server {} does not say that it hears of changes (NOTIFY): it looks for them itself, every 15 minutes. Is named \
                 running there, and is this controller its primary?",
                self.address
            );
            tracing::warn!("{failure}");
            self.names.note_secondary(self.address, Some(failure));
        }
    }
}
