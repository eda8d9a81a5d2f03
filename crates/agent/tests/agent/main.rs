//! The agent against a controller that is played by a thread: what it asks, and what it does when things go wrong.
#![cfg(test)]

mod console;
mod controller;
mod dhcp;
mod disks;
mod download;
mod network_profiles;
mod protocol;
mod torrent;
