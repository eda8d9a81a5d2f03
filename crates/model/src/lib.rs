//! The cluster as a value, and the rules by which it changes. Pure: no clock, no input, no output.
#![warn(missing_docs)]
#![warn(clippy::wildcard_enum_match_arm)]

pub mod addresses;
pub mod bmc_setup;
pub mod bootstrap;
mod change;
mod cluster;
pub mod controller;
pub mod device;
pub mod discovery;
pub mod dns;
pub mod effective;
mod error;
pub mod group;
pub mod identity;
pub mod image;
pub mod interface;
mod intervals;
pub mod label;
mod mac;
mod machines;
mod name;
mod name_servers;
pub mod network;
pub mod node;
pub mod object;
mod patch;
pub mod plugins;
pub mod provisioning;
pub mod rack;
mod references;
pub mod reservation;
pub mod route;
mod saved;
pub mod secret;
pub mod settings;
mod taken;
pub mod user;

pub use addresses::{Addresses, Family};
pub use change::{Change, Desired, Draft, Edit, Interfaces};
pub use cluster::Cluster;
pub use error::{Error, Violation};
pub use mac::{MacAddress, NotAMacAddress, NotOfAMachine};
pub use machines::Machines;
pub use name::{Name, NameError};
pub use object::{Holder, Kind, Object};
pub use patch::Patch;
pub use saved::Saved;
pub use taken::{Described, Taken};
