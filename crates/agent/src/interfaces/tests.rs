use std::fmt::Write as _;

use perilune_plan::{Image, Interface, Root, Route, Wipe};

use super::*;
use crate::console::tests::Memory;

const BOOT: MacAddress = MacAddress::ethernet([0x52, 0x54, 0, 0, 0, 1]);

/// A plan with these interfaces and else nothing.
pub(crate) fn plan(interfaces: Vec<Interface>) -> Plan {
    Plan {
        node: "node001".to_owned(),
        hostname: "node001.cluster".to_owned(),
        image: Image {
            name: "image".to_owned(),
            file: String::new(),
            torrent: None,
            checksum: None,
            size: None,
            unpacked_size: None,
            distribution: None,
            kernel_file: String::new(),
            initrd_file: String::new(),
        },
        root: Root::Memory,
        boot_order: None,
        memory_limit: None,
        wipe: Wipe::No,
        once: false,
        prescripts: Vec::new(),
        postscripts: Vec::new(),
        roles: Vec::new(),
        interfaces,
        boot_interface: "BOOTIF".to_owned(),
        nameservers: vec!["10.141.255.254".parse().unwrap(), "fd00::254".parse().unwrap()],
        search: vec!["cluster".to_owned(), "ib".to_owned()],
        kernel_arguments: String::new(),
        secrets: Vec::new(),
        bmc: None,
        identity: None,
        script_timeout: 7200,
        hosts: Vec::new(),
        ntp_servers: Vec::new(),
        timezone: None,
        locale: None,
        time: 0,
        controllers: Vec::new(),
    }
}

fn interface(name: &str) -> Interface {
    Interface { name: name.to_owned(), kind: "ethernet".to_owned(), ..Interface::default() }
}

fn route(destination: &str, gateway: Option<&str>, metric: Option<u32>, on_link: bool) -> Route {
    let gateway = gateway.map(|gateway| gateway.parse().unwrap());
    Route { destination: destination.to_owned(), gateway, metric, on_link }
}

/// A node with one of everything.
fn everything() -> Plan {
    let boot = Interface {
        addresses: vec!["10.141.0.1/16".to_owned(), "fd00::1/64".to_owned()],
        gateways: vec!["10.141.255.253".parse().unwrap(), "fd00::253".parse().unwrap()],
        gateway_metric: Some(101),
        mtu: Some(9000),
        routes: vec![
            route("10.0.0.0/8", Some("10.141.0.254"), Some(100), false),
            route("192.0.2.0/24", Some("10.9.0.1"), None, true),
            route("198.51.100.7/32", None, Some(5), false),
            route("fd00:8::/32", Some("fd00::254"), Some(100), false),
        ],
        ..interface("BOOTIF")
    };
    let infiniband = Interface {
        kind: "infiniband".to_owned(),
        addresses: vec!["10.149.0.1/16".to_owned()],
        ..interface("ib0")
    };
    let vlan = Interface {
        vlanid: Some(30),
        vlan_parent: Some("BOOTIF".to_owned()),
        addresses: vec!["10.142.0.1/16".to_owned()],
        ..interface("storage")
    };
    let part = Interface { mac: Some("52:54:00:00:00:02".to_owned()), ..interface("left") };
    let bond = Interface {
        bond_mode: Some("802.3ad".to_owned()),
        bond_slaves: vec!["left".to_owned(), "eth9".to_owned()],
        dhcp: true,
        ..interface("bond0")
    };
    plan(vec![boot, infiniband, vlan, part, bond])
}

fn tree(programs: &[&str], units: &[&str]) -> (tempfile::TempDir, Tree) {
    let directory = tempfile::tempdir().unwrap();
    let tree = Tree::new(directory.path());
    for program in programs {
        tree.write(program, "", 0o755).unwrap();
    }
    for unit in units {
        let target = format!("/lib/systemd/system/{unit}");
        tree.link(format!("etc/systemd/system/multi-user.target.wants/{unit}"), &target).unwrap();
    }
    (directory, tree)
}

/// All files that are written, with their modes.
fn written(plan: &Plan, programs: &[&str]) -> String {
    let (_directory, tree) = tree(programs, &[]);
    let console = Console::new(Memory::default());
    let kind = Kind::of(&tree).unwrap();
    let network = Network::of(plan, BOOT, &console);
    assert_eq!(write(&tree, plan, BOOT, &console).unwrap(), Some(kind));
    let files = match kind {
        Kind::NetworkManager => network_manager::files(&network),
        Kind::Networkd => networkd::files(&network),
        Kind::Netplan => netplan::files(&network),
        Kind::Ifupdown => ifupdown::files(&network),
        Kind::Ifcfg => ifcfg::files(&network),
        Kind::Wicked => wicked::files(&network),
    };
    let mut all = String::new();
    for file in files {
        let text = tree.read(&file.path).unwrap();
        assert_eq!(text, file.text);
        writeln!(all, "--- {} {:o}\n{text}", file.path, file.mode).unwrap();
    }
    all
}

#[test]
fn network_manager_gets_profiles() {
    insta::assert_snapshot!(written(&everything(), &["usr/sbin/NetworkManager"]));
}

#[test]
fn networkd_gets_its_files() {
    insta::assert_snapshot!(written(&everything(), &["lib/systemd/systemd-networkd"]));
}

#[test]
fn netplan_gets_one_file() {
    let text = written(&everything(), &["usr/sbin/netplan", "lib/systemd/systemd-networkd"]);
    insta::assert_snapshot!(text);
}

#[test]
fn ifupdown_gets_interfaces() {
    insta::assert_snapshot!(written(&everything(), &["sbin/ifup"]));
}

#[test]
fn network_scripts_get_ifcfg_files() {
    insta::assert_snapshot!(written(&everything(), &["etc/sysconfig/network-scripts/ifup"]));
}

#[test]
fn wicked_gets_ifcfg_files() {
    insta::assert_snapshot!(written(&everything(), &["usr/sbin/wicked"]));
}

#[test]
fn what_is_enabled_comes_before_what_is_installed() {
    let programs = ["usr/sbin/NetworkManager", "usr/lib/systemd/systemd-networkd", "usr/sbin/ifup"];
    let kind = |units: &[&str]| Kind::of(&tree(&programs, units).1);
    assert_eq!(kind(&[]), Some(Kind::NetworkManager));
    assert_eq!(kind(&["systemd-networkd.service"]), Some(Kind::Networkd));
    assert_eq!(kind(&["networking.service"]), Some(Kind::Ifupdown));
    assert_eq!(Kind::of(&tree(&[], &[]).1), None);
}

#[test]
fn networkd_is_enabled_where_nothing_else_is_there() {
    let (_directory, tree) = tree(&["usr/lib/systemd/systemd-networkd"], &[]);
    write(&tree, &everything(), BOOT, &Console::new(Memory::default())).unwrap();
    assert!(tree.is_link("etc/systemd/system/multi-user.target.wants/systemd-networkd.service"));
}

#[test]
fn strange_names_and_addresses_are_left_out_and_said() {
    let memory = Memory::default();
    let console = Console::new(memory.clone());
    let strange = plan(vec![
        interface("../../etc/passwd"),
        interface("a\nb"),
        Interface { addresses: vec!["10.0.0.1".to_owned()], ..interface("eth1") },
    ]);
    let network = Network::of(&strange, BOOT, &console);
    assert_eq!(network.devices.len(), 1);
    assert!(network.devices[0].addresses.is_empty());
    assert_eq!(memory.text().matches("warning").count(), 3);
}

#[test]
fn routes_of_a_part_of_a_bond_are_the_bonds_and_impossible_ones_are_left_out_and_said() {
    let part = Interface {
        routes: vec![
            route("10.0.0.0/8", Some("10.141.0.254"), None, false),
            route("fd00:8::/32", Some("fd00::254"), None, false),
            route("10.0.0.0", None, None, false),
            route("10.0.0.0/8", Some("fd00::254"), None, false),
            route("a\nb", None, None, false),
        ],
        ..interface("BOOTIF")
    };
    let bond = Interface {
        bond_slaves: vec!["BOOTIF".to_owned()],
        addresses: vec!["10.141.0.1/16".to_owned()],
        ..interface("bond0")
    };
    let plan = plan(vec![part, bond]);
    let memory = Memory::default();
    let network = Network::of(&plan, BOOT, &Console::new(memory.clone()));
    let routes: Vec<usize> = network.devices.iter().map(|device| device.routes.len()).collect();
    assert_eq!(routes, [0, 1]);
    assert_eq!(memory.text().matches("warning").count(), 4, "{}", memory.text());
    assert!(!memory.text().contains("a\nb"));
}

#[test]
fn a_bond_of_the_boot_card_is_what_the_node_is_reached_by() {
    let bond = Interface {
        bond_mode: Some("4".to_owned()),
        bond_slaves: vec!["BOOTIF".to_owned(), "eth9".to_owned()],
        addresses: vec!["10.141.0.1/16".to_owned()],
        ..interface("bond0")
    };
    let text = written(&plan(vec![interface("BOOTIF"), bond]), &["lib/systemd/systemd-networkd"]);
    let bond = text.split("---").find(|file| file.contains("bond0.network")).unwrap();
    for line in ["DNS=10.141.255.254", "RequiredForOnline=yes", "Address=10.141.0.1/16"] {
        assert!(bond.contains(line), "{text}");
    }
    assert_eq!(text.matches("DNS=10.141.255.254").count(), 1);
    assert!(text.contains("Mode=802.3ad"), "{text}");
}

#[test]
fn what_an_image_brings_along_is_put_aside() {
    let (_directory, tree) = tree(&["usr/sbin/NetworkManager"], &[]);
    let secret = "[connection]\nid=office\n";
    for (path, text) in [
        ("etc/NetworkManager/system-connections/office.nmconnection", secret),
        ("etc/NetworkManager/system-connections/ours", "# perilune: keep\n"),
        ("etc/netplan/50-cloud-init.yaml", "network: {}\n"),
        ("etc/systemd/network/20-wired.network", "[Match]\nName=en*\n[Network]\nDHCP=yes\n"),
        ("etc/systemd/network/70-captured.link", "[Match]\nMACAddress=52:54:00:00:00:09\n"),
        ("etc/systemd/network/99-default.link", "[Match]\nOriginalName=*\n"),
        ("etc/sysconfig/network-scripts/ifcfg-eth0", "ONBOOT=yes\n"),
        ("etc/sysconfig/network-scripts/ifcfg-lo", "DEVICE=lo\n"),
        ("etc/network/interfaces", "auto eth0\niface eth0 inet dhcp\n"),
        ("etc/cloud/cloud.cfg", ""),
    ] {
        tree.write(path, text, 0o600).unwrap();
    }
    let memory = Memory::default();
    write(&tree, &everything(), BOOT, &Console::new(memory.clone())).unwrap();
    for (path, stays) in [
        ("etc/NetworkManager/system-connections/office.nmconnection", false),
        ("etc/NetworkManager/system-connections/ours", true),
        ("etc/NetworkManager/system-connections/Connection_boot0.nmconnection", true),
        ("etc/netplan/50-cloud-init.yaml", false),
        ("etc/systemd/network/20-wired.network", false),
        ("etc/systemd/network/70-captured.link", false),
        ("etc/systemd/network/99-default.link", true),
        ("etc/systemd/network/10-perilune-boot0.link", true),
        ("etc/sysconfig/network-scripts/ifcfg-eth0", false),
        ("etc/sysconfig/network-scripts/ifcfg-lo", true),
    ] {
        assert_eq!(tree.exists(path), stays, "{path}");
        assert_eq!(tree.exists(format!("etc/perilune/parked/{path}")), !stays, "{path}");
    }
    let parked = "etc/perilune/parked/etc/NetworkManager/system-connections/office.nmconnection";
    assert_eq!(tree.read(parked).unwrap(), secret);
    assert_eq!(tree.read("etc/network/interfaces").unwrap(), "auto lo\niface lo inet loopback\n");
    let off = tree.read("etc/cloud/cloud.cfg.d/99-perilune-network.cfg").unwrap();
    assert_eq!(off, "network: {config: disabled}\n");
    assert!(memory.text().contains("below /etc/perilune/parked"), "{}", memory.text());
}

#[test]
fn wicked_is_told_the_name_servers_and_keeps_its_other_settings() {
    let (_directory, tree) = tree(&["usr/sbin/wicked"], &[]);
    let before = "CHECK_DUPLICATE_IP=\"yes\"\nNETCONFIG_DNS_STATIC_SERVERS=\"192.0.2.1\"\n";
    tree.write("etc/sysconfig/network/config", before, 0o644).unwrap();
    write(&tree, &everything(), BOOT, &Console::new(Memory::default())).unwrap();
    assert_eq!(
        tree.read("etc/sysconfig/network/config").unwrap(),
        "CHECK_DUPLICATE_IP=\"yes\"\nNETCONFIG_DNS_STATIC_SERVERS=\"10.141.255.254 fd00::254\"\n\
         NETCONFIG_DNS_STATIC_SEARCHLIST=\"cluster ib\"\n"
    );
}

#[test]
fn a_port_of_infiniband_has_its_name_by_its_guid_whatever_configures_the_network() {
    const GUID: &str = "e4:1d:2d:03:00:11:22:33";
    let whole = format!("80:00:02:08:fe:80:00:00:00:00:00:00:{GUID}");
    for (kind, program) in [
        ("networkd", "lib/systemd/systemd-networkd"),
        ("NetworkManager", "usr/sbin/NetworkManager"),
        ("netplan", "usr/sbin/netplan"),
        ("ifupdown", "usr/sbin/ifup"),
        ("ifcfg", "etc/sysconfig/network-scripts/ifup"),
        ("wicked", "usr/sbin/wicked"),
    ] {
        for (mac, network) in [(GUID, "infiniband"), (&whole, "infiniband"), (&whole, "ethernet")] {
            let port = Interface {
                kind: network.to_owned(),
                mac: Some(mac.to_owned()),
                addresses: vec!["10.149.0.1/16".to_owned()],
                ..interface("ib0")
            };
            let (_directory, tree) = tree(&[program], &[]);
            let plan = plan(vec![interface("BOOTIF"), port]);
            write(&tree, &plan, BOOT, &Console::new(Memory::default())).unwrap();
            let rule = tree.read("etc/udev/rules.d/70-perilune-ib0.rules").unwrap();
            assert!(
                rule.contains(&format!("ATTR{{address}}==\"?*{GUID}\", NAME=\"ib0\"")),
                "{kind}: {rule}"
            );
            assert!(!tree.exists("etc/systemd/network/10-perilune-ib0.link"), "{kind}");
            assert!(!tree.exists("etc/udev/rules.d/70-perilune-boot0.rules"), "{kind}");
        }
    }
    // The machine booted from such a port.
    let (_directory, tree) = tree(&["lib/systemd/systemd-networkd"], &[]);
    let plan = plan(vec![interface("BOOTIF")]);
    write(&tree, &plan, whole.parse().unwrap(), &Console::new(Memory::default())).unwrap();
    let rule = tree.read("etc/udev/rules.d/70-perilune-boot0.rules").unwrap();
    assert!(rule.contains(GUID) && rule.contains("NAME=\"boot0\""), "{rule}");
}
