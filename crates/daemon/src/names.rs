//! The DNS server: answers for the names of the cluster, at the addresses of the interfaces that DHCP serves.
//!
//! What is answered, `perilune_dns` decides, from a view of the published cluster that is made beside the answers (`views.rs`). Here are the
//! sockets (`listen.rs`, `udp.rs`, `tcp.rs`), who may ask (`desk.rs`), what goes to other servers (`forward.rs`), and secondary servers that
//! are told of changes (`notify.rs`). That a port is taken stops nothing else.

mod counters;
mod desk;
mod forward;
mod listen;
mod notify;
pub(crate) mod start;
mod status;
mod tcp;
mod udp;
mod views;

use crate::config::{Options, Serve, Settings};
pub(crate) use counters::Counters;
pub use status::{Names, Service};

/// What is known before anything is served.
pub(crate) fn prepare(settings: &Settings, options: &Options) -> Names {
    let with_dhcp = !options.dhcp_interfaces.is_empty() || !settings.names.listen.is_empty();
    match &settings.names.serve {
        Serve::Yes => Names::wanted(settings.names.port),
        Serve::WithDhcp if with_dhcp => Names::wanted(settings.names.port),
        Serve::WithDhcp => Names::off(
            "DHCP is served on no interface; name one in [DHCP] INTERFACES of luna.ini, or write [DNS] SERVE = yes there".to_owned(),
        ),
        Serve::No => Names::off("[DNS] SERVE = no of luna.ini says so".to_owned()),
        Serve::Other(other) => Names::off(format!(
            "[SERVICES] DNS = {other} of luna.ini names another server; write [DNS] SERVE = yes there to have this one instead"
        )),
    }
}
