//! What is described is told, and becomes no other part of a file.

use perilune_boot::Directories;
use perilune_model::Draft;
use perilune_model::controller::Controller;
use perilune_model::group::Group;
use perilune_model::interface::Interface;
use perilune_model::provisioning::IpxeKernel;
use perilune_model::settings::Settings;

use super::*;
use crate::{DHCPD, DHCPD6, KEA4, KEA6, templates};

/// What an operator might write to have more than a host described.
const HOSTILE: &str = "a\"; execute(\"/bin/sh\"); }";

fn site() -> Cluster {
    let mut draft = Draft::new(&Cluster::default());
    let settings = Settings {
        domain_search: vec![HOSTILE.to_owned(), "cluster".to_owned()],
        ..Settings::default()
    };
    draft.put(settings).unwrap();
    let network = |name: &str, ipv4: &str, ipv6: &str| Network {
        name: Name::trusted(name),
        ipv4: ipv4.parse().ok(),
        ipv6: ipv6.parse().ok(),
        dhcp: true,
        dhcp_nodes_only: true,
        nameserver_ip: Some(format!("10.9.0.254,{HOSTILE}").into()),
        ntp_server: Some(HOSTILE.to_owned().into()),
        ..Network::default()
    };
    draft.put(network("cluster", "10.9.0.0/24", "fd00:9::/64")).unwrap();
    let ipmi =
        Network { shared: Some(Name::trusted("cluster")), ..network("ipmi", "10.8.0.0/24", "") };
    draft.put(ipmi).unwrap();
    draft
        .put(Controller {
            name: Name::trusted("controller"),
            beacon: true,
            network: Some(Name::trusted("cluster")),
            addresses: Addresses {
                ipv4: Some([10, 9, 0, 254].into()),
                ipv6: "fd00:9::fe".parse().ok(),
            },
            ..Controller::default()
        })
        .unwrap();
    draft.put(Group { name: Name::trusted("compute"), ..Group::default() }).unwrap();
    let interface = Interface {
        name: Name::interface("eth0;}").unwrap(),
        macaddress: "52:54:00:00:00:01".parse().ok(),
        network: Some(Name::trusted("cluster")),
        addresses: Addresses { ipv4: Some([10, 9, 0, 1].into()), ipv6: "fd00:9::1".parse().ok() },
        ..Interface::default()
    };
    let node = Node {
        name: Name::trusted("node001"),
        group: Name::trusted("compute"),
        interfaces: vec![interface],
        ..Node::default()
    };
    draft.put(node).unwrap();
    draft.finish().0
}

#[test]
fn what_is_described_becomes_no_other_part_of_a_file() {
    let cluster = site();
    let own = templates(Directories::default());
    let place = Place { boot_port: 7050, ..Place::default() };
    for (template, family) in
        [(DHCPD, Family::V4), (DHCPD6, Family::V6), (KEA4, Family::V4), (KEA6, Family::V6)]
    {
        let variables = Dhcp::new(&cluster, family, &DhcpKeys::default(), &place).unwrap();
        let text = variables.render(&own, template).unwrap();
        assert!(!text.contains("execute") && !text.contains("eth0"), "{template}: {text}");
        assert!(text.contains("52:54:00:00:00:01"), "{template}: {text}");
        // Sites' own templates are told the same.
        let told = serde_json::to_string(&variables).unwrap();
        assert!(!told.contains("execute"), "{told}");
    }
}

#[test]
fn networks_of_one_wire_are_told_together() {
    let cluster = site();
    let place = Place { boot_port: 7050, ..Place::default() };
    let variables = Dhcp::new(&cluster, Family::V4, &DhcpKeys::default(), &place).unwrap();
    let told = serde_json::to_value(&variables).unwrap();
    assert_eq!(told["SUBNETS"], serde_json::json!({}));
    let share = &told["SHARED"]["cluster-ipmi"];
    assert_eq!(share["cluster"]["netmask"], "255.255.255.0");
    assert_eq!(share["ipmi"]["network"], "10.8.0.0");
    assert_eq!(told["POOLS"]["cluster-ipmi"]["policy"], "deny");
    assert_eq!(told["POOLS"]["ipmi"]["members"], serde_json::json!(["ipmi"]));
    assert_eq!(told["CLASSES"]["ipmi"]["match"], "udhcp");
    assert_eq!(told["RESERVATIONS"]["cluster"][0]["ipaddress"], "10.9.0.1");
    assert_eq!(told["NAMESERVERS"], "10.9.0.254");
}

/// Rendered for a node whose machine has told its number, and that starts by another boot program.
fn by_ipv6(template: &str) -> String {
    let mut draft = Draft::new(&site());
    let mut node = Node::clone(&draft.nodes()["node001"]);
    let mut provisioning = (*node.provisioning).clone();
    provisioning.ipxe_kernel = Some(IpxeKernel::Alternative);
    node.provisioning = provisioning.into();
    draft.put(node).unwrap();
    let numbers = [(Name::trusted("node001"), vec![[0x4c; 16], [0x50; 16]])].into();
    let place = Place { boot_port: 7050, numbers, ..Place::default() };
    let cluster = draft.finish().0;
    let variables = Dhcp::new(&cluster, Family::V6, &DhcpKeys::default(), &place).unwrap();
    variables.render(&templates(Directories::default()), template).unwrap()
}

#[test]
fn firmware_has_the_program_of_its_processor_by_the_way_that_it_boots() {
    let text = by_ipv6(DHCPD6);
    for url in ["tftp://[fd00:9::fe]/", "http://[fd00:9::fe]:7050/files/"] {
        for file in ["luna_ipxe", "luna_ipxe_arm64", "luna_snponly", "luna_snponly_arm64"] {
            for text in [&text, &by_ipv6(KEA6)] {
                assert!(text.contains(&format!("\"{url}{file}.efi\"")), "{url}{file}: {text}");
            }
        }
    }
    assert!(text.contains("http://[fd00:9::fe]:7050/boot"), "{text}");
    // What firmware that boots by HTTP wants to see in an answer.
    assert!(text.contains("00:00:01:57:00:0a:48:54:54:50:43:6c:69:65:6e:74"), "{text}");
    assert!(by_ipv6(KEA6).contains("00000157000a48545450436c69656e74"));
}

#[test]
fn dhcpd_knows_a_machine_by_its_number_in_each_order_of_bytes() {
    let text = by_ipv6(DHCPD6);
    for byte in ["4c", "50"] {
        let duid = format!("client-id 00:04{};", format!(":{byte}").repeat(16));
        assert_eq!(text.matches(&duid).count(), 1, "{duid}: {text}");
    }
    assert_eq!(text.matches("fixed-address6 fd00:9::1;").count(), 3, "{text}");
}
