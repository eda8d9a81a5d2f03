//! An exchange by IPv6, as a frame tells it before its message is read.

use std::net::Ipv6Addr;

use nix::libc;
use perilune_model::MacAddress;
use socket2::SockFilter;

use super::identity::by_link_local;
use super::observe::{Datagram, only_requests};
use crate::tap;

/// Where it came from, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Exchange {
    pub(super) source: Ipv6Addr,
    pub(super) transaction: [u8; 3],
}

impl tap::Exchange for Exchange {
    const PROTOCOL: i32 = libc::ETH_P_IPV6;
    /// The heads, and the transaction behind them.
    const READ: usize = 40 + 8 + 4;

    fn filter() -> Vec<SockFilter> {
        only_requests()
    }

    fn of(packet: &[u8]) -> Option<Self> {
        let Datagram { source, payload: [_, a, b, c, ..], .. } = Datagram::read(packet)? else {
            return None;
        };
        Some(Self { source, transaction: [*a, *b, *c] })
    }

    fn own(&self) -> Option<MacAddress> {
        by_link_local(self.source)
    }
}
