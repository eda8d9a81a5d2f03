//! The client among peers: honest ones, liars, others of its kind, and the real aria2c.
#![cfg(test)]

mod aria2c;
mod fake;
mod fetching;
mod hostile;
