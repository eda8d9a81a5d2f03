//! Which nodes are meant: the one notation for it, wherever nodes are named.
//!
//! Pure: what nodes there are, and what is known of them, comes from whoever implements [`Facts`].
#![warn(missing_docs)]

mod error;
mod evaluate;
pub mod hostlist;
pub mod natural;
mod pattern;
mod selector;
mod sources;

pub use error::Error;
pub use evaluate::Facts;
pub use selector::{Key, Selector};
pub use sources::{Source, inline};

/// A host list that names more than this is refused: it is a slip of the finger, not a cluster.
pub const MAXIMUM_NAMES: u128 = 100_000;
