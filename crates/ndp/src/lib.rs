//! Answers IPv6 router solicitations (RFC 4861), so that firmware does not wait for a router that is not there.
//!
//! iPXE asks for an IPv4 address and for an IPv6 router at the same time and goes on when both have come or are given up, which
//! for a router takes seconds of every boot. The answer says that nobody routes here. Where addresses come by DHCPv6, it
//! says so, and which prefixes are on the wire; elsewhere no host gains an address, a prefix or a route by it.
//!
//! What is said and when is pure ([`solicitation`], [`advertisement`], [`schedule`]); [`Responder`] is the loop around it.

pub mod advertisement;
mod responder;
pub mod schedule;
mod socket;
pub mod solicitation;

pub use responder::{Prefixes, Responder, Rule};
