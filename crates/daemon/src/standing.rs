//! Where this machine stands: the address by which others reach it, and the network in which a new cluster begins.

use std::fs;

use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrIn;

/// In a smaller network there is no room for a node.
const LONGEST_PREFIX: u8 = 30;
/// What the kernel knows of routes (Linux, `Documentation/networking/proc_net.rst`): columns with blanks between them.
const ROUTES: &str = "/proc/net/route";
/// The route is in use (`RTF_UP`).
const UP: u32 = 1;

/// An address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The interface that has it.
    pub interface: String,
    /// The address, with the prefix of its network.
    pub address: Ipv4Net,
}

/// Where a controller stands that serves these interfaces: on the first of them with an address, else where the default route leaves, else
/// on whichever interface has an address. An address is never made up: `None` where there is none.
pub fn find(served: &[String]) -> Option<Standing> {
    let routes = fs::read_to_string(ROUTES).unwrap_or_default();
    choose(&all(), served, default_route(&routes)).cloned()
}

/// The addresses of this machine at which a cluster can begin, in the system's order.
pub fn all() -> Vec<Standing> {
    let interfaces = match getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::warn!(%error, "the addresses of this machine cannot be read");
            return Vec::new();
        }
    };
    let standing = |known: nix::ifaddrs::InterfaceAddress| {
        let ipv4 = |address: Option<nix::sys::socket::SockaddrStorage>| {
            address.and_then(|address| address.as_sockaddr_in().map(SockaddrIn::ip))
        };
        let (address, mask) = (ipv4(known.address)?, ipv4(known.netmask)?);
        let address = Ipv4Net::with_netmask(address, mask).ok()?;
        is_usable(address).then_some(Standing { interface: known.interface_name, address })
    };
    interfaces.filter_map(standing).collect()
}

/// Whether machines can reach somebody at this address, and find room beside him.
pub fn is_usable(address: Ipv4Net) -> bool {
    let own = address.addr();
    let is_somebodys = !own.is_loopback()
        && !own.is_link_local()
        && !own.is_unspecified()
        && !own.is_multicast()
        && !own.is_broadcast();
    let is_host = own != address.network() && own != address.broadcast();
    is_somebodys && is_host && (1..=LONGEST_PREFIX).contains(&address.prefix_len())
}

fn choose<'a>(
    all: &'a [Standing],
    served: &[String],
    default_route: Option<&str>,
) -> Option<&'a Standing> {
    let on = |interface: &str| all.iter().find(|standing| standing.interface == interface);
    served
        .iter()
        .find_map(|interface| on(interface))
        .or_else(|| default_route.and_then(on))
        .or(all.first())
}

/// The interface of the default route that costs least.
fn default_route(routes: &str) -> Option<&str> {
    let cost = |line: &str| -> Option<u32> {
        let mut words = line.split_whitespace().skip(1);
        let is_default = words.next()? == "00000000";
        let flags = u32::from_str_radix(words.nth(1)?, 16).ok()?;
        let metric = words.nth(2)?.parse().ok()?;
        let is_whole = words.next()? == "00000000";
        (is_default && is_whole && flags & UP != 0).then_some(metric)
    };
    let found = routes.lines().filter_map(|line| Some((cost(line)?, line)));
    let (_, line) = found.min_by_key(|(cost, _)| *cost)?;
    line.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(interface: &str, address: &str) -> Standing {
        Standing { interface: interface.to_owned(), address: address.parse().unwrap() }
    }

    #[test]
    fn a_controller_stands_where_it_serves_else_where_its_default_route_leaves() {
        let all = [
            standing("eth0", "192.0.2.2/24"),
            standing("eth1", "10.150.0.1/16"),
            standing("eth1", "10.151.0.1/16"),
            standing("ib0", "10.149.0.1/20"),
        ];
        let chosen = |served: &[&str], route: Option<&str>| {
            let served: Vec<String> = served.iter().map(|name| (*name).to_owned()).collect();
            choose(&all, &served, route).map(|found| found.address.to_string())
        };
        assert_eq!(chosen(&["eth1"], Some("eth0")).unwrap(), "10.150.0.1/16");
        assert_eq!(chosen(&["eth7", "ib0"], Some("eth0")).unwrap(), "10.149.0.1/20");
        assert_eq!(chosen(&[], Some("ib0")).unwrap(), "10.149.0.1/20");
        assert_eq!(chosen(&[], Some("ppp0")).unwrap(), "192.0.2.2/24");
        assert_eq!(chosen(&[], None).unwrap(), "192.0.2.2/24");
        assert_eq!(choose(&[], &["eth1".to_owned()], Some("eth0")), None);
    }

    #[test]
    fn the_default_route_is_the_one_that_costs_least() {
        let head =
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        let wlan = "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n";
        let eth0 = "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
        let down = "eth9\t00000000\t010200C0\t0002\t0\t0\t1\t00000000\t0\t0\t0\n";
        let near = "eth1\t0000960A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let half = "tun0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n";
        assert_eq!(default_route(&[head, near, wlan, eth0, down, half].concat()), Some("eth0"));
        assert_eq!(default_route(&[head, near, wlan].concat()), Some("wlan0"));
        for text in ["", head, near, "eth0", "eth0 00000000 x y z"] {
            assert_eq!(default_route(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_that_nobody_reaches_and_networks_without_room_are_none() {
        for address in [
            "127.0.0.1/8",
            "169.254.7.7/16",
            "0.0.0.0/0",
            "224.0.0.5/24",
            "192.0.2.2/32",
            "192.0.2.2/31",
            "192.0.2.0/24",
            "192.0.2.255/24",
        ] {
            assert!(!is_usable(address.parse().unwrap()), "{address}");
        }
        for address in ["10.141.255.254/16", "192.0.2.2/30", "192.0.2.129/25"] {
            assert!(is_usable(address.parse().unwrap()), "{address}");
        }
    }
}
