//! What the servers of all interfaces share: what they decide by, and where what they decide goes.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use perilune_model::Cluster;
use tokio::sync::{mpsc, watch};

use crate::counters::Counters;
use crate::leases::{Edit, Leases};
use crate::peers::Peers;
use crate::reply::Sighting;

/// What becomes of leases that are to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// They are durable, but for these addresses: another controller has lent them meanwhile.
    Durable(Vec<IpAddr>),
    /// They are not, and machines must not hear of them.
    Failed,
}

/// Answers once leases are durable.
pub type Storing = Pin<Box<dyn Future<Output = Stored> + Send>>;

/// Stores leases, which must be durable before their machines hear of them. Of several edits of one address the last counts. Others see
/// them when this returns; what it returns tells when they are durable.
#[derive(Clone)]
pub struct StoreLeases(Arc<dyn Fn(Vec<Edit>) -> Storing + Send + Sync>);

impl StoreLeases {
    /// By this function.
    pub fn new(store: impl Fn(Vec<Edit>) -> Storing + Send + Sync + 'static) -> Self {
        Self(Arc::new(store))
    }

    pub(crate) fn store(&self, edits: Vec<Edit>) -> Storing {
        (self.0)(edits)
    }
}

impl fmt::Debug for StoreLeases {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StoreLeases")
    }
}

/// What the servers of all interfaces share.
#[derive(Debug, Clone)]
pub struct Site {
    /// The cluster as it is published.
    pub cluster: watch::Receiver<Arc<Cluster>>,
    /// What is lent.
    pub leases: Arc<Mutex<Leases>>,
    /// Whoever stores leases.
    pub store: StoreLeases,
    /// The controllers that answer together, as of now.
    pub peers: watch::Receiver<Arc<Peers>>,
    /// Whoever wants to know about strangers.
    pub sightings: mpsc::Sender<Sighting>,
    /// Tells milliseconds on a clock that never jumps, the one of the leases.
    pub clock: fn() -> u64,
    /// What became of messages.
    pub counters: Arc<Counters>,
}
