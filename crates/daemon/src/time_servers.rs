//! Whether this host tells the time where machines are sent to it for that: Perilune names time servers and is none.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use perilune_model::Cluster;

/// As long as this host may take to answer itself.
const LONGEST: Duration = Duration::from_millis(500);
const PORT: u16 = 123;
/// RFC 5905, section 7.3: version 4, from a client.
const FROM_CLIENT: u8 = 0x23;
const FROM_SERVER: u8 = 4;
/// A server of this stratum or more has no time itself.
const UNSYNCHRONIZED: u8 = 16;
/// Octets of a message without extensions.
const LENGTH: usize = 48;

/// What is told of addresses of this host that are time servers of machines, and tell no time.
pub(crate) fn silent(cluster: &Cluster, tells: &dyn Fn(IpAddr) -> bool) -> Vec<String> {
    let networks = cluster.networks().values();
    let of_networks = networks.flat_map(|network| network.own_time_servers());
    let servers: BTreeSet<IpAddr> =
        cluster.settings().ntp_server.iter().copied().chain(of_networks).collect();
    let own = servers.into_iter().filter(|server| cluster.own_addresses().contains_key(server));
    let silent = own.filter(|server| !tells(*server));
    silent
        .map(|server| {
            let range = cluster.network_of(server).and_then(|network| {
                [network.ipv4.map(|range| range.to_string()), network.ipv6.map(|range| range.to_string())]
                    .into_iter()
                    .flatten()
                    .next()
            });
            let range = range.unwrap_or_else(|| "the nodes' network".to_owned());
            format!(
                "machines are told to take their time from this host, at {server}, and it tells none there: install chrony with the line \
                 'allow {range}' in its configuration, or name another server with perilune cluster change --ntp-server ADDRESS"
            )
        })
        .collect()
}

/// Asks a server for the time (RFC 5905): whether it has one.
pub(crate) fn tells(server: IpAddr) -> bool {
    asked(server, PORT).is_some_and(|answer| is_time(&answer))
}

fn asked(server: IpAddr, port: u16) -> Option<Vec<u8>> {
    let local: SocketAddr = match server {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).ok()?;
    socket.set_read_timeout(Some(LONGEST)).ok()?;
    socket.connect((server, port)).ok()?;
    let mut message = [0; LENGTH];
    *message.first_mut()? = FROM_CLIENT;
    socket.send(&message).ok()?;
    let mut answer = vec![0; 512];
    let length = socket.recv(&mut answer).ok()?;
    answer.truncate(length);
    Some(answer)
}

fn is_time(answer: &[u8]) -> bool {
    let [first, stratum, ..] = answer else { return false };
    answer.len() >= LENGTH && first & 7 == FROM_SERVER && (1..UNSYNCHRONIZED).contains(stratum)
}

#[cfg(test)]
mod tests {
    use perilune_model::network::Network;
    use perilune_model::{Cluster, Draft, Name};

    use super::*;

    #[test]
    fn only_addresses_of_this_host_are_asked_and_told() {
        let mut draft = Draft::new(&Cluster::default());
        let mut settings = draft.settings().as_ref().clone();
        settings.ntp_server = ["10.141.0.1", "10.141.0.2"].map(|text| text.parse().unwrap()).into();
        draft.put(settings).unwrap();
        let network = Network {
            name: Name::trusted("cluster"),
            ipv4: "10.141.0.0/16".parse().ok(),
            ntp_server: Some("10.141.0.3, pool.example.org".to_owned().into()),
            ..Network::default()
        };
        draft.put(network).unwrap();
        let (mut cluster, _) = draft.finish();
        let own =
            ["10.141.0.1", "10.141.0.3"].map(|text| (text.parse().unwrap(), "eth1".to_owned()));
        cluster.set_own_addresses(own);
        let said = silent(&cluster, &|server| server.to_string() == "10.141.0.1");
        let [said] = &said[..] else { panic!("{said:?}") };
        assert!(said.contains("at 10.141.0.3") && said.contains("allow 10.141.0.0/16"), "{said}");
        assert_eq!(silent(&cluster, &|_| true), Vec::<String>::new());
    }

    #[test]
    fn a_server_without_a_time_or_without_an_answer_tells_none() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let answers = std::thread::spawn(move || {
            for (first, stratum) in [(0x24, 3), (0x24, 16), (0x24, 0), (0x23, 3)] {
                let mut message = [0; LENGTH];
                let (_, client) = server.recv_from(&mut message).unwrap();
                assert_eq!(message[0], 0x23);
                (message[0], message[1]) = (first, stratum);
                server.send_to(&message, client).unwrap();
            }
        });
        let ask = || asked(address.ip(), address.port()).is_some_and(|answer| is_time(&answer));
        assert_eq!([ask(), ask(), ask(), ask()], [true, false, false, false]);
        answers.join().unwrap();
        assert!(!ask(), "nobody listens any more");
        assert!(!is_time(&[0x24, 3]), "it is cut off");
    }
}
