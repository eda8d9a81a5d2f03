//! Which port machines are sent to for their scripts: one of the daemon's own, since another server in front hides who asks.

use perilune_boot::{Environment, Error, Protocol, Settings, Site};
use perilune_model::controller::Controller;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::{Addresses, Draft, MacAddress, Name};

use crate::cluster::{self, MAC, name};

#[test]
fn every_script_sends_machines_to_the_daemons_own_port_for_the_next_one() {
    let cluster = cluster::everything().finish().0;
    let settings = Settings {
        web_server: Some((Protocol::Http, 7051)),
        listen: vec![(Protocol::Http, ([0, 0, 0, 0], 7050).into())],
        ..Settings::default()
    };
    let environment = Environment::of(&cluster, &settings);
    let site =
        Site { templates: &cluster::built_in(), environment: &environment, cluster: &cluster };
    let mac: MacAddress = MAC.parse().unwrap();
    let waiting =
        Error::Waiting { mac: MAC.to_owned(), wish: "node001".to_owned(), replaces: false };
    let unknown = Error::UnknownMachine { mac: MAC.to_owned() };
    let manual = format!("/boot/manual/group/compute/{MAC}");
    let scripts = [
        ("menu", site.menu().unwrap()),
        ("short menu", site.short_menu().unwrap()),
        ("disk", site.disk_script().unwrap()),
        ("direct", site.direct_script(mac)),
        ("failed", site.failed_script(&unknown)),
        ("waiting", site.waiting_script(&waiting, &manual)),
        ("ask again", site.ask_again_script(&name("node001"), mac, 1)),
        ("busy", site.busy_script(&manual, 7)),
        ("node", cluster::script_of(&site, mac, "ticket").unwrap().text),
    ];
    for (kind, script) in scripts {
        assert!(script.contains(":7050/boot"), "{kind}: {script}");
        assert!(!script.contains(":7051/boot"), "{kind}: {script}");
    }
}

#[test]
fn a_machine_that_asks_too_often_waits_and_asks_the_same_again() {
    let cluster = cluster::everything().finish().0;
    let settings = Settings::default();
    let environment = Environment::of(&cluster, &settings);
    let site =
        Site { templates: &cluster::built_in(), environment: &environment, cluster: &cluster };
    let script = site.busy_script("/boot/search/mac/${net0/mac}\nreboot?again=1", 9);
    assert!(script.contains("\nsleep 9\n"), "{script}");
    assert!(script.contains("/boot/search/mac/{net0/mac}reboot?again=1 ||\n"), "{script}");
}

/// What the configuration of a first start says.
fn of_a_first_start() -> Settings {
    Settings {
        api_protocol: Protocol::Https,
        firmware_port: Some(7051),
        listen: vec![
            (Protocol::Https, ([0, 0, 0, 0], 7050).into()),
            (Protocol::Http, ([0, 0, 0, 0], 7051).into()),
        ],
        ..Settings::default()
    }
}

#[test]
fn firmware_has_a_port_of_its_own_and_archives_are_not_fetched_there() {
    let cluster = cluster::everything().finish().0;
    let environment = Environment::of(&cluster, &of_a_first_start());
    assert_eq!(environment.api_url(), environment.web_url(), "archives need a token");
    assert!(environment.api_url().starts_with("https://"), "{}", environment.api_url());
    assert!(environment.boot_url().ends_with(":7051"), "{}", environment.boot_url());
    assert_eq!(environment.boot_url(), environment.firmware_files_url());
    let site =
        Site { templates: &cluster::built_in(), environment: &environment, cluster: &cluster };
    let script = cluster::script_of(&site, MAC.parse().unwrap(), "ticket").unwrap().text;
    let kernel = script.lines().find(|line| line.starts_with("kernel ")).unwrap();
    assert!(kernel.contains(":7051/files/"), "{kernel}");
    assert!(kernel.contains("luna.url=https://"), "{kernel}");
    let install = site.install_script("node001", "token").unwrap();
    assert!(!install.contains(":7051"), "a token would be shown to whoever listens: {install}");
}

#[test]
fn another_server_of_files_is_still_where_firmware_finds_them() {
    let cluster = cluster::everything().finish().0;
    let settings = Settings { web_server: Some((Protocol::Http, 8080)), ..of_a_first_start() };
    let environment = Environment::of(&cluster, &settings);
    assert!(environment.firmware_files_url().ends_with(":8080"));
    assert!(environment.boot_url().ends_with(":7051"));
    // Firmware knows no certificate of a site, whoever shows it.
    let settings = Settings { web_server: Some((Protocol::Https, 8443)), ..of_a_first_start() };
    let environment = Environment::of(&cluster, &settings);
    assert!(environment.firmware_files_url().ends_with(":7051"));
    assert!(environment.web_url().ends_with(":8443"));
}

#[test]
fn a_machine_of_a_network_without_ipv6_is_sent_to_ipv4() {
    let cluster = cluster::everything().finish().0;
    let both = Network {
        ipv6: "fd00:141::/64".parse().ok(),
        ..Network::clone(&cluster.networks()["cluster"])
    };
    let old = Network {
        name: Name::trusted("old"),
        ipv4: "10.150.0.0/16".parse().ok(),
        ..Network::default()
    };
    let own = ("10.141.255.254".parse().ok(), "fd00:141::fe".parse().ok());
    let controller = Controller {
        addresses: Addresses { ipv4: own.0, ipv6: own.1 },
        ..Controller::clone(cluster.beacon().unwrap())
    };
    let mut draft = Draft::new(&cluster);
    draft.put(both).unwrap();
    draft.put(old).unwrap();
    draft.put(controller).unwrap();
    let cluster = draft.finish().0;
    for (at, expected) in [
        (None, "fd00:141::fe"),
        (Some("127.0.0.1"), "fd00:141::fe"),
        (Some("10.141.0.1"), "fd00:141::fe"),
        (Some("fd00:141::1"), "fd00:141::fe"),
        (Some("10.150.0.1"), "10.141.255.254"),
        (Some("192.0.2.1"), "fd00:141::fe"),
    ] {
        let at = at.map(|at| at.parse().unwrap());
        let environment = Environment::for_machine(&cluster, &Settings::default(), at);
        assert_eq!(environment.controller.to_string(), expected, "{at:?}");
    }
}

#[test]
fn a_node_with_both_families_goes_to_the_controller_by_the_one_that_it_is_sent_to() {
    let cluster = cluster::everything().finish().0;
    let network = Network {
        ipv6: "fd00:141::/64".parse().ok(),
        gateway_ipv6: "fd00:141::1".parse().ok(),
        ..Network::clone(&cluster.networks()["cluster"])
    };
    let mut node = Node::clone(&cluster.nodes()["node002"]);
    let mac = "52:54:00:00:00:02".parse().unwrap();
    for interface in &mut node.interfaces {
        interface.addresses.ipv6 = "fd00:141::2".parse().ok();
        interface.macaddress = Some(mac);
    }
    let mut draft = Draft::new(&cluster);
    draft.put(network).unwrap();
    draft.put(node).unwrap();
    let cluster = draft.finish().0;
    for (controller, address, gateway) in [
        ("10.141.255.254", "luna.ip=10.141.0.2/16", "luna.gw=10.141.255.254"),
        ("fd00:141::fe", "luna.ip=fd00:141::2/64", "luna.gw=fd00:141::1"),
    ] {
        let environment = Environment::single(controller.parse().unwrap(), 7050);
        let templates = cluster::built_in();
        let site = Site { templates: &templates, environment: &environment, cluster: &cluster };
        let script = cluster::script_of(&site, mac, "").unwrap().text;
        assert!(script.contains(address) && script.contains(gateway), "{script}");
    }
}
