//! What machines are answered, packet by packet.
#![cfg(test)]

mod exclusive;
mod machine;
mod requests;
