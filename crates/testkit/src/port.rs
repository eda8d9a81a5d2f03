//! Ports for servers that are told theirs before they listen.
#![expect(clippy::panic, reason = "a test without a port has failed")]

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that the system gives to outgoing connections (`ip_local_port_range`, 32768 and more): any test beside this one makes some, and one of them
/// would have the port when the server asks for it.
const PORTS: Range<u32> = 20_000..32_000;
/// As many are asked for by one test, before they are those of another.
const OF_ONE_TEST: u32 = 16;

/// A port of the loopback address, of TCP and UDP, that nobody has.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    // Each test is a process of its own, so that those that run side by side begin at different ports.
    let first = std::process::id().wrapping_mul(OF_ONE_TEST);
    let count = PORTS.end - PORTS.start;
    for _ in 0..count {
        let number = first.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed)) % count;
        let Ok(port) = u16::try_from(PORTS.start + number) else { continue };
        let place = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(place).is_ok() && UdpSocket::bind(place).is_ok() {
            return port;
        }
    }
    panic!("all ports are taken");
}
