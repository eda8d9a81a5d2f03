//! Has the table know what other controllers lend and take back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use perilune_boards::{Since, Update};
use perilune_dhcp::Lease;
use tokio_util::sync::CancellationToken;

use super::{Leases, restored};
use crate::causes::chain;
use crate::clock;

/// Leases of machines that have another address since, by their own: each with the lease that counts.
type Former = BTreeMap<IpAddr, Arc<Lease>>;

impl Leases {
    /// Follows the other controllers until `stop`.
    pub(crate) async fn follow(self, stop: CancellationToken) {
        let (_, mut news) = self.board.subscribe();
        let keep = async {
            loop {
                self.take_back(self.learn()).await;
                if news.next().await.is_none() {
                    return;
                }
            }
        };
        stop.run_until_cancelled(Box::pin(keep)).await;
    }

    /// Takes what is new.
    pub(super) fn learn(&self) -> Former {
        let mut former = Former::new();
        if !self.is_shared {
            return former;
        }
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        match self.board.since(*learnt) {
            Since::Changes(changes) => {
                for change in changes {
                    *learnt = change.sequence;
                    // What this controller has decided the table knows, and may have decided anew.
                    if change.is_others {
                        self.learn_one(change.key, change.value.as_ref(), &mut former);
                    }
                }
            }
            Since::Whole(all) => {
                *learnt = all.sequence();
                for (address, lease) in all.iter() {
                    self.learn_one(*address, Some(lease), &mut former);
                }
            }
        }
        former
    }

    fn learn_one(&self, address: IpAddr, lease: Option<&Arc<Lease>>, former: &mut Former) {
        let mut table = self.lock();
        // What came after this is told after this, or is decided by the table.
        let is_newest = match (&self.board.get(&address), lease) {
            (Some(now), Some(lease)) => Arc::ptr_eq(now, lease),
            (now, lease) => now.is_none() && lease.is_none(),
        };
        if !is_newest {
            return;
        }
        let Some(lease) = lease else {
            table.forget(address);
            return;
        };
        let (now, steady) = (self.time.now(), clock::steady_milliseconds());
        // The key is what makes a lease the only one of its address.
        let own = restored(Lease { address, ..Lease::clone(lease) }, now, steady);
        let Some((gone, counts)) = table.learn(own) else { return };
        if let Some(counts) = self.board.get(&counts).filter(|counts| counts.mac == lease.mac) {
            former.insert(gone, counts);
        }
    }

    /// A machine has one address of ours: its former one is free for others, whichever controller had lent it.
    async fn take_back(&self, former: Former) {
        if former.is_empty() {
            return;
        }
        let addresses: Vec<IpAddr> = former.keys().copied().collect();
        let decide = move |address: &IpAddr, known: Option<&Arc<Lease>>| {
            let counts = former.get(address);
            let is_former = |(known, counts): (&Arc<Lease>, &Arc<Lease>)| {
                known.mac == counts.mac && known.until <= counts.until
            };
            if known.zip(counts).is_some_and(is_former) { Update::Remove } else { Update::Keep }
        };
        // It ends by itself otherwise.
        if let Err(error) = self.board.update_each_stored(&addresses, decide).await {
            tracing::debug!(error = chain(&error), "former addresses of machines are not free yet");
        }
    }
}
