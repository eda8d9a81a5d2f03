//! Whose a connection is that comes from this very machine, as the kernel knows it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;

const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
/// Of a row of these tables: where the connection ends here, its state, and its user.
const LOCAL: usize = 1;
const STATE: usize = 3;
const USER: usize = 7;
const ESTABLISHED: &str = "01";

/// Whether the process at the other end of a connection within this machine is of root or of the daemon's own user: who can read the
/// configuration, and so does not guess what stands in it. Reads a table of the kernel: for a thread that may block.
pub(crate) fn can_read_configuration(other_end: SocketAddr) -> bool {
    let tables = TABLES.map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let users = tables.iter().flat_map(|table| users(table, other_end)).collect::<Vec<_>>();
    let own = std::fs::metadata("/proc/self").map_or(0, |process| process.uid());
    let is_keeper = |user: &u32| *user == 0 || *user == own;
    // Two users may have connections from one address and port, to different places.
    !users.is_empty() && users.iter().all(is_keeper)
}

/// The users of the connections in a table that end at this address.
fn users(table: &str, end: SocketAddr) -> impl Iterator<Item = u32> {
    let written = [Some(written(end)), mapped(end).map(written)];
    table.lines().skip(1).filter_map(move |row| {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let local = (*columns.get(LOCAL)?).to_owned();
        let is_open = *columns.get(STATE)? == ESTABLISHED && written.contains(&Some(local));
        is_open.then(|| columns.get(USER)?.parse().ok()).flatten()
    })
}

/// An IPv4 address as sockets for IPv6 have it.
fn mapped(end: SocketAddr) -> Option<SocketAddr> {
    match end.ip() {
        IpAddr::V4(address) => Some((address.to_ipv6_mapped(), end.port()).into()),
        IpAddr::V6(_) => None,
    }
}

/// As the tables write it: words of 32 bits in this machine's order of bytes.
fn written(end: SocketAddr) -> String {
    let address = match end.ip() {
        IpAddr::V4(address) => word(address.octets()),
        IpAddr::V6(address) => words(address),
    };
    format!("{address}:{:04X}", end.port())
}

fn words(address: Ipv6Addr) -> String {
    let octets = address.octets();
    let (words, _) = octets.as_chunks::<4>();
    words.iter().map(|bytes| word(*bytes)).collect()
}

fn word(bytes: [u8; 4]) -> String {
    format!("{:08X}", u32::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_of_this_process_is_known_and_one_that_is_not_there_is_nobodys() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let end = client.local_addr().unwrap();
            assert!(can_read_configuration(end), "{address}");
            drop((client, listener));
            assert!(!can_read_configuration(end), "{address}");
        }
    }

    #[test]
    fn the_users_of_all_open_connections_from_there_count() {
        let end: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let row = |local: &str, state: &str, user: u32| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  {user}        0 1 1\n"
            )
        };
        let head = "  sl  local_address ...\n".to_owned();
        let here = written(end);
        let table = head
            + &row(&here, ESTABLISHED, 1000)
            + &row(&here, "06", 0)
            + &row("00000000:0050", ESTABLISHED, 7);
        assert_eq!(users(&table, end).collect::<Vec<_>>(), [1000]);
        let six = "head\n".to_owned() + &row(&written(mapped(end).unwrap()), ESTABLISHED, 0);
        assert_eq!(users(&six, end).collect::<Vec<_>>(), [0]);
    }
}
