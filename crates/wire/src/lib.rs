//! The API's contract: what requests say and what answers show.

pub mod cluster;
pub mod envelope;
pub mod fields;
pub mod group;
pub mod interface;
pub mod network;
pub mod node;
pub mod osimage;
pub mod requests;
pub mod word;
