//! One rule of taken addresses: for nodes that are given one, for who asks for one, and for what changes later.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use perilune_model::dns::{DnsHost, DnsHosts};
use perilune_model::interface::of_node;
use perilune_model::network::{self, Network, RangeRequest, Request};
use perilune_model::settings::Settings;
use perilune_model::{
    Cluster, Desired, Draft, Edit, Family, Interfaces, Name, Patch, Taken, addresses,
};

use crate::site::{change, name, refused};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Network `n`, 10.9.0.0/28, whose gateway is .1, name server .2, time server .3, DNS host .4; the cluster's name servers are .5 and
/// .6, its time server .7; this host is .8.
fn site() -> Cluster {
    let mut cluster = change(&crate::site::cluster(), |draft| {
        let network = Network {
            name: name("n"),
            ipv4: Some("10.9.0.0/28".parse().unwrap()),
            gateway: Some([10, 9, 0, 1].into()),
            nameserver_ip: Some("10.9.0.2,192.168.1.1".to_owned().into()),
            ntp_server: Some("10.9.0.3".to_owned().into()),
            ..Network::default()
        };
        draft.put(network)?;
        let host = DnsHost { host: name("www"), ipaddress: ip("10.9.0.4") };
        draft.put(DnsHosts { name: name("n"), hosts: vec![host], ..DnsHosts::default() })?;
        draft.put(Settings {
            nameserver_ip: vec![ip("10.9.0.5")],
            forwardserver_ip: vec![ip("10.9.0.6")],
            ntp_server: vec![ip("10.9.0.7")],
            ..Settings::clone(draft.settings())
        })
    });
    cluster.set_own_addresses([(ip("10.9.0.8"), "eth0".to_owned())]);
    cluster
}

fn free(cluster: &Cluster) -> Option<IpAddr> {
    addresses::first_free(&Draft::new(cluster), cluster.network("n").unwrap(), Family::V4)
}

fn interface(address: &str) -> of_node::Request {
    of_node::Request {
        interface: name("eth7"),
        network: Some(name("n")),
        ipaddress: Some(ip(address)),
        ..of_node::Request::default()
    }
}

fn with_interface(cluster: &Cluster, address: &str) -> Cluster {
    change(cluster, |draft| of_node::save(draft, "node001", &[interface(address)]))
}

#[test]
fn whatever_answers_by_description_or_at_this_host_is_given_to_nobody() {
    let cluster = crate::site::with_node(&site(), "node001");
    let shown: Vec<String> = cluster
        .taken_between(ip("10.9.0.0"), ip("10.9.0.15"))
        .iter()
        .map(|(address, taken)| format!("{address}: {taken}"))
        .collect();
    assert_eq!(
        shown,
        [
            "10.9.0.1: the gateway of network 'n'",
            "10.9.0.2: a name server of network 'n'",
            "10.9.0.3: a time server of network 'n'",
            "10.9.0.4: that of the DNS host 'www' of network 'n'",
            "10.9.0.5: a name server of the cluster",
            "10.9.0.6: a name server of the cluster",
            "10.9.0.7: a time server of the cluster",
            "10.9.0.8: this host's own, at eth0",
        ]
    );
    assert_eq!(free(&cluster), Some(ip("10.9.0.9")));
    let network = cluster.network("n").unwrap();
    let next = addresses::next_after(&Draft::new(&cluster), network, ip("10.9.0.1"));
    assert_eq!(next, Some(ip("10.9.0.9")));
    for (address, lent) in [
        ("10.9.0.0", false),
        ("10.9.0.1", false),
        ("10.9.0.8", false),
        ("10.9.0.9", true),
        ("10.9.0.15", false),
        ("10.8.0.1", false),
    ] {
        assert_eq!(cluster.may_be_lent(network, ip(address)), lent, "{address}");
    }
}

#[test]
fn what_was_promised_is_given_to_nobody_unasked_and_to_whoever_asks_for_it() {
    let cluster = crate::site::with_node(&site(), "node001");
    let promised = Arc::new(BTreeSet::from([ip("10.9.0.9"), ip("10.9.0.11")]));
    let mut draft = Draft::sparing(&cluster, promised);
    let network = Arc::clone(cluster.network("n").unwrap());
    assert_eq!(addresses::first_free(&draft, &network, Family::V4), Some(ip("10.9.0.10")));
    let next = addresses::next_after(&draft, &network, ip("10.9.0.10"));
    assert_eq!(next, Some(ip("10.9.0.12")));
    assert_eq!(draft.taken(ip("10.9.0.9")), None, "a promise is no part of the cluster");
    of_node::save(&mut draft, "node001", &[interface("10.9.0.9")]).unwrap();
    assert!(draft.finish().0.holder(ip("10.9.0.9")).is_some());
}

#[test]
fn what_is_no_longer_described_is_free_again() {
    let cluster = change(&site(), |draft| {
        let network = Network {
            gateway: None,
            nameserver_ip: None,
            ntp_server: None,
            ..Network::clone(draft.network("n")?)
        };
        draft.put(network)
    });
    assert_eq!(free(&cluster), Some(ip("10.9.0.1")));
    // One address may be described more than once.
    let both = change(&cluster, |draft| {
        let network =
            Network { gateway: Some([10, 9, 0, 5].into()), ..Network::clone(draft.network("n")?) };
        draft.put(network)
    });
    let one = change(&both, |draft| {
        draft.put(Settings { nameserver_ip: Vec::new(), ..Settings::clone(draft.settings()) })
    });
    assert!(matches!(one.taken(ip("10.9.0.5")), Some(Taken::Described(_))));
    let mut none = one;
    none.set_own_addresses([]);
    let none = change(&none, |draft| draft.remove(perilune_model::Kind::DnsHosts, "n"));
    let none = change(&none, |draft| draft.remove(perilune_model::Kind::Network, "n"));
    assert_eq!(none.taken(ip("10.9.0.5")), None);
    assert_eq!(none.taken(ip("10.9.0.8")), None);
}

#[test]
fn a_node_may_serve_names_and_time_but_is_neither_the_gateway_nor_this_host() {
    let cluster = crate::site::with_node(&site(), "node001");
    for address in ["10.9.0.2", "10.9.0.3", "10.9.0.4", "10.9.0.5"] {
        with_interface(&cluster, address);
    }
    for (address, said) in
        [("10.9.0.1", "the gateway of network 'n'"), ("10.9.0.8", "this host's own, at eth0")]
    {
        let error =
            refused(&cluster, |draft| of_node::save(draft, "node001", &[interface(address)]));
        assert!(error.to_string().contains(said), "{error}");
        let forced = of_node::Request { force: true, ..interface(address) };
        refused(&cluster, |draft| of_node::save(draft, "node001", std::slice::from_ref(&forced)));
        // The same by a document, and by taking a commit back.
        let node = with_interface(&cluster, "10.9.0.9").node("node001").unwrap().as_ref().clone();
        let mut node = node;
        node.interfaces.last_mut().unwrap().addresses.set(ip(address));
        let desired = Desired { object: node.clone().into(), interfaces: Interfaces::Own };
        let error = refused(&cluster, |draft| draft.bring_to(vec![desired.clone()], &[]));
        assert!(error.to_string().contains(said), "{error}");
        refused(&cluster, |draft| draft.replay(&[Edit::Put(node.clone().into())]));
    }
}

#[test]
fn a_gateway_that_cannot_be_is_refused_with_the_reason() {
    let cluster = with_interface(&crate::site::with_node(&site(), "node001"), "10.9.0.9");
    let gateway = |text: &str| Request { gateway: Patch::Set(ip(text)), ..Request::default() };
    for (address, said) in [
        ("10.9.0.0", "the network's own address"),
        ("10.9.0.15", "the network's broadcast address"),
        ("10.9.0.9", "in use by interface eth7 of node node001"),
        ("10.9.1.1", "outside the network"),
    ] {
        let error = refused(&cluster, |draft| network::save(draft, &name("n"), &gateway(address)));
        assert!(error.to_string().contains(said), "{error}");
        let network = Network {
            gateway: match ip(address) {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            },
            ..Network::clone(cluster.network("n").unwrap())
        };
        if address != "10.9.1.1" {
            let error =
                refused(&cluster, |draft| draft.replay(&[Edit::Put(network.clone().into())]));
            assert!(error.to_string().contains(said), "{error}");
        }
    }
    // This host may well be the router, and both of a /31 are hosts.
    change(&cluster, |draft| network::save(draft, &name("n"), &gateway("10.9.0.8")));
    let pair = Request { range: "10.10.0.0/31".parse().ok(), ..gateway("10.10.0.1") };
    change(&cluster, |draft| network::save(draft, &name("pair"), &pair));
    // A smaller range may make its broadcast address of the gateway.
    let smaller = Request { range: "10.9.0.0/31".parse().ok(), ..Request::default() };
    let cluster = site();
    change(&cluster, |draft| network::save(draft, &name("n"), &smaller));
    let smaller = Request { range: "10.9.0.0/30".parse().ok(), ..gateway("10.9.0.3") };
    refused(&cluster, |draft| network::save(draft, &name("n"), &smaller));
}

#[test]
fn a_node_that_had_such_an_address_before_can_be_changed_and_is_not_given_it_again() {
    let mut draft = Draft::new(&crate::site::with_node(&site(), "node001"));
    let mut node = draft.node("node001").unwrap().as_ref().clone();
    let mut eth7 = node.interfaces[0].clone();
    eth7.name = name("eth7");
    eth7.macaddress = None;
    eth7.network = Some(name("n"));
    eth7.addresses = perilune_model::Addresses::default();
    eth7.addresses.set(ip("10.9.0.1"));
    node.interfaces.push(eth7);
    draft.put(node.clone()).unwrap();
    let (cluster, _) = draft.finish();
    node.comment = Some("the router".to_owned());
    let desired = Desired { object: node.into(), interfaces: Interfaces::Own };
    change(&cluster, |draft| draft.bring_to(vec![desired.clone()], &[]));
    with_interface(&cluster, "10.9.0.1");
    let dhcp = RangeRequest {
        dhcp: Some(true),
        begin: Patch::Set(ip("10.9.0.10")),
        end: Patch::Set(ip("10.9.0.12")),
        ..RangeRequest::default()
    };
    change(&cluster, |draft| {
        network::save(draft, &name("n"), &Request { dhcp, ..Request::default() })
    });
}

#[test]
fn nodes_that_are_renumbered_do_not_get_what_is_taken() {
    let cluster = with_interface(&crate::site::with_node(&site(), "node001"), "10.9.0.9");
    let request = Request {
        range: "10.9.1.0/28".parse().ok(),
        gateway: Patch::Set(ip("10.9.1.1")),
        nameserver_ip: Patch::Set("10.9.1.2".to_owned().into()),
        ..Request::default()
    };
    let cluster = change(&cluster, |draft| network::save(draft, &name("n"), &request));
    let node = cluster.node("node001").unwrap();
    let eth7 = node.interfaces.iter().find(|own| own.name == Name::trusted("eth7")).unwrap();
    assert_eq!(eth7.addresses.iter().collect::<Vec<_>>(), [ip("10.9.1.3")]);
}
