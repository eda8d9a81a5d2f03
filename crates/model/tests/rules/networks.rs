//! Networks, their ranges, and what becomes of the devices in them.

use std::net::IpAddr;

use ipnet::IpNet;
use perilune_model::network::{self, Network, RangeRequest, Request};
use perilune_model::{
    Cluster, Draft, Error, Family, Kind, Patch, Saved, addresses, interface, node, settings,
};

use crate::site::{
    address, change, cluster, fields, in_group, interface as of_node, name, refused, with_node,
};

fn range(text: &str) -> Option<IpNet> {
    text.parse().ok()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn in_network(name_of: &str, network: &str) -> interface::of_node::Request {
    interface::of_node::Request { network: Some(name(network)), ..of_node(name_of) }
}

fn with_dhcp(begin: &str, end: &str) -> Request {
    let dhcp = RangeRequest {
        dhcp: Some(true),
        begin: Patch::Set(ip(begin)),
        end: Patch::Set(ip(end)),
        ..RangeRequest::default()
    };
    Request { dhcp, ..Request::default() }
}

fn save(cluster: &Cluster, network: &str, request: &Request) -> Cluster {
    change(cluster, |draft| network::save(draft, &name(network), request))
}

fn refusal(cluster: &Cluster, network: &str, request: &Request) -> Vec<String> {
    fields(&refused(cluster, |draft| network::save(draft, &name(network), request)))
}

#[test]
fn a_network_is_made_with_its_host_bits_cleared() {
    let request = Request { range: range("10.148.3.7/16"), ..Request::default() };
    let mut draft = Draft::new(&cluster());
    assert_eq!(network::save(&mut draft, &name("ipmi"), &request).unwrap(), Saved::Created);
    assert_eq!(draft.network("ipmi").unwrap().range(Family::V4), range("10.148.0.0/16"));
    let second = Request { range: range("fd00:148::/64"), ..Request::default() };
    assert_eq!(network::save(&mut draft, &name("ipmi"), &second).unwrap(), Saved::Updated);
    assert_eq!(
        draft.network("ipmi").unwrap().range(Family::V4),
        range("10.148.0.0/16"),
        "both families stand"
    );
}

#[test]
fn what_cannot_be_is_refused_by_its_field() {
    let cluster = cluster();
    assert_eq!(refusal(&cluster, "new", &Request::default()), ["network"]);
    let overlap = Request { range: range("10.141.0.128/25"), ..Request::default() };
    assert_eq!(refusal(&cluster, "new", &overlap), ["network"]);
    let gateway = Request { gateway: Patch::Set(ip("10.142.0.1")), ..Request::default() };
    assert_eq!(refusal(&cluster, "cluster", &gateway), ["gateway"]);
    assert_eq!(
        refusal(&cluster, "cluster", &with_dhcp("10.141.0.20", "10.141.0.10")),
        ["dhcp_range_end"]
    );
    assert_eq!(
        refusal(&cluster, "cluster", &with_dhcp("10.142.0.20", "10.141.0.30")),
        ["dhcp_range_begin"]
    );
    let no_range = Request {
        dhcp: RangeRequest { dhcp: Some(true), ..RangeRequest::default() },
        ..Request::default()
    };
    assert_eq!(refusal(&cluster, "cluster", &no_range), ["dhcp_range_begin"]);
    let only_v4 = Request { clear: Some(Family::V4), ..Request::default() };
    assert_eq!(refusal(&cluster, "cluster", &only_v4), ["clear"]);
}

#[test]
fn a_gateway_gets_a_metric_and_keeps_it_when_it_goes() {
    let set = Request { gateway: Patch::Set(ip("10.141.0.254")), ..Request::default() };
    let cluster = save(&cluster(), "cluster", &set);
    assert_eq!(cluster.network("cluster").unwrap().gateway_metric, Some(101));
    let cluster =
        save(&cluster, "cluster", &Request { gateway: Patch::Clear, ..Request::default() });
    assert_eq!(cluster.network("cluster").unwrap().gateway_metric, Some(101));
    assert_eq!(cluster.network("cluster").unwrap().gateway, None);
}

#[test]
fn devices_leave_a_range_that_dhcp_lends_and_new_ones_avoid_it() {
    let cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    let cluster = save(&cluster, "cluster", &with_dhcp("10.141.0.1", "10.141.0.99"));
    assert_eq!(address(&cluster, "node001", "BOOTIF"), "10.141.0.100");
    assert_eq!(address(&cluster, "node002", "BOOTIF"), "10.141.0.101");
    let cluster = with_node(&cluster, "node003");
    assert_eq!(address(&cluster, "node003", "BOOTIF"), "10.141.0.102");
}

#[test]
fn a_new_range_renumbers_its_devices_in_one_change_and_moves_dhcp_along() {
    let mut cluster = save(&cluster(), "cluster", &with_dhcp("10.141.0.200", "10.141.0.219"));
    cluster = with_node(&with_node(&cluster, "node001"), "node002");
    let request = Request { range: range("10.150.0.0/24"), ..Request::default() };
    assert_eq!(
        refusal(&cluster, "cluster", &request),
        ["controller"],
        "the controller must be told where to go"
    );
    let told = Request { controllers: vec![("controller".into(), ip("10.150.0.254"))], ..request };
    cluster = save(&cluster, "cluster", &told);
    assert_eq!(address(&cluster, "node001", "BOOTIF"), "10.150.0.1");
    assert_eq!(address(&cluster, "node002", "BOOTIF"), "10.150.0.2");
    let network = cluster.network("cluster").unwrap();
    assert_eq!(network.dynamic_range(Family::V4), Some((ip("10.150.0.123"), ip("10.150.0.142"))));
    assert!(network.dhcp);
}

#[test]
fn a_node_with_two_interfaces_in_a_network_moves_with_both() {
    let request = node::Request {
        interfaces: vec![in_network("eth1", "cluster"), in_network("eth2", "ib")],
        ..in_group("compute")
    };
    let cluster = change(&cluster(), |draft| node::save(draft, &name("node001"), &request));
    let moved = Request {
        range: range("10.150.0.0/24"),
        controllers: vec![("controller".into(), ip("10.150.0.254"))],
        ..Request::default()
    };
    let cluster = save(&cluster, "cluster", &moved);
    assert_eq!(address(&cluster, "node001", "BOOTIF"), "10.150.0.1");
    assert_eq!(address(&cluster, "node001", "eth1"), "10.150.0.2");
    assert_eq!(address(&cluster, "node001", "eth2"), "10.149.0.1 fd00:149::1", "it is elsewhere");
}

#[test]
fn a_pool_takes_the_nodes_addresses() {
    let cluster = with_node(&cluster(), "node001");
    let mut request = with_dhcp("10.141.0.100", "10.141.0.120");
    request.dhcp.nodes_in_pool = Some(true);
    let cluster = save(&cluster, "cluster", &request);
    assert_eq!(address(&cluster, "node001", "BOOTIF"), "");
    assert!(cluster.node("node001").unwrap().interface("BOOTIF").unwrap().dhcp);
}

#[test]
fn a_renamed_network_keeps_everything_in_it_and_one_in_use_stays() {
    let cluster = with_node(&cluster(), "node001");
    let request = Request { new_name: Some(name("provision")), ..Request::default() };
    let cluster = save(&cluster, "cluster", &request);
    assert_eq!(address(&cluster, "node001", "BOOTIF"), "10.141.0.1");
    assert_eq!(cluster.node("node001").unwrap().hostname(&cluster), "node001.provision");
    let refused = refused(&cluster, |draft| draft.remove(Kind::Network, "provision"));
    assert!(matches!(refused, Error::InUse { by, .. } if by.len() == 3));
}

#[test]
fn a_network_of_sixteen_bits_fills_to_its_last_address() {
    let request = Request { range: range("10.200.0.0/16"), ..Request::default() };
    let mut cluster = save(&cluster(), "big", &request);
    let mut taken = 0_u32;
    // Everything but one address in the middle and the last.
    let mut draft = Draft::new(&cluster);
    let network = Network::clone(draft.network("big").unwrap());
    while let Some(free) = addresses::first_free(&draft, &network, Family::V4) {
        let device = perilune_model::device::OtherDevice {
            name: name(&format!("device{taken}")),
            network: Some(name("big")),
            addresses: perilune_model::Addresses {
                ipv4: free.to_string().parse().ok(),
                ipv6: None,
            },
            ..perilune_model::device::OtherDevice::default()
        };
        draft.put(device).unwrap();
        taken += 1;
    }
    assert_eq!(taken, 65_534);
    cluster = draft.finish().0;
    assert_eq!(cluster.held_count(&name("big"), Family::V4), 65_534);
    let cluster = change(&cluster, |draft| draft.remove(Kind::OtherDevice, "device40000"));
    assert_eq!(
        addresses::first_free(&Draft::new(&cluster), &network, Family::V4),
        Some(ip("10.200.156.65"))
    );
}

#[test]
fn the_cluster_is_changed_as_a_whole_or_not_at_all() {
    let cluster = cluster();
    let request = settings::Request {
        debug: Patch::Set(true),
        controllers: vec![("controller".into(), ip("10.141.0.253"))],
        ..settings::Request::default()
    };
    let changed = change(&cluster, |draft| settings::save(draft, &request));
    assert!(changed.settings().debug);
    assert_eq!(changed.beacon().unwrap().addresses.get(Family::V4), Some(ip("10.141.0.253")));
    let outside = settings::Request {
        controllers: vec![("controller".into(), ip("10.142.0.1"))],
        ..request.clone()
    };
    assert_eq!(fields(&refused(&cluster, |draft| settings::save(draft, &outside))), ["controller"]);
    let unknown =
        settings::Request { controllers: vec![("nobody".into(), ip("10.141.0.1"))], ..request };
    assert_eq!(fields(&refused(&cluster, |draft| settings::save(draft, &unknown))), ["nobody"]);
    let nothing = settings::save(&mut Draft::new(&cluster), &settings::Request::default());
    assert_eq!(
        nothing.unwrap(),
        Saved::Created,
        "which the API answers with 201: there was nothing to do"
    );
}

#[test]
fn a_network_does_not_share_its_own_wire() {
    let shared = |other: &str| Request { shared: Patch::Set(name(other)), ..Request::default() };
    assert_eq!(refusal(&cluster(), "cluster", &shared("cluster")), ["shared"]);
    let cluster = save(&cluster(), "cluster", &shared("ib"));
    assert_eq!(cluster.network("cluster").unwrap().shared, Some(name("ib")));
}

#[test]
fn networks_overlap_only_while_they_share_a_wire() {
    let request = Request {
        range: range("10.141.0.128/25"),
        shared: Patch::Set(name("cluster")),
        ..Request::default()
    };
    let cluster = save(&cluster(), "guests", &request);
    let apart = Request { shared: Patch::Clear, ..Request::default() };
    assert_eq!(refusal(&cluster, "guests", &apart), ["network"]);
    let elsewhere = Request { range: range("10.142.0.0/24"), ..apart };
    let cluster = save(&cluster, "guests", &elsewhere);
    assert_eq!(cluster.network("guests").unwrap().shared, None);
}

/// The cluster whose controller is also name server, time server and gateway.
fn served_by_its_controller() -> Cluster {
    let told = settings::Request {
        nameserver_ip: Patch::Set(vec![ip("10.141.0.254"), ip("192.0.2.53")]),
        ntp_server: Patch::Set(vec![ip("10.141.0.254")]),
        ..settings::Request::default()
    };
    let cluster = change(&cluster(), |draft| settings::save(draft, &told));
    let request = Request {
        gateway: Patch::Set(ip("10.141.0.254")),
        nameserver_ip: Patch::Set("10.141.0.254,192.0.2.53".to_owned().into()),
        ntp_server: Patch::Set("10.141.0.254".to_owned().into()),
        ..Request::default()
    };
    let cluster = save(&cluster, "cluster", &request);
    let other =
        Request { ntp_server: Patch::Set("10.141.0.254".to_owned().into()), ..Request::default() };
    save(&cluster, "ib", &other)
}

#[test]
fn what_names_the_controllers_address_follows_it() {
    let moved = |cluster: &Cluster, to: &str, gateway: &str| {
        let settings = cluster.settings();
        assert_eq!(settings.nameserver_ip, [ip(to), ip("192.0.2.53")]);
        assert_eq!(settings.ntp_server, [ip(to)]);
        let network = cluster.network("cluster").unwrap();
        assert_eq!(network.nameserver_ip, Some(format!("{to},192.0.2.53").into()));
        assert_eq!(network.ntp_server, Some(to.to_owned().into()));
        assert_eq!(network.gateway.map(IpAddr::V4), Some(ip(gateway)));
        assert_eq!(cluster.network("ib").unwrap().ntp_server, Some(to.to_owned().into()));
        assert_eq!(cluster.beacon().unwrap().addresses.get(Family::V4), Some(ip(to)));
    };
    let cluster = served_by_its_controller();
    let to = |address: &str| settings::Request {
        controllers: vec![("controller".into(), ip(address))],
        ..settings::Request::default()
    };
    // In its network; into another one, where the gateway cannot follow; and along with its network's range.
    let here = change(&cluster, |draft| settings::save(draft, &to("10.141.0.9")));
    moved(&here, "10.141.0.9", "10.141.0.9");
    let away = change(&cluster, |draft| settings::save(draft, &to("10.149.0.9")));
    moved(&away, "10.149.0.9", "10.141.0.254");
    assert_eq!(away.beacon().unwrap().network.as_ref().unwrap(), "ib");
    let range = Request {
        range: range("10.150.0.0/24"),
        controllers: vec![("controller".into(), ip("10.150.0.9"))],
        ..Request::default()
    };
    let along = save(&cluster, "cluster", &range);
    moved(&along, "10.150.0.9", "10.150.0.9");

    // What is said in the same request counts.
    let said =
        settings::Request { ntp_server: Patch::Set(vec![ip("192.0.2.123")]), ..to("10.141.0.9") };
    let cluster = change(&cluster, |draft| settings::save(draft, &said));
    assert_eq!(cluster.settings().ntp_server, [ip("192.0.2.123")]);
}
