//! Addresses that are lent to machines: a board of leases, each stored before its machine hears of it, and beside it the table by which
//! DHCP decides, which also has what is only offered or put aside.
//!
//! On the board, a lease ends at a time of day, so that the next start knows when. In the table it ends on a clock that never jumps.

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
}

impl Leases {
    /// Those of before, what stores new ones, and what could not be read.
    pub async fn open(
        store: &Store,
    ) -> Result<(Self, Writer<IpAddr, Lease>, Vec<Unreadable>), perilune_store::Error> {
        let key = |text: &str| text.parse().ok();
        let (board, writer, unreadable) =
            Board::open(store, Table::Leases, key, Durability::BeforeAnswer, RULES).await?;
        let (now, steady) = (clock::milliseconds(), clock::steady_milliseconds());
        let stored = board.snapshot();
        // The key is what makes a lease the only one of its address.
        let of_key = |(address, lease): (&IpAddr, &Arc<Lease>)| {
            restored(Lease { address: *address, ..Lease::clone(lease) }, now, steady)
        };
        let mut table = LeaseTable::restore(stored.iter().map(of_key));
        let over = table.take_over();
        board.update_each(&over, |_, _| Update::Remove);
        Ok((Self { board, table: Arc::new(Mutex::new(table)) }, writer, unreadable))
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

    /// How many addresses of a range are lent at this time, in milliseconds since 1970.
    pub(crate) fn lent_within(&self, range: RangeInclusive<IpAddr>, now: u64) -> u64 {
        let leases = self.board.snapshot();
        let lent = leases.range(range).filter(|(_, lease)| lease.until > now).count();
        lent.try_into().unwrap_or(u64::MAX)
    }

    /// Shows what DHCP has decided, and tells when it is stored. Of two controllers that lend an address at the same time, the one whose
    /// lease is stored first has lent it.
    fn store(&self, edits: Vec<Edit>) -> Storing {
        let (now, steady) = (clock::milliseconds(), clock::steady_milliseconds());
        let edits = edits
            .into_iter()
            .map(|(address, lease)| (address, lease.map(|lease| to_be_stored(lease, now, steady))));
        // The last word on an address counts: it may be over and lent again among these.
        let edits: BTreeMap<IpAddr, Option<Lease>> = edits.collect();
        let addresses: Vec<IpAddr> = edits.keys().copied().collect();
        let others = Arc::new(Mutex::new(Vec::new()));
        let lost = Arc::clone(&others);
        let mut decided = BTreeSet::new();
        let decide = move |address: &IpAddr, known: Option<&Arc<Lease>>| {
            // The table has decided. What is there at a second look is another controller's.
            let is_first = decided.insert(*address);
            let wanted = edits.get(address).and_then(Option::as_ref);
            match (wanted, known.filter(|_| !is_first)) {
                (Some(lease), Some(other)) if other.mac != lease.mac && other.until > now => {
                    let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
                    lost.push(Lease::clone(other));
                    Update::Keep
                }
                (Some(lease), _) => Update::Put(lease.clone()),
                (None, Some(_)) => Update::Keep,
                (None, None) => Update::Remove,
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
                leases.lock().lend(restored(other.clone(), now, steady));
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

/// A lease as it is stored: its end as a time of day, for the next start.
fn to_be_stored(lease: Lease, now: u64, steady: u64) -> Lease {
    let left = lease.until.saturating_sub(steady);
    Lease { until: now.saturating_add(left), ..lease }
}

#[cfg(test)]
pub(crate) mod tests;
