//! The DHCP servers: for IPv4 (RFC 2131, 2132, 3046, 3397, 4390, 4578), and in [`v6`] for IPv6. Reservations come straight from the cluster, and
//! dynamic ranges are for the rest.
//!
//! [`reply`] is pure: the cluster, the leases, the packet and the time decide. The loop around it (`turns`) stores leases and moves bytes.

mod answer;
mod boot_program;
mod counters;
mod domain_search;
mod exchange;
mod frames;
mod hardware;
mod held;
mod leases;
mod network;
mod observe;
mod packet;
mod peers;
mod queue;
mod reply;
mod request;
mod server;
mod site;
mod tap;
mod told;
mod turns;
pub mod v6;

pub use counters::{Count, Counters};
pub use held::{Given, Held};
pub use leases::{Edit, Lease, Leases, Source};
pub use observe::{Beginning, Observer};
pub use peers::{BootServer, Peer, Peers};
pub use reply::{Answer, Decision, Policy, Sighting, reply};
pub use request::{Kind, Request};
pub use server::Server;
pub use site::{Site, StoreLeases, Stored, Storing};
