//! The client of Perilune's HTTP API: what the command line is made of, and what tests of the daemon talk through.

pub mod client;
