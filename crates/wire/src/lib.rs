//! The API's contract: what requests say and what answers show.

mod ancestors;
pub mod api_token;
pub mod bmc_setup;
pub mod claim;
pub mod cluster;
pub mod control;
pub mod device;
pub mod dns;
pub mod document;
pub mod envelope;
pub mod fields;
pub mod group;
pub mod hidden;
pub mod import;
pub mod interface;
mod label;
pub mod network;
pub mod node;
pub mod node_column;
pub mod os_user;
pub mod osimage;
pub mod rack;
pub mod requests;
pub mod reservation;
pub mod secret;
pub mod user;
pub mod word;
