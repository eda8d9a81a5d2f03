//! The DNS server for the cluster's own names (RFC 1034, 1035, 2308, 2317, 5936, 6891, 8482, 8945): forward and reverse zones straight from
//! the published cluster. Pure: no socket, no clock.
//!
//! A [`View`] is what is served at one moment: the cluster, and what is lent. Nothing of the cluster is copied into tables, so a change
//! of any size is answered as soon as it is published. [`answer`] decides on one message.
#![warn(missing_docs)]

mod answer;
mod cache;
mod forward;
mod hosts;
mod keys;
mod leases;
mod notify;
mod records;
mod reverse;
mod transfer;
mod tsig;
mod view;
mod walk;
mod writer;
mod zone;

pub use answer::{Client, Decision, Now, Transport, answer};
pub use cache::Cache;
pub use forward::{Question, Sameness, is_helpful, is_truncated};
pub use leases::{Lent, LentNames, lent_name};
pub use notify::{is_noticed, notify};
pub use records::{Data, Record, Soa};
pub use transfer::{Transfer, is_transfer};
pub use tsig::{Key, KeyError, Keys};
pub use view::View;
pub use writer::text_pieces;
pub use zone::{Place, Zone};
