//! How soon a change of 10,000 nodes is answered, and how many questions one core answers in a second:
//! `cargo run --release -p perilune-dns --example view_bench`. The socket is left out.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark talks to the person who started it"
)]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name as DnsName, RecordType};
use perilune_dns::{Client, Decision, Keys, LentNames, Transport, View, answer};
use perilune_model::dns::{DnsHost, DnsHosts};
use perilune_model::group::Group;
use perilune_model::interface::Interface;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::{Addresses, Cluster, Draft, Name};

const NODES: u16 = 10_000;
const HOSTS: u16 = 10_000;
const CLIENT: Client = Client { is_served: true, is_secondary: false, is_secondary_by_key: false };

fn main() {
    let before = cluster(1);
    let view = View::new(Arc::new(before), LentNames::default(), None);
    // Every node has another address.
    let after = Arc::new(cluster(2));
    let started = Instant::now();
    let later = View::new(Arc::clone(&after), LentNames::default(), Some(&view));
    let made = started.elapsed();
    let told = ask(&later, &question("node9999.cluster.", RecordType::A));
    println!(
        "{:.2} ms from the publication of 10,000 changed nodes (with 10,000 DNS hosts) to the view, {told} bytes answered",
        ms(made)
    );
    let mut draft = Draft::new(&after);
    let mut node = Node::clone(draft.nodes().get("node0001").unwrap());
    node.comment = Some("changed".to_owned());
    draft.put(node).unwrap();
    let one = Arc::new(draft.finish().0);
    let started = Instant::now();
    let last = View::new(one, LentNames::default(), Some(&later));
    println!("{:.2} ms from that of one changed node", ms(started.elapsed()));
    let started = Instant::now();
    let zones = last.zones();
    let records: usize = zones.iter().map(|zone| last.records(zone).len()).sum();
    println!(
        "{:.0} ms for all {records} records of {} zones, as secondaries get them",
        ms(started.elapsed()),
        zones.len()
    );
    let questions: Vec<Vec<u8>> = (0..NODES)
        .map(|number| match number % 10 {
            0 => question(&format!("node{number:04}.cluster."), RecordType::AAAA),
            1 => question(&format!("missing{number:04}.cluster."), RecordType::A),
            _ => question(&format!("node{number:04}.cluster."), RecordType::A),
        })
        .collect();
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < Duration::from_secs(3) {
        for question in &questions {
            ask(&last, question);
            count += 1;
        }
    }
    let rate = f64::from(count) / started.elapsed().as_secs_f64();
    println!("{rate:.0} answers/s on one core, without the socket");
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn ask(view: &View, question: &[u8]) -> usize {
    match answer(view, &Keys::default(), (CLIENT, Transport::Udp), question, 0) {
        Decision::Answer(bytes) => bytes.len(),
        _ => 0,
    }
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.add_query(Query::query(DnsName::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

fn cluster(block: u8) -> Cluster {
    let mut draft = Draft::new(&Cluster::default());
    let network = Name::trusted("cluster");
    let ipv4 = "10.0.0.0/8".parse().ok();
    draft.put(Network { name: network.clone(), ipv4, ..Network::default() }).unwrap();
    draft.put(Group { name: Name::trusted("compute"), ..Group::default() }).unwrap();
    let address = |block: u8, number: u16| {
        let [high, low] = (number + 1).to_be_bytes();
        Ipv4Addr::new(10, block, high, low)
    };
    for number in 0..NODES {
        let interface = Interface {
            name: Name::trusted("BOOTIF"),
            network: Some(network.clone()),
            addresses: Addresses { ipv4: Some(address(block, number)), ipv6: None },
            ..Interface::default()
        };
        let name = Name::trusted(&format!("node{number:04}"));
        let group = Name::trusted("compute");
        draft.put(Node { name, group, interfaces: vec![interface], ..Node::default() }).unwrap();
    }
    let host = |number: u16| DnsHost {
        host: Name::trusted(&format!("host{number:04}")),
        ipaddress: address(9, number).into(),
    };
    let hosts = (0..HOSTS).map(host).collect();
    draft.put(DnsHosts { name: network, hosts, ..DnsHosts::default() }).unwrap();
    draft.finish().0
}
