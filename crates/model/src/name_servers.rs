//! The name servers that machines are told: those that are described, without addresses of this host at which nobody answers.

use std::net::IpAddr;

use crate::network::Network;
use crate::{Cluster, Family};

impl Cluster {
    /// Those for machines of a network: its own, else those of the cluster, else this host where its DNS server answers in the network. An
    /// address of this host is among them only while names are answered there; a machine that asks in vain waits at each name.
    pub fn name_servers(&self, network: Option<&Network>, families: &[Family]) -> Vec<IpAddr> {
        let is_wanted = |address: &IpAddr| families.contains(&Family::of(*address));
        let of_network = network.into_iter().flat_map(Network::own_name_servers).filter(is_wanted);
        let mut named: Vec<IpAddr> = of_network.collect();
        if named.is_empty() {
            named.extend(self.settings().nameserver_ip.iter().copied().filter(is_wanted));
        }
        named.retain(|server| self.may_answer(*server));
        if named.is_empty() {
            let own = self.answering().into_iter().flatten().copied();
            let is_there = |own: &IpAddr| network.is_some_and(|network| network.contains(*own));
            named.extend(own.filter(is_wanted).filter(is_there));
        }
        named
    }

    /// Whether a name server may be at an address: at those of this host where it is known, elsewhere always.
    pub fn may_answer(&self, server: IpAddr) -> bool {
        let is_own = self.own_addresses().contains_key(&server);
        !is_own || self.answering().is_none_or(|answering| answering.contains(&server))
    }
}

#[cfg(test)]
mod tests {
    use imbl::OrdSet;

    use super::*;
    use crate::Draft;
    use crate::settings::Settings;

    const OWN: [u8; 4] = [10, 9, 0, 254];

    fn told(named: &str, settings: &[[u8; 4]], answering: Option<&[[u8; 4]]>) -> Vec<String> {
        let mut draft = Draft::new(&Cluster::default());
        let nameserver_ip = settings.iter().map(|address| (*address).into()).collect();
        draft.put(Settings { nameserver_ip, ..Settings::default() }).unwrap();
        let mut cluster = draft.finish().0;
        cluster.set_own_addresses([(OWN.into(), "eth1".to_owned())]);
        let set = |all: &[[u8; 4]]| all.iter().map(|own| IpAddr::from(*own)).collect::<OrdSet<_>>();
        cluster.set_answering(answering.map(set));
        let network = Network {
            ipv4: "10.9.0.0/24".parse().ok(),
            nameserver_ip: Some(named.to_owned().into()),
            ..Network::default()
        };
        let servers = cluster.name_servers(Some(&network), &Family::BOTH);
        servers.iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn this_host_is_a_name_server_while_it_answers() {
        let (own, other) = ("10.9.0.254", "192.0.2.1");
        let both = "10.9.0.254,192.0.2.1";
        assert_eq!(told(both, &[], None), [own, other]);
        assert_eq!(told(both, &[], Some(&[])), [other]);
        assert_eq!(told(both, &[], Some(&[OWN])), [own, other]);
        assert_eq!(told("", &[OWN], Some(&[])), Vec::<String>::new());
        assert_eq!(told("", &[OWN], Some(&[OWN])), [own]);
        assert_eq!(told("", &[], Some(&[OWN])), [own], "where nothing is named");
        assert_eq!(told("", &[], Some(&[[10, 8, 0, 1]])), Vec::<String>::new(), "elsewhere");
    }
}
