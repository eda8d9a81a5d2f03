//! Addresses that are lent to machines: a board of leases, each stored before its machine hears of it, and beside it the table by which
//! DHCP decides, which also has what is only offered or put aside.
//!
//! What other controllers lend comes by the board, and is learnt for the table: nobody is offered what another has.
//!
//! On the board, a lease ends at a time of day, so that the next start knows when. In the table it ends on a clock that never jumps.

mod follow;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perilune_boards::{
    Board, Durability, Rules, Snapshot, Subscription, Unreadable, Update, Writer,
};
use perilune_dhcp::{Edit, Lease, Leases as LeaseTable, StoreLeases, Stored, Storing};
use perilune_model::{Family, MacAddress};
use perilune_store::{Store, Table};

use crate::boots::SteadyClock;
use crate::causes::chain;
use crate::clock;

/// How long addresses of a dynamic range are lent to nodes.
pub(crate) const LEASE_SECONDS: u32 = 8 * 60 * 60;
/// How long they are lent to strangers. They keep the address until somebody else needs it; one who takes many does not have them for long.
pub(crate) const STRANGERS_LEASE_SECONDS: u32 = 15 * 60;
/// The table has a bound of its own, which is half of this, and the board has nothing that is not in the table.
const RULES: Rules = Rules { keys: 1 << 19, changes: 4096 };

/// Addresses that are lent; clones share them.
#[derive(Debug, Clone)]
pub struct Leases {
    board: Board<IpAddr, Lease>,
    table: Arc<Mutex<LeaseTable>>,
    is_shared: bool,
    time: Time,
    /// The last change of the board that the table knows.
    learnt: Arc<Mutex<u64>>,
}

/// The time of day that ends of leases are stored in. Controllers must agree about it, or one whose clock is an hour ahead lends what others have
/// lent until then: with a shared database it is that one's when this began, and nobody sets it. Alone it is this machine's, which the next start has too.
#[derive(Debug, Clone, Copy)]
struct Time(Option<SteadyClock>);

impl Time {
    /// Milliseconds since 1970.
    fn now(self) -> u64 {
        self.0.map_or_else(clock::milliseconds, |clock| clock.now())
    }
}

impl Leases {
    /// Those of before, what stores new ones, and what could not be read.
    pub async fn open(
        store: &Store,
    ) -> Result<(Self, Writer<IpAddr, Lease>, Vec<Unreadable>), perilune_store::Error> {
        let key = |text: &str| text.parse().ok();
        let (board, writer, unreadable) =
            Board::open(store, Table::Leases, key, Durability::BeforeAnswer, RULES).await?;
        let time = Time(store.now().await?.map(SteadyClock::start));
        let (now, steady) = (time.now(), clock::steady_milliseconds());
        let stored = board.snapshot();
        // The key is what makes a lease the only one of its address.
        let of_key = |(address, lease): (&IpAddr, &Arc<Lease>)| {
            restored(Lease { address: *address, ..Lease::clone(lease) }, now, steady)
        };
        let mut table = LeaseTable::restore(stored.iter().map(of_key));
        let over: Vec<IpAddr> = table.take_over().iter().map(Edit::address).collect();
        board.update_each(&over, |_, _| Update::Remove);
        let (table, learnt) =
            (Arc::new(Mutex::new(table)), Arc::new(Mutex::new(stored.sequence())));
        Ok((Self { board, table, is_shared: store.is_shared(), time, learnt }, writer, unreadable))
    }

    /// All leases, and every change from now on.
    pub(crate) fn subscribe(&self) -> (Snapshot<IpAddr, Lease>, Subscription<IpAddr, Lease>) {
        self.board.subscribe()
    }

    /// By what DHCP decides.
    pub(crate) fn table(&self) -> Arc<Mutex<LeaseTable>> {
        Arc::clone(&self.table)
    }

    /// What stores the leases that DHCP decides on.
    pub(crate) fn storage(&self) -> StoreLeases {
        let leases = self.clone();
        StoreLeases::new(move |edits| leases.store(edits))
    }

    /// Whether this address is lent to this machine. One that has ended is kept for it until somebody else needs it.
    pub fn has(&self, mac: MacAddress, address: IpAddr) -> bool {
        self.board.get(&address).is_some_and(|lease| lease.mac == mac.port())
    }

    /// Returns when what other controllers have lent before this was called is known here.
    pub async fn look(&self) {
        self.board.look().await;
        self.learn();
    }

    /// The machine that an address is lent to.
    pub fn holder(&self, address: IpAddr) -> Option<MacAddress> {
        self.board.get(&address).map(|lease| lease.mac)
    }

    /// The addresses that are lent or offered to this machine, IPv4 first.
    pub fn of(&self, mac: MacAddress) -> impl Iterator<Item = IpAddr> + use<> {
        let table = self.lock();
        Family::BOTH.map(|family| table.of(mac.port(), family)).into_iter().flatten()
    }

    /// The time of day that leases end in, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.time.now()
    }

    /// How many addresses of a range are lent at this time.
    pub(crate) fn lent_within(&self, range: RangeInclusive<IpAddr>, now: u64) -> u64 {
        let leases = self.board.snapshot();
        let lent = leases.range(range).filter(|(_, lease)| lease.until > now).count();
        lent.try_into().unwrap_or(u64::MAX)
    }

    /// Shows what DHCP has decided, and tells when it is stored. Of two controllers that lend an address at the same time, the one whose
    /// lease is stored first has lent it.
    fn store(&self, edits: Vec<Edit>) -> Storing {
        let (now, steady) = (self.time.now(), clock::steady_milliseconds());
        // The last word on an address counts: it may be over and lent again among these.
        let (mut wanted, mut over) = (BTreeMap::new(), BTreeSet::new());
        for edit in edits {
            let address = edit.address();
            let lease = match edit {
                Edit::Lent(lease) => Some(to_be_stored(lease, now, steady)),
                Edit::Over(_, mac) => {
                    over.insert((address, mac));
                    None
                }
            };
            wanted.insert(address, lease);
        }
        let addresses: Vec<IpAddr> = wanted.keys().copied().collect();
        let others = Arc::new(Mutex::new(Vec::new()));
        let lost = Arc::clone(&others);
        let (mut decided, is_shared) = (BTreeSet::new(), self.is_shared);
        let decide = move |address: &IpAddr, known: Option<&Arc<Lease>>| {
            let is_first = decided.insert(*address);
            let is_over = |known: &Lease| is_first && over.contains(&(*address, known.mac));
            match (wanted.get(address).and_then(Option::as_ref), known) {
                // The table has decided; of what another controller has lent it may not have known yet, and cannot have at a second look.
                (Some(lease), Some(other))
                    if (is_shared || !is_first)
                        && other.mac != lease.mac
                        && other.until > now
                        && !is_over(other) =>
                {
                    let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
                    lost.push(Lease::clone(other));
                    Update::Keep
                }
                (Some(lease), Some(known)) if is_told_again(lease, known) => Update::Keep,
                (Some(lease), _) => Update::Put(lease.clone()),
                (None, Some(known)) if is_over(known) => Update::Remove,
                (None, _) => Update::Keep,
            }
        };
        let stored = self.board.update_each_stored(&addresses, decide);
        let leases = self.clone();
        Box::pin(async move {
            if let Err(error) = stored.await {
                tracing::error!(
                    error = chain(&error),
                    "leases are not stored; machines go without until they are"
                );
                return Stored::Failed;
            }
            let others =
                std::mem::take(&mut *others.lock().unwrap_or_else(PoisonError::into_inner));
            for other in &others {
                leases.lock().learn(restored(other.clone(), now, steady));
            }
            Stored::Durable(others.into_iter().map(|other| other.address).collect())
        })
    }

    fn lock(&self) -> MutexGuard<'_, LeaseTable> {
        // What a panicking holder left is still a table of leases.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stored lease as it is on the clock of leases. The other clock may have been set back since it was stored: it does not last longer for that.
fn restored(lease: Lease, now: u64, steady: u64) -> Lease {
    let left = lease.until.saturating_sub(now).min(u64::from(LEASE_SECONDS) * 1000);
    Lease { until: steady.saturating_add(left), ..lease }
}

/// Whether the lease is the one that is known. Its end was taken from one clock to the other at two moments, between which one may have been slewed.
fn is_told_again(lease: &Lease, known: &Lease) -> bool {
    const SLEWED: u64 = 1000;
    let Lease { address: _, mac, until, source, name } = known;
    let is_same = *mac == lease.mac && *source == lease.source && *name == lease.name;
    is_same && until.abs_diff(lease.until) <= SLEWED
}

/// A lease as it is stored: its end as a time of day, for the next start.
fn to_be_stored(lease: Lease, now: u64, steady: u64) -> Lease {
    let left = lease.until.saturating_sub(steady);
    Lease { until: now.saturating_add(left), ..lease }
}

#[cfg(test)]
pub(crate) mod tests;
