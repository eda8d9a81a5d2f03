//! What is answered from: a view of the published cluster and of what is lent, made anew beside the answers when either changes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use perilune_boards::{Since, Subscription};
use perilune_dhcp::Lease;
use perilune_dns::{Lent, LentNames, View, lent_name};
use perilune_model::Cluster;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::state::State;

/// After a view was made, the next waits as long as that took, at most this: changes without end take half of a core, and no change is
/// answered late.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// What is not told to followers of the cluster, such as the addresses of this host, is looked at so often.
const LOOK: Duration = Duration::from_secs(10);

/// Follows the cluster and the leases.
pub(super) struct Views {
    cluster: watch::Receiver<Arc<Cluster>>,
    leases: Subscription<IpAddr, Lease>,
    lent: LentNames,
    publisher: watch::Sender<Arc<View>>,
}

impl Views {
    /// The first view, and what makes the others.
    pub(super) fn begin(state: &State) -> (watch::Receiver<Arc<View>>, Self) {
        let (snapshot, leases) = state.leases.subscribe();
        let mut lent = LentNames::default();
        for (address, lease) in snapshot.iter() {
            put(&mut lent, *address, lease);
        }
        let cluster = state.cluster.subscribe();
        let first = View::new(Arc::clone(&cluster.borrow()), lent.clone(), None);
        let (publisher, views) = watch::channel(Arc::new(first));
        (views, Self { cluster, leases, lent, publisher })
    }

    /// Publishes views until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let is_lent = tokio::select! {
                () = stop.cancelled() => return,
                changed = self.cluster.changed() => match changed {
                    Ok(()) => false,
                    Err(_) => return,
                },
                news = self.leases.next() => match news {
                    Some(news) => {
                        self.note(news);
                        true
                    }
                    None => return,
                },
                () = tokio::time::sleep(LOOK) => false,
            };
            let begun = Instant::now();
            let cluster = Arc::clone(&self.cluster.borrow_and_update());
            let before = Arc::clone(&self.publisher.borrow());
            if !is_lent && Arc::ptr_eq(&cluster, before.cluster()) {
                continue;
            }
            let lent = self.lent.clone();
            let made = spawn_blocking(move || View::new(cluster, lent, Some(&before))).await;
            // A panic there is a defect; what was known is still answered.
            match made {
                Ok(view) => drop(self.publisher.send_replace(Arc::new(view))),
                Err(error) => tracing::error!(%error, "names are answered as they were before"),
            }
            tokio::time::sleep(begun.elapsed().min(LONGEST_PAUSE)).await;
        }
    }

    fn note(&mut self, news: Since<IpAddr, Lease>) {
        match news {
            Since::Changes(changes) => {
                for change in changes {
                    match change.value {
                        Some(lease) => put(&mut self.lent, change.key, &lease),
                        None => self.lent.remove(change.key),
                    }
                }
            }
            Since::Whole(snapshot) => {
                self.lent = LentNames::default();
                for (address, lease) in snapshot.iter() {
                    put(&mut self.lent, *address, lease);
                }
            }
        }
    }
}

fn put(lent: &mut LentNames, address: IpAddr, lease: &Lease) {
    let name = lease.name.as_deref().and_then(|name| lent_name(name.as_bytes()));
    lent.put(address, Lent { mac: lease.mac, until: lease.until, name });
}
