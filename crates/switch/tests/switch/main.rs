//! Real agents and bad ones.
#![cfg(test)]

mod agents;
mod nonsense;

use std::net::SocketAddr;

use perilune_switch::{BY_VLAN, Connected, Target};

/// A switch that is asked as the default says.
fn target(address: SocketAddr) -> Target {
    Target { address, community: "lab".to_owned(), table: format!(".{BY_VLAN}") }
}

/// Ports as a line each: number, names, hardware addresses.
fn lines(ports: &[Connected]) -> Vec<String> {
    let line = |connected: &Connected| {
        let machines: Vec<_> = connected.machines.iter().map(ToString::to_string).collect();
        let Connected { port, .. } = connected;
        format!("{} {:?} {}", port.number.unwrap(), port.names, machines.join(" "))
    };
    ports.iter().map(line).collect()
}
