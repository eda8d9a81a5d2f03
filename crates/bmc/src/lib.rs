//! Power, identification, event log, sensors and inventory of machines, by way of their BMCs: over IPMI 2.0, over
//! Redfish, or by a site's own executable; for thousands at once. Knows addresses, not clusters.
//!
//! [`Engine::run`] takes targets and an action, and sends one [`Outcome`] for each as it comes.

mod action;
mod bytes;
mod connection;
mod engine;
mod error;
pub mod ipmi;
mod plugin;
mod random;
pub mod redfish;
mod target;

pub use action::{Action, Event, Item, PowerState, Reply, Sensor, UnknownAction};
pub use engine::{Engine, Inrush, Limits, Outcome, Traffic, Verification};
pub use error::Error;
pub use target::{Credentials, Driver, Program, Target};
