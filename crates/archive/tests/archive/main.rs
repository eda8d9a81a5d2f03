//! Trees become archives and trees again, with us and with GNU tar on either side.
#![cfg(test)]

mod damage;
mod gnu_tar;
mod mounts;
mod random;
mod round_trip;
mod trees;
mod unsafe_archives;
mod vanishing;
