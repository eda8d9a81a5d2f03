//! How long the largest decisions take, for a site of 10,000 nodes: while one is decided, everybody else who changes something waits.
//! `cargo run --release -p perilune-daemon --example decision_bench [NODES]`. Storing is left out.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark talks to the person who started it"
)]

use std::time::Instant;

use perilune_model::dns::{DnsHost, Entry};
use perilune_model::group::Group;
use perilune_model::interface::{MOST_INTERFACES, of_group, of_node};
use perilune_model::network::{self, Network};
use perilune_model::node::{self, Node};
use perilune_model::plugins::Installed;
use perilune_model::rack::{self, DeviceType, InventoryRequest, PlacementRequest, Rack};
use perilune_model::secret::{self, Owner};
use perilune_model::{Change, Cluster, Draft, Error, Kind, MacAddress, Name, Patch, dns};
use perilune_wire::document;
use serde_json::{Map, Value, json};

fn main() {
    let nodes = std::env::args().nth(1).map_or(10_000, |count| count.parse().unwrap());
    let site = timed("a site is made node by node", || site(nodes));
    interfaces(&site);
    lists(&site, nodes);
    references(&site);
    documents(&site);
    tables(&site);
}

fn name(text: &str) -> Name {
    Name::trusted(text)
}

fn node_name(number: usize) -> Name {
    name(&format!("node{number:05}"))
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    println!("{:>9.1} ms  {what}", begun.elapsed().as_secs_f64() * 1000.0);
    done
}

/// Decides a change, says how long that took and how large it is, and the same for taking it back.
fn decided(
    what: &str,
    site: &Cluster,
    decide: impl FnOnce(&mut Draft) -> Result<(), Error>,
) -> Cluster {
    let mut draft = Draft::new(site);
    let begun = Instant::now();
    let decision = decide(&mut draft);
    let elapsed = begun.elapsed().as_secs_f64() * 1000.0;
    if let Err(error) = decision {
        let error = error.to_string();
        let error: String = error.chars().take(90).collect();
        println!("{elapsed:>9.1} ms  {what}: refused, {error}");
        return site.clone();
    }
    let (changed, Change { edits, inverse }) = draft.finish();
    let mut undo = Draft::new(&changed);
    let begun = Instant::now();
    let undone = undo.replay(&inverse);
    let back = begun.elapsed().as_secs_f64() * 1000.0;
    let undone = if undone.is_ok() { "taken back" } else { "cannot be taken back" };
    println!("{elapsed:>9.1} ms  {what}: {} edits; {undone} in {back:.1} ms", edits.len());
    changed
}

/// One group, each node with two interfaces, a secret, a place in a rack and a name.
fn site(nodes: usize) -> Cluster {
    let mut draft = Draft::new(&Cluster::default());
    for (network, range) in [("cluster", "10.0.0.0/8"), ("other", "11.0.0.0/8")] {
        draft
            .put(Network { name: name(network), ipv4: range.parse().ok(), ..Network::default() })
            .unwrap();
    }
    draft.put(Group { name: name("compute"), ..Group::default() }).unwrap();
    let of_group = |interface: &str| of_group::Request {
        interface: name(interface),
        network: Some(name("cluster")),
        ..of_group::Request::default()
    };
    of_group::save(&mut draft, "compute", &[of_group("BOOTIF"), of_group("BMC")]).unwrap();
    draft.put(Rack { name: name("rack"), ..Rack::default() }).unwrap();
    for number in 0..nodes {
        let node = node_name(number);
        let bytes = u32::try_from(number).unwrap().to_be_bytes();
        let boot = of_node::Request {
            interface: name("BOOTIF"),
            macaddress: Patch::Set(MacAddress::ethernet([
                2, 0, bytes[0], bytes[1], bytes[2], bytes[3],
            ])),
            ..of_node::Request::default()
        };
        let request = node::Request {
            group: Some(name("compute")),
            interfaces: vec![boot],
            ..node::Request::default()
        };
        node::save(&mut draft, &node, &request).unwrap();
        secret::save(&mut draft, Owner::Node, node.as_str(), &[secret(0)]).unwrap();
        rack::save(&mut draft, &name("rack"), &placed(&[node])).unwrap();
    }
    draft.finish().0
}

fn secret(number: usize) -> secret::Request {
    let content = Some("c2VjcmV0".to_owned());
    secret::Request {
        name: name(&format!("secret{number}")),
        content,
        ..secret::Request::default()
    }
}

fn placed(nodes: &[Name]) -> rack::Request {
    let device = |node: &Name| PlacementRequest {
        device: node.clone(),
        device_type: Some(DeviceType::Node),
        ..PlacementRequest::default()
    };
    rack::Request { devices: nodes.iter().map(device).collect(), ..rack::Request::default() }
}

fn interfaces(site: &Cluster) {
    for count in [MOST_INTERFACES - 2, 10_000] {
        let request = |number: usize| of_node::Request {
            interface: name(&format!("eth{number}")),
            network: Some(name("cluster")),
            ..of_node::Request::default()
        };
        let requests: Vec<_> = (0..count).map(request).collect();
        decided(&format!("{count} interfaces of one node in one request"), site, |draft| {
            of_node::save(draft, "node00000", &requests)
        });
    }
    for count in [1, 10, 254] {
        let request = |number: usize| of_group::Request {
            interface: name(&format!("eth{number}")),
            network: Some(name("other")),
            ..of_group::Request::default()
        };
        let requests: Vec<_> = (0..count).map(request).collect();
        decided(&format!("{count} interfaces of all nodes of a group"), site, |draft| {
            of_group::save(draft, "compute", &requests).map(drop)
        });
    }
    decided("an interface of all nodes removed", site, |draft| {
        of_group::remove(draft, "compute", "BMC")
    });
    decided("a network with all nodes moved", site, |draft| {
        let range = "12.0.0.0/8".parse().ok();
        network::save(
            draft,
            &name("cluster"),
            &network::Request { range, ..network::Request::default() },
        )
        .map(drop)
    });
}

fn lists(site: &Cluster, nodes: usize) {
    let hosts: Vec<_> = (0..100_000_u32)
        .map(|number| DnsHost {
            host: name(&format!("host{number}")),
            ipaddress: [10, 200, 0, 1].into(),
        })
        .map(Entry::Address)
        .collect();
    decided("100,000 DNS hosts in one request", site, |draft| dns::save(draft, "cluster", &hosts));
    let secrets: Vec<_> = (0..100_000).map(secret).collect();
    decided("100,000 secrets of one node in one request", site, |draft| {
        secret::save(draft, Owner::Node, "node00000", &secrets).map(drop)
    });
    let all: Vec<_> = (0..nodes).map(node_name).collect();
    decided("all nodes placed in a rack", site, |draft| {
        draft.put(Rack { name: name("rack2"), ..Rack::default() })?;
        rack::save(draft, &name("rack2"), &placed(&all)).map(drop)
    });
    let sizes = |node: &Name| InventoryRequest {
        device: node.clone(),
        device_type: None,
        height: Patch::Set(2),
        orientation: Patch::Keep,
    };
    let sizes: Vec<_> = all.iter().map(sizes).collect();
    decided("the sizes of all nodes", site, |draft| rack::save_inventory(draft, &sizes));
}

fn references(site: &Cluster) {
    decided("a group with all nodes renamed", site, |draft| {
        let group = Group { name: name("renamed"), ..Group::clone(draft.group("compute")?) };
        draft.rename(group, "compute")
    });
    decided("a network with all nodes renamed", site, |draft| {
        let network =
            Network { name: name("renamed"), ..Network::clone(draft.network("cluster")?) };
        draft.rename(network, "cluster")
    });
    decided("a rack with all nodes renamed", site, |draft| {
        let rack = Rack { name: name("renamed"), ..Rack::clone(draft.rack("rack")?) };
        draft.rename(rack, "rack")
    });
    decided("a rack with all nodes removed", site, |draft| draft.remove(Kind::Rack, "rack"));
    decided("one node renamed", site, |draft| {
        let node = Node { name: name("renamed"), ..Node::clone(draft.node("node00000")?) };
        draft.rename(node, "node00000")
    });
    decided("one node removed", site, |draft| draft.remove(Kind::Node, "node00000"));
}

fn apply(what: &str, site: &Cluster, document: &Map<String, Value>, prune: bool) -> Cluster {
    let installed = Installed {
        provision_methods: ["http", "torrent"].map(str::to_owned).into(),
        ..Installed::default()
    };
    decided(what, site, |draft| {
        let read = document::read(document, draft, &installed).map_err(Error::Invalid)?;
        draft.bring_to(read.desired, if prune { &read.kinds } else { &[] })
    })
}

/// The nodes of a document.
fn nodes(document: &mut Map<String, Value>) -> &mut Map<String, Value> {
    document.get_mut("node").and_then(Value::as_object_mut).expect("there are nodes")
}

fn documents(site: &Cluster) {
    let Value::Object(whole) = document::write(site, true) else { return };
    apply("a document that changes nothing", site, &whole, true);
    apply("a document from nothing", &Cluster::default(), &whole, true);
    let mut commented = whole.clone();
    for node in nodes(&mut commented).values_mut() {
        node["comment"] = json!("changed");
    }
    apply("a document that changes all nodes", site, &commented, true);
    let mut bare = whole.clone();
    for node in nodes(&mut bare).values_mut() {
        for interface in node["interfaces"].as_array_mut().into_iter().flatten() {
            interface["network"] = json!("other");
            interface.as_object_mut().unwrap().remove("ipaddress");
        }
    }
    apply("a document that gives all interfaces new addresses", site, &bare, true);
    let mut empty = whole;
    for kind in ["node", "nodesecrets", "rackinventory"] {
        empty.insert(kind.to_owned(), json!({}));
    }
    apply("a document that prunes all nodes", site, &empty, true);
}

fn tables(site: &Cluster) {
    let exported = perilune_import::export(site);
    let plan = timed("tables planned", || perilune_import::plan_tables(&exported, site).unwrap());
    decided("tables taken over in place of the site", site, |draft| {
        perilune_import::commit(&plan, draft, true).map(drop)
    });
    decided("tables taken over from nothing", &Cluster::default(), |draft| {
        perilune_import::commit(&plan, draft, true).map(drop)
    });
}
