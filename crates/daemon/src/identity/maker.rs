//! Makes identities, and RSA keys for them in advance: each takes a processor for some tenths of a second, and ten thousand machines that are
//! installed for the first time would wait for them for a quarter of an hour.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use perilune_model::identity::NodeIdentity;
use perilune_model::{Cluster, Name};
use ssh_key::private::KeypairData;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Error, new, rsa};

/// As many keys are there at most. They are in memory alone: the next start makes others.
const KEPT: usize = 1024;
/// A daemon that has just started answers whoever waited for it.
const AFTER_START: Duration = Duration::from_mins(1);
/// After each key it rests so many times as long as that took, so that it takes a fifth of one processor.
const REST: u32 = 4;

/// What makes identities; clones share it.
#[derive(Clone)]
pub struct Maker(Arc<Inner>);

struct Inner {
    /// As many are made at once as there are processors; others wait for their turn.
    turns: Semaphore,
    keys: Mutex<Vec<KeypairData>>,
    taken: Notify,
}

impl Default for Maker {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let (keys, taken) = (Mutex::default(), Notify::new());
        Self(Arc::new(Inner { turns: Semaphore::new(processors), keys, taken }))
    }
}

impl Maker {
    /// Makes an identity.
    pub async fn make(&self, node: Name) -> Result<NodeIdentity, Error> {
        let _turn = self.0.turns.acquire().await.map_err(|_closed| Error::Stopping)?;
        let kept = self.take();
        let made = tokio::task::spawn_blocking(move || new(node, kept)).await;
        made.map_err(|_panicked| Error::Stopping)?
    }

    fn take(&self) -> Option<KeypairData> {
        let key = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner).pop();
        self.0.taken.notify_one();
        key
    }

    /// Makes keys in advance, one for each node that has no identity, until `stop`.
    pub(crate) async fn run(self, cluster: watch::Receiver<Arc<Cluster>>, stop: CancellationToken) {
        let after = async {
            tokio::time::sleep(AFTER_START).await;
            self.keep_up(cluster, REST).await;
        };
        stop.run_until_cancelled(after).await;
    }

    async fn keep_up(&self, mut cluster: watch::Receiver<Arc<Cluster>>, rest: u32) {
        loop {
            let wanted = wanted(&cluster.borrow_and_update());
            if self.0.keys.lock().unwrap_or_else(PoisonError::into_inner).len() >= wanted {
                tokio::select! {
                    changed = cluster.changed() => if changed.is_err() { return },
                    () = self.0.taken.notified() => {}
                }
                continue;
            }
            let begun = Instant::now();
            match tokio::task::spawn_blocking(rsa).await {
                Ok(Ok(key)) => self.0.keys.lock().unwrap_or_else(PoisonError::into_inner).push(key),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "no host keys are made in advance");
                    return;
                }
                Err(_stopping) => return,
            }
            tokio::time::sleep(begun.elapsed() * rest).await;
        }
    }
}

/// How many keys nodes will need that were never installed.
fn wanted(cluster: &Cluster) -> usize {
    let identities = cluster.node_identities();
    let without = cluster.nodes().keys().filter(|name| !identities.contains_key(*name));
    without.take(KEPT).count()
}

#[cfg(test)]
mod tests {
    use perilune_model::Edit;
    use perilune_model::node::Node;

    use super::*;

    fn cluster(nodes: &[&str]) -> Arc<Cluster> {
        let mut cluster = Cluster::default();
        for name in nodes {
            let node = Node { name: Name::trusted(name), ..Node::default() };
            cluster.apply(&Edit::Put(node.into()));
        }
        Arc::new(cluster)
    }

    #[tokio::test]
    async fn keys_are_made_for_nodes_without_identity_and_each_is_used_once() {
        let maker = Maker::default();
        let (sender, receiver) = watch::channel(cluster(&[]));
        let own = maker.clone();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { own.keep_up(receiver, 0).await });
        let kept = || maker.0.keys.lock().unwrap().len();
        let until = async |count: usize| {
            let reached = async {
                while kept() != count {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_mins(1), reached).await.unwrap();
        };
        sender.send_replace(cluster(&["node001", "node002"]));
        until(2).await;
        let first = maker.make(Name::trusted("node001")).await.unwrap();
        // It is made anew, since the node has none in this cluster.
        until(2).await;
        sender.send_replace(cluster(&[]));
        let others = [maker.make(Name::trusted("a")).await, maker.make(Name::trusted("b")).await];
        until(0).await;
        // With none left, one is made on the spot.
        let last = maker.make(Name::trusted("c")).await.unwrap();
        let all: Vec<NodeIdentity> =
            [first, last].into_iter().chain(others.map(Result::unwrap)).collect();
        let keys = all.iter().map(|one| &one.ssh_host_keys.last().unwrap().public);
        let different: std::collections::BTreeSet<_> = keys.collect();
        assert_eq!(different.len(), 4);
    }
}
