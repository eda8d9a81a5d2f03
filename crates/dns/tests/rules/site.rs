//! A small cluster, and somebody who asks.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};
use perilune_dns::{Client, Decision, Keys, LentNames, Transport, View, answer};
use perilune_model::controller::Controller;
use perilune_model::device::{OtherDevice, Switch};
use perilune_model::dns::{DnsHost, DnsHosts};
use perilune_model::group::Group;
use perilune_model::interface::Interface;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::settings::Settings;
use perilune_model::{Addresses, Cluster, Draft, Name};

pub(crate) const NOW: u64 = 1_790_000_000_000;
pub(crate) const SERVED: Client =
    Client { is_served: true, is_secondary: false, is_secondary_by_key: false };
pub(crate) const SECONDARY: Client =
    Client { is_served: false, is_secondary: true, is_secondary_by_key: false };

pub(crate) fn addresses(list: &[&str]) -> Addresses {
    let mut all = Addresses::default();
    for address in list {
        all.set(address.parse().unwrap());
    }
    all
}

pub(crate) fn network(name: &str, ipv4: &str, ipv6: &str) -> Network {
    Network {
        name: Name::trusted(name),
        ipv4: ipv4.parse().ok(),
        ipv6: ipv6.parse().ok(),
        ..Network::default()
    }
}

pub(crate) fn interface(name: &str, network: &str, list: &[&str]) -> Interface {
    Interface {
        name: Name::trusted(name),
        network: Some(Name::trusted(network)),
        addresses: addresses(list),
        ..Interface::default()
    }
}

pub(crate) fn node(name: &str, interfaces: Vec<Interface>) -> Node {
    let group = Name::trusted("compute");
    Node { name: Name::trusted(name), group, interfaces, ..Node::default() }
}

pub(crate) fn hosts(network: &str, list: &[(&str, &str)]) -> DnsHosts {
    let host = |(host, address): &(&str, &str)| DnsHost {
        host: Name::trusted(host),
        ipaddress: address.parse().unwrap(),
    };
    let hosts = list.iter().map(host).collect();
    DnsHosts { name: Name::trusted(network), hosts, ..DnsHosts::default() }
}

/// Three networks of both families, a controller, three nodes, a switch, another device and DNS hosts, at revision 42.
pub(crate) fn cluster() -> Draft {
    let mut draft = Draft::new(&Cluster::default());
    let settings =
        Settings { forwardserver_ip: vec![[192, 0, 2, 53].into()], ..Settings::default() };
    draft.put(settings).unwrap();
    draft.put(network("cluster", "10.141.0.0/16", "fd00:141::/61")).unwrap();
    draft.put(network("ib.cluster", "10.149.0.0/16", "")).unwrap();
    draft.put(network("bmc", "10.148.0.128/25", "")).unwrap();
    let cluster = Some(Name::trusted("cluster"));
    let controller = Controller {
        name: Name::trusted("controller"),
        beacon: true,
        addresses: addresses(&["10.141.255.254", "fd00:141::fe"]),
        network: cluster.clone(),
        ..Controller::default()
    };
    draft.put(controller).unwrap();
    draft.put(Group { name: Name::trusted("compute"), ..Group::default() }).unwrap();
    let first = vec![
        interface("BOOTIF", "cluster", &["10.141.0.1", "fd00:141::1"]),
        interface("eth1", "cluster", &["10.141.1.1"]),
        interface("ib0", "ib.cluster", &["10.149.0.1"]),
        interface("BMC", "bmc", &["10.148.0.129"]),
    ];
    draft.put(node("node001", first)).unwrap();
    draft
        .put(node("node002.rack7", vec![interface("BOOTIF", "cluster", &["10.141.0.2"])]))
        .unwrap();
    draft.put(node("node003", vec![interface("BOOTIF", "cluster", &[])])).unwrap();
    let switch = Switch {
        name: Name::trusted("switch01"),
        addresses: addresses(&["10.141.200.1"]),
        network: cluster.clone(),
        ..Switch::default()
    };
    draft.put(switch).unwrap();
    let device = OtherDevice {
        name: Name::trusted("pdu01"),
        addresses: addresses(&["10.141.200.2"]),
        network: cluster,
        ..OtherDevice::default()
    };
    draft.put(device).unwrap();
    let list = [("printer", "10.141.210.1"), ("www", "10.141.0.1"), ("outside", "192.0.2.7")];
    draft.put(hosts("cluster", &list)).unwrap();
    draft
}

pub(crate) fn view_of(draft: Draft) -> View {
    view_with(draft, LentNames::default())
}

pub(crate) fn view_with(draft: Draft, lent: LentNames) -> View {
    let mut cluster = draft.finish().0;
    cluster.set_revision(42);
    View::new(Arc::new(cluster), lent, None)
}

/// A name of any bytes; `|` is a dot within a label.
fn dns_name(text: &str) -> DnsName {
    let labels = text.split('.').filter(|label| !label.is_empty());
    DnsName::from_labels(labels.map(|label| label.replace('|', ".").into_bytes())).unwrap()
}

pub(crate) fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.id = 4711;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(dns_name(name), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.set_edns(edns);
    message
}

pub(crate) fn decide(view: &View, client: Client, message: &Message) -> Decision {
    let bytes = message.to_vec().unwrap();
    answer(view, &Keys::default(), (client, Transport::Udp), &bytes, NOW)
}

/// The answer that a client of the cluster gets, read by another's reader.
pub(crate) fn ask(view: &View, name: &str, kind: RecordType) -> Message {
    match decide(view, SERVED, &query(name, kind)) {
        Decision::Answer(bytes) | Decision::Refuse(bytes) => Message::from_vec(&bytes).unwrap(),
        other => panic!("{name}: {other:?}"),
    }
}

/// The code, and the answers as texts.
pub(crate) fn told(view: &View, name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
    let message = ask(view, name, kind);
    (message.response_code, message.answers.iter().map(text).collect())
}

pub(crate) fn text(record: &Record) -> String {
    match &record.data {
        RData::A(address) => address.0.to_string(),
        RData::AAAA(address) => address.0.to_string(),
        RData::PTR(name) => name.0.to_ascii(),
        other => other.to_string(),
    }
}

/// The name of an address, without the dot of the root.
pub(crate) fn name_of(view: &View, address: IpAddr) -> Option<String> {
    let reverse = DnsName::from(address).to_ascii();
    match decide(view, SERVED, &query(&reverse, RecordType::PTR)) {
        Decision::Answer(bytes) => {
            let message = Message::from_vec(&bytes).unwrap();
            let names: Vec<String> = message.answers.iter().map(text).collect();
            assert!(names.len() < 2, "{address} has {names:?}");
            names.first().map(|name| name.trim_end_matches('.').to_owned())
        }
        _ => None,
    }
}

/// The addresses of a name.
pub(crate) fn addresses_of(view: &View, name: &str) -> Vec<IpAddr> {
    let of = |kind| told(view, name, kind).1.into_iter().map(|text| text.parse().unwrap());
    of(RecordType::A).chain(of(RecordType::AAAA)).collect()
}
