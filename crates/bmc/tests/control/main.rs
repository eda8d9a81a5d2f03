//! The engine and its drivers against BMCs: simulated ones that other tools accept too, and ones that misbehave.
#![cfg(test)]

#[path = "../fake/ipmi.rs"]
mod fake;

mod chaos;
mod deviations;
mod driver;
mod engine;
mod redfish;
mod simulator;
mod slow;
mod sushy;
mod tls;
mod tools;
