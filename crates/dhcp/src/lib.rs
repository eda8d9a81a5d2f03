//! The DHCP server for IPv4 (RFC 2131, 2132, 3046, 4578): reservations straight from the cluster, a dynamic range for the rest.
//!
//! [`reply`] is pure: the cluster, the leases, the packet and the time decide. The loop around it stores leases and moves bytes.

mod answer;
mod boot_program;
mod leases;
mod network;
mod reply;
mod request;
mod server;

pub use leases::{Lease, Leases};
pub use reply::{Answer, Decision, Policy, Sighting, reply};
pub use request::Request;
pub use server::{Server, Site, StoreLease};
