//! The daemon: wires the other crates together and speaks HTTP.

pub mod api;
pub mod attempts;
pub mod auth;
pub mod backup;
pub mod boots;
mod bootstrap;
pub mod claims;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod connections;
pub mod control;
mod diff;
pub mod discovery;
mod first_cluster;
mod followers;
mod identity;
pub mod install_logs;
pub mod jobs;
pub mod json;
mod machines;
mod neighbour;
mod own_addresses;
mod patience;
mod proxied;
mod request_id;
pub mod serve;
pub mod sightings;
pub mod state;
pub mod status;
mod tls;
mod unserved;
pub mod vault;
mod warnings;

pub use serve::serve;
