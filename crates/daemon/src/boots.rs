//! Which boots are expected, and which machine a node's secrets were given to.
//!
//! A *window* is the time in which a boot of a node is expected. Evidence opens it; a success of the installation closes it. Only inside a
//! window is a ticket given. An *exchange* is the one use of a ticket: it binds the boot to a key that the machine made, and to an address.
//!
//! Times are steady: milliseconds since 1970 as the clock was when the daemon started, counted on without looking at the clock again. A
//! clock that is set neither closes windows nor keeps them open. Over a restart, a window is never longer than it would be anew.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use perilune_boards::{Board, Durability, Rules, Unreadable, Update, Writer};
use perilune_model::Name;
use perilune_seal::PublicKey;
use perilune_store::{Store, Table};
use serde::{Deserialize, Serialize};

use crate::clock;

/// From firmware's request for an address to the exchange of the ticket: kernel and initramfs are fetched meanwhile, in a storm of boots
/// by thousands at once.
pub const WINDOW: Duration = Duration::from_mins(30);
/// As long as an administrator may allow boots in advance.
pub const LONGEST_ARMED: Duration = Duration::from_hours(24);
/// A token is good for so long after its node reported success: the answer to that report may get lost, and it is repeated.
const AFTER_SUCCESS: u64 = 60_000;
/// Nodes whose windows and exchanges are remembered; beyond, what did not change for longest is forgotten.
const RULES: Rules = Rules { keys: 200_000, changes: 1024 };
/// Evidence that comes again within this part of a window does not make it longer: firmware asks several times for each boot.
const SAME: u64 = 60_000;

/// Why a boot is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// The machine's firmware asked for an address, in a way that no user of a machine can.
    Dhcp,
    /// The BMC confirmed that the machine begins to run.
    Power,
    /// An administrator allowed it.
    Arm,
    /// The request for the boot script came from the node's own address. Weak: any user of the node can make it.
    Search,
}

impl Evidence {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Dhcp, Self::Power, Self::Arm, Self::Search];

    /// The word of the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Power => "power",
            Self::Arm => "arm",
            Self::Search => "search",
        }
    }
}

/// The time in which a boot of a node is expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When it was opened, and when it ends by itself: steady milliseconds.
    pub opened: u64,
    /// See `opened`.
    pub until: u64,
    /// The last evidence that counted.
    pub evidence: Evidence,
    /// The address that firmware chose, when it was seen to.
    pub chosen: Option<IpAddr>,
}

/// The use of a ticket: who was given a node's token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Names the boot; the token says it.
    pub boot: String,
    /// When the ticket was made: steady milliseconds. A ticket that was made earlier is worthless.
    pub begun: u64,
    /// What answers are sealed to; none for installers that have no key.
    pub key: Option<PublicKey>,
    /// Where the token is good from.
    pub address: IpAddr,
    /// The archive that is installed.
    pub archive: Option<String>,
    /// When it was exchanged: steady seconds, as the token has it.
    pub at: u64,
    /// When the node reported success: steady milliseconds.
    pub succeeded: Option<u64>,
}

/// Why a ticket is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another machine used it, or this one with another key.
    #[error(
        "this ticket was used already, with another key or from another address; boot the machine again"
    )]
    Used,
    /// A later boot of the node was served.
    #[error("a later boot of this node was served; boot the machine again")]
    Superseded,
    /// The installation was completed.
    #[error("this boot has been completed; boot the machine again to install it anew")]
    Over,
}

/// Windows and exchanges; clones share them.
#[derive(Debug, Clone)]
pub struct Boots {
    windows: Board<Name, Window>,
    exchanges: Board<Name, Exchange>,
    accepted: Arc<BTreeSet<Evidence>>,
    clock: SteadyClock,
}

/// What stores them.
pub struct Writers {
    windows: Writer<Name, Window>,
    exchanges: Writer<Name, Exchange>,
}

/// A clock that nobody can set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SteadyClock {
    started: Instant,
    at: u64,
}

impl SteadyClock {
    pub(crate) fn start(now: u64) -> Self {
        Self { started: Instant::now(), at: now }
    }

    /// Steady milliseconds.
    pub(crate) fn now(&self) -> u64 {
        self.at.saturating_add(milliseconds(self.started.elapsed()))
    }
}

impl Writers {
    /// Runs until nothing is left to store.
    pub async fn run(self) {
        tokio::join!(self.windows.run(), self.exchanges.run());
    }
}

impl Boots {
    /// Those of before, what stores new ones, and what could not be read.
    pub async fn open(
        store: &Store,
        accepted: BTreeSet<Evidence>,
    ) -> Result<(Self, Writers, Vec<Unreadable>), perilune_store::Error> {
        let key = |text: &str| Some(Name::trusted(text));
        // Another controller may be asked for the script a moment after this one saw the firmware.
        let at_once = if store.is_shared() { Durability::BeforeAnswer } else { Durability::Behind };
        let (windows, windows_writer, mut unreadable) =
            Board::open(store, Table::BootWindows, key, at_once, RULES).await?;
        let (exchanges, exchanges_writer, others) =
            Board::open(store, Table::Boots, key, Durability::BeforeAnswer, RULES).await?;
        unreadable.extend(others);
        // With a clock that was set back between two lives of the daemon, every boot from now on would be earlier than the last one.
        let end = |exchange: &Exchange| exchange.begun.max(exchange.succeeded.unwrap_or(0));
        let last = exchanges.snapshot().iter().map(|(_, exchange)| end(exchange)).max();
        let last = last.map_or(0, |last| last.saturating_add(1));
        // Controllers must agree about what is earlier.
        let now = store.now().await?.unwrap_or_else(clock::milliseconds);
        let clock = SteadyClock::start(now.max(last));
        let boots = Self { windows, exchanges, accepted: Arc::new(accepted), clock };
        boots.shorten();
        let writers = Writers { windows: windows_writer, exchanges: exchanges_writer };
        Ok((boots, writers, unreadable))
    }

    /// A clock that was set back between two lives of the daemon must not keep windows open.
    fn shorten(&self) {
        let now = self.clock.now();
        self.windows.update_all(|_, window| {
            let length =
                window.until.saturating_sub(window.opened).min(milliseconds(LONGEST_ARMED));
            match window.until.min(now.saturating_add(length)) {
                until if until <= now => Update::Remove,
                until if until == window.until => Update::Keep,
                until => Update::Put(Window { until, opened: now, ..Window::clone(window) }),
            }
        });
    }

    /// Whether this kind of evidence counts here.
    pub fn accepts(&self, evidence: Evidence) -> bool {
        self.accepted.contains(&evidence)
    }

    /// What counts here.
    pub fn accepted(&self) -> &BTreeSet<Evidence> {
        &self.accepted
    }

    /// Notes evidence that a node boots; answers whether it counts.
    pub fn expect(&self, node: &Name, evidence: Evidence, chosen: Option<IpAddr>) -> bool {
        self.expect_for(node, evidence, chosen, WINDOW)
    }

    /// The same, for a time.
    pub fn expect_for(
        &self,
        node: &Name,
        evidence: Evidence,
        chosen: Option<IpAddr>,
        length: Duration,
    ) -> bool {
        if !self.accepts(evidence) {
            return false;
        }
        let now = self.clock.now();
        let until = now.saturating_add(milliseconds(length));
        self.windows.update(node, |known| {
            let known = known.filter(|known| known.until > now);
            let Some(known) = known else {
                return Update::Put(Window { opened: now, until, evidence, chosen });
            };
            let chosen = chosen.or(known.chosen);
            if chosen == known.chosen && until < known.until.saturating_add(SAME) {
                return Update::Keep;
            }
            // What is stronger stays: a user's request must not make a window weaker than it is.
            let evidence = evidence.min(known.evidence);
            Update::Put(Window { opened: now, until: until.max(known.until), evidence, chosen })
        });
        true
    }

    /// The window of a node, while it is open.
    pub fn window(&self, node: &str) -> Option<Arc<Window>> {
        let now = self.clock.now();
        self.windows.get(node).filter(|window| window.until > now)
    }

    /// The same, and where there is none, what other controllers have seen by now.
    pub async fn window_anywhere(&self, node: &str) -> Option<Arc<Window>> {
        if let Some(window) = self.window(node) {
            return Some(window);
        }
        self.windows.look().await;
        self.window(node)
    }

    /// Returns when what other controllers have noted of boots before this was called is known here.
    pub async fn look(&self) {
        tokio::join!(self.windows.look(), self.exchanges.look());
    }

    /// Every window that is open, with what is left of each.
    pub fn open_windows(&self) -> Vec<(Name, Arc<Window>, Duration)> {
        let now = self.clock.now();
        let windows = self.windows.snapshot();
        let open = windows.iter().filter(|(_, window)| window.until > now);
        open.map(|(name, window)| {
            let left = Duration::from_millis(window.until.saturating_sub(now));
            (name.clone(), Arc::clone(window), left)
        })
        .collect()
    }

    /// Ends what an administrator allowed. Stored when it returns: a daemon that dies must not find the windows open again.
    pub async fn close(&self, nodes: &[Name]) -> Result<(), perilune_boards::Error> {
        self.windows.update_each_stored(nodes, |_, _| Update::Remove).await.map(drop)
    }

    /// Steady milliseconds.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Uses a ticket; the same machine may use it again, since answers get lost. Stored when it returns.
    pub async fn exchange(
        &self,
        node: &Name,
        wanted: Exchange,
    ) -> Result<Result<Arc<Exchange>, Refusal>, perilune_boards::Error> {
        let mut refusal = None;
        let decide = |known: Option<&Arc<Exchange>>| {
            refusal = None;
            match known.map(|known| known.judge(&wanted)) {
                Some(Ok(true)) => Update::Keep,
                Some(Err(reason)) => {
                    refusal = Some(reason);
                    Update::Keep
                }
                None | Some(Ok(false)) => Update::Put(wanted.clone()),
            }
        };
        self.exchanges.update_stored(node, decide).await?;
        if let Some(refusal) = refusal {
            return Ok(Err(refusal));
        }
        // Another ticket of the node may have been used in between: then this one is superseded.
        Ok(self.exchange_of(node.as_str(), &wanted.boot).ok_or(Refusal::Superseded))
    }

    /// Returns when the exchange that is shown of a node is stored.
    pub(crate) async fn stored_now(&self, node: &Name) -> Result<(), perilune_boards::Error> {
        self.exchanges.stored_now(node).await
    }

    /// The exchange of this very boot, while its token is good.
    pub fn exchange_of(&self, node: &str, boot: &str) -> Option<Arc<Exchange>> {
        let exchange = self.exchanges.get(node).filter(|exchange| exchange.boot == boot)?;
        let now = self.clock.now();
        let is_over = exchange.succeeded.is_some_and(|at| now > at.saturating_add(AFTER_SUCCESS));
        (!is_over).then_some(exchange)
    }

    /// The last exchange of a node, unless its boot is over.
    pub fn running(&self, node: &str) -> Option<Arc<Exchange>> {
        self.exchanges.get(node).filter(|exchange| exchange.succeeded.is_none())
    }

    /// A node is installed: its window closes, and its token is worth nothing soon. Stored when it returns.
    pub async fn succeeded(&self, node: &Name) -> Result<(), perilune_boards::Error> {
        let closed = self.windows.update_stored(node, |_| Update::Remove);
        let now = self.clock.now();
        let decide = |known: Option<&Arc<Exchange>>| match known {
            Some(known) if known.succeeded.is_none() => {
                Update::Put(Exchange { succeeded: Some(now), ..Exchange::clone(known) })
            }
            _ => Update::Keep,
        };
        tokio::try_join!(closed, self.exchanges.update_stored(node, decide)).map(drop)
    }

    /// A node has another machine now: what was given to the former one is good for nothing. Stored when it returns.
    pub async fn forget(&self, node: &Name) -> Result<(), perilune_boards::Error> {
        let closed = self.windows.update_stored(node, |_| Update::Remove);
        let gone = self.exchanges.update_stored(node, |_| Update::Remove);
        tokio::try_join!(closed, gone).map(drop)
    }

    /// A node has another name now, and boots under it.
    pub fn rename(&self, old: &str, new: &Name) {
        let former = Name::trusted(old);
        if let Some(window) = self.windows.get(old) {
            self.windows.update(new, |_| Update::Put(Window::clone(&window)));
            self.windows.update(&former, |_| Update::Remove);
        }
        // Its token names the former name, and is good for that alone: the boot is served anew.
        self.exchanges.update(&former, |_| Update::Remove);
    }
}

impl Exchange {
    /// Whether another use is this one again.
    fn judge(&self, other: &Self) -> Result<bool, Refusal> {
        if self.boot == other.boot {
            let is_same = self.key == other.key && self.address == other.address;
            return match (self.succeeded, is_same) {
                (Some(_), _) => Err(Refusal::Over),
                (None, true) => Ok(true),
                (None, false) => Err(Refusal::Used),
            };
        }
        if self.begun > other.begun { Err(Refusal::Superseded) } else { Ok(false) }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 141, 0, 1));

    fn node() -> Name {
        Name::trusted("node001")
    }

    /// Boots over a new store, and what stores them.
    async fn boots(directory: &std::path::Path, accepted: &[Evidence]) -> (Boots, JoinSet<()>) {
        let (store, _) = Store::open(directory, &directory.join("key")).unwrap();
        let (boots, writers, unreadable) =
            Boots::open(&store, accepted.iter().copied().collect()).await.unwrap();
        assert!(unreadable.is_empty());
        let mut tasks = JoinSet::new();
        tasks.spawn(writers.run());
        (boots, tasks)
    }

    fn exchange(boot: &str, begun: u64, key: Option<&PublicKey>) -> Exchange {
        Exchange {
            boot: boot.to_owned(),
            begun,
            key: key.cloned(),
            address: ADDRESS,
            archive: None,
            at: 1,
            succeeded: None,
        }
    }

    fn key() -> PublicKey {
        perilune_seal::KeyPair::generate().unwrap().public().clone()
    }

    #[tokio::test]
    async fn only_evidence_that_the_site_takes_opens_a_window() {
        let directory = tempfile::tempdir().unwrap();
        let (boots, _tasks) = boots(directory.path(), &[Evidence::Dhcp, Evidence::Arm]).await;
        assert!(!boots.expect(&node(), Evidence::Search, None));
        assert!(!boots.expect(&node(), Evidence::Power, None));
        assert_eq!(boots.window("node001"), None);
        assert!(boots.expect(&node(), Evidence::Dhcp, None));
        assert_eq!(boots.window("node001").unwrap().evidence, Evidence::Dhcp);
        assert_eq!(boots.window("node002"), None, "nobody else's");
        assert!(boots.expect_for(&node(), Evidence::Arm, None, Duration::ZERO));
        assert_eq!(boots.window("node001").unwrap().evidence, Evidence::Dhcp, "it stays open");
        boots.close(&[node()]).await.unwrap();
        assert_eq!(boots.window("node001"), None);
        assert!(boots.expect_for(&node(), Evidence::Arm, None, Duration::ZERO));
        assert_eq!(boots.window("node001"), None, "it ended at once");
    }

    #[tokio::test]
    async fn a_window_that_was_closed_stays_so_when_the_daemon_dies_at_once() {
        let directory = tempfile::tempdir().unwrap();
        {
            let (former, mut tasks) = boots(directory.path(), &Evidence::ALL).await;
            for name in ["node001", "node002", "node003"] {
                let node = Name::trusted(name);
                assert!(former.expect(&node, Evidence::Arm, None));
                former.windows.stored_now(&node).await.unwrap();
            }
            former.close(&[node()]).await.unwrap();
            former.succeeded(&Name::trusted("node002")).await.unwrap();
            former.forget(&Name::trusted("node003")).await.unwrap();
            // Nothing is stored any more, as after a kill.
            tasks.abort_all();
            while tasks.join_next().await.is_some() {}
        }
        let (boots, _tasks) = boots(directory.path(), &Evidence::ALL).await;
        assert!(boots.open_windows().is_empty());
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_between_two_lives_makes_no_boot_too_early() {
        let directory = tempfile::tempdir().unwrap();
        let tomorrow = clock::milliseconds() + 24 * 60 * 60 * 1000;
        {
            let (former, mut tasks) = boots(directory.path(), &Evidence::ALL).await;
            former.exchange(&node(), exchange("a", tomorrow, None)).await.unwrap().unwrap();
            drop(former);
            while tasks.join_next().await.is_some() {}
        }
        let (boots, _tasks) = boots(directory.path(), &Evidence::ALL).await;
        let next = exchange("b", boots.now(), None);
        boots.exchange(&node(), next).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_weaker_request_does_not_make_a_window_weaker_and_a_chosen_address_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (boots, _tasks) = boots(directory.path(), &Evidence::ALL).await;
        let chosen = Some(IpAddr::from([10, 141, 200, 7]));
        boots.expect(&node(), Evidence::Dhcp, None);
        boots.expect(&node(), Evidence::Dhcp, chosen);
        boots.expect_for(&node(), Evidence::Search, None, WINDOW * 2);
        let window = boots.window("node001").unwrap();
        assert_eq!((window.evidence, window.chosen), (Evidence::Dhcp, chosen));
    }

    #[tokio::test]
    async fn a_ticket_is_used_by_one_key_at_one_address_as_often_as_answers_get_lost() {
        let directory = tempfile::tempdir().unwrap();
        let (boots, _tasks) = boots(directory.path(), &Evidence::ALL).await;
        let (own, other) = (key(), key());
        let node = node();
        let first = exchange("a", 10, Some(&own));
        let given = boots.exchange(&node, first.clone()).await.unwrap().unwrap();
        let again = Exchange { at: 2, ..first.clone() };
        assert_eq!(boots.exchange(&node, again).await.unwrap().unwrap(), given, "the same answer");
        let of_other = exchange("a", 10, Some(&other));
        assert_eq!(boots.exchange(&node, of_other).await.unwrap(), Err(Refusal::Used));
        let without = exchange("a", 10, None);
        assert_eq!(boots.exchange(&node, without).await.unwrap(), Err(Refusal::Used));
        let elsewhere = Exchange { address: [10, 9, 9, 9].into(), ..first.clone() };
        assert_eq!(boots.exchange(&node, elsewhere).await.unwrap(), Err(Refusal::Used));
        assert_eq!(
            boots.exchange(&node, exchange("z", 9, None)).await.unwrap(),
            Err(Refusal::Superseded)
        );
        assert!(boots.exchange_of("node001", "a").is_some(), "refusals end nothing");
        boots.exchange(&node, exchange("b", 11, Some(&other))).await.unwrap().unwrap();
        assert_eq!(boots.exchange_of("node001", "a"), None, "a later boot ends the token");
        assert_eq!(boots.exchange(&node, first).await.unwrap(), Err(Refusal::Superseded));
    }

    #[tokio::test]
    async fn success_closes_the_window_and_no_old_ticket_opens_it_again() {
        let directory = tempfile::tempdir().unwrap();
        let (boots, _tasks) = boots(directory.path(), &Evidence::ALL).await;
        boots.expect(&node(), Evidence::Dhcp, None);
        boots.exchange(&node(), exchange("a", 10, None)).await.unwrap().unwrap();
        boots.succeeded(&node()).await.unwrap();
        assert_eq!(boots.window("node001"), None);
        assert_eq!(boots.running("node001"), None);
        assert!(boots.exchange_of("node001", "a").is_some(), "its report may be repeated");
        for ticket in [exchange("a", 10, None), exchange("z", 9, None)] {
            assert!(boots.exchange(&node(), ticket).await.unwrap().is_err());
        }
    }

    #[tokio::test]
    async fn windows_and_uses_of_tickets_are_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (own, other) = (key(), key());
        {
            let (former, mut tasks) = boots(directory.path(), &Evidence::ALL).await;
            former.expect(&node(), Evidence::Power, None);
            former.exchange(&node(), exchange("a", 10, Some(&own))).await.unwrap().unwrap();
            drop(former);
            while tasks.join_next().await.is_some() {}
        }
        let (boots, _tasks) = boots(directory.path(), &Evidence::ALL).await;
        assert_eq!(boots.window("node001").unwrap().evidence, Evidence::Power);
        let again = boots.exchange(&node(), exchange("a", 10, Some(&own))).await.unwrap();
        assert_eq!(again.unwrap().key, Some(own));
        let of_other = exchange("a", 10, Some(&other));
        assert_eq!(boots.exchange(&node(), of_other).await.unwrap(), Err(Refusal::Used));
    }
}
