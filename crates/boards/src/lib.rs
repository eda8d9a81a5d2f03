//! What happens, as opposed to what is described: node states, leases, jobs, sightings and the like.
//!
//! A [`Board`] holds one kind of it, by key. Readers take its [`Snapshot`] without waiting for anybody. Every change has a number;
//! followers get each change after a number, or everything when they were away for too long. What a board keeps has a bound, and its
//! [`Durability`] is stated where it is opened.

mod board;
mod follow;
mod load;
mod snapshot;
mod writer;

pub use board::{Board, Durability, Rules, Update};
pub use follow::{Change, Since, Subscription};
pub use load::Unreadable;
pub use snapshot::Snapshot;
pub use writer::Writer;

/// Why a change is not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The store did not take it. It is tried again, but nobody should rely on it.
    #[error(transparent)]
    Store(#[from] perilune_store::Error),
    /// Another controller changed the same at the same time, again and again.
    #[error("another controller changed the same at the same time")]
    Contended,
    /// What stores changes has ended: the daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
}
