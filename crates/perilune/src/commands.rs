//! One file for each resource, and for each command of its own.

pub(crate) mod adopt;
pub(crate) mod apply;
pub(crate) mod arm;
pub(crate) mod backup;
pub(crate) mod cluster;
pub(crate) mod completion;
pub(crate) mod control;
pub(crate) mod dns;
pub(crate) mod group;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod interface;
pub(crate) mod key;
pub(crate) mod login;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod os_user;
pub(crate) mod osimage;
pub(crate) mod rack;
pub(crate) mod reservation;
pub(crate) mod secret;
pub(crate) mod standard;
pub(crate) mod status;
pub(crate) mod switch;
pub(crate) mod user;
pub(crate) mod watch;
