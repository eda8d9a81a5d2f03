//! What machines are answered, packet by packet.
#![cfg(test)]

mod exclusive;
mod firmware;
mod infiniband;
mod machine;
mod names;
mod relay;
mod requests;
mod shares;
mod v6;
