//! The DHCP server for IPv6 (RFC 8415, 5970, 6939, 4704, 5908): reservations straight from the cluster, a dynamic range for the rest.
//!
//! Firmware, boot loader and system of one machine show different DUIDs and identity associations. What stays is the hardware address
//! of the interface that asks, so that is what an address is given to (`identity.rs`); identity associations are not told apart.

mod answer;
mod desk;
mod exchange;
mod identity;
mod message;
mod observe;
mod options;
mod reply;
mod request;

pub use desk::{Server, Settings};
pub use message::Kind;
pub(crate) use observe::{beginning, only_requests};
pub use reply::{Answer, Decision, Policy, reply};
pub use request::Request;
