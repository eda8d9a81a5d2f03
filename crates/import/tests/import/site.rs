//! A site without oddities, object by object.

use std::net::IpAddr;

use perilune_model::network::Zone;
use perilune_model::provisioning::TagChoice;
use perilune_model::rack::DeviceType;
use perilune_model::{Holder, Name};

use perilune_testkit::luna::Database;

use crate::database::{cluster, lines, plan};

#[test]
fn a_site_is_taken_whole_and_nothing_is_odd_about_it() {
    let plan = plan(&Database::site());
    assert_eq!(
        lines(&plan),
        [
            "odd group: these begin with wipe: provisioned, so that nodes are installed over the systems that they have (docs/disk-layout.md): compute"
        ]
    );
    let taken: Vec<(&str, usize)> =
        plan.report.taken.iter().map(|(kind, count)| (*kind, *count)).collect();
    assert_eq!(
        taken,
        [
            ("bmcsetup", 1),
            ("cloud", 1),
            ("cluster", 1),
            ("controller", 1),
            ("dns", 1),
            ("dnshosts", 1),
            ("group", 1),
            ("groupinterface", 3),
            ("groupsecrets", 1),
            ("network", 3),
            ("node", 2),
            ("nodeinterface", 4),
            ("nodesecrets", 1),
            ("osimage", 1),
            ("osimagetag", 1),
            ("otherdev", 1),
            ("rack", 1),
            ("rackinventory", 2),
            ("secrets", 2),
            ("switch", 1),
        ]
    );
}

#[test]
fn networks_controllers_and_devices_are_what_they_were() {
    let cluster = cluster(&plan(&Database::site()));
    let settings = cluster.settings();
    assert_eq!((settings.title.as_str(), settings.domain_search.len()), ("mycluster", 2));
    assert_eq!(settings.nameserver_ip, ["10.141.255.254".parse::<IpAddr>().unwrap()]);
    let network = cluster.network("cluster").unwrap();
    assert_eq!(network.ipv4.unwrap().to_string(), "10.141.0.0/16");
    assert_eq!(network.gateway.unwrap().to_string(), "10.141.255.254");
    assert!(network.dhcp && network.dhcp_range.is_some() && !network.dhcp_nodes_only);
    let ipmi = cluster.network("ipmi").unwrap();
    assert_eq!(ipmi.ipv4.unwrap().to_string(), "10.148.0.0/16");
    assert_eq!(ipmi.ipv6.unwrap().to_string(), "fd00:148::/64");
    assert_eq!(ipmi.shared.as_ref().unwrap(), "storage");
    assert_eq!(cluster.network("storage").unwrap().zone, Zone::External);
    let beacon = cluster.beacon().unwrap();
    assert!(beacon.beacon);
    assert_eq!((beacon.name.as_str(), beacon.serverport), ("controller", 7050));
    assert_eq!(beacon.network.as_ref().unwrap(), "cluster");
    let switch = cluster.switch("switch01").unwrap();
    assert_eq!(switch.macaddress.as_deref(), Some("aa:bb:cc:dd:ee:ff"));
    assert_eq!(
        cluster.holder("10.141.200.1".parse().unwrap()),
        Some(&Holder::Switch(Name::trusted("switch01")))
    );
    let device = cluster.other_device("pdu01").unwrap();
    assert_eq!(
        (device.network.as_ref(), device.addresses.ipv4.unwrap().to_string()),
        (None, "192.168.7.7".to_owned())
    );
    assert_eq!(cluster.dns_hosts_of("cluster").unwrap().hosts[0].host, "printer");
}

#[test]
fn images_groups_and_nodes_are_what_they_were() {
    let cluster = cluster(&plan(&Database::site()));
    let image = cluster.image("compute").unwrap();
    assert_eq!(image.files.imagefile.as_deref(), Some("compute-1.tar.bz2"));
    assert_eq!(image.tag.as_ref().unwrap(), "stable");
    assert_eq!(image.tags[0].files.imagefile.as_deref(), Some("compute-0.tar.bz2"));
    assert_eq!(cluster.bmc_setup("compute-bmc").unwrap().password, "A1B2#!");
    let group = cluster.group("compute").unwrap();
    assert_eq!(group.provisioning.osimage.as_ref().unwrap(), "compute");
    assert_eq!(
        (group.provisioning.netboot, group.provisioning.bootmenu),
        (Some(true), Some(false))
    );
    assert_eq!(group.provisioning.partscript.as_deref(), Some("bW91bnQ="));
    assert_eq!(group.interfaces.len(), 3);
    assert_eq!(group.interface("bond0").unwrap().link.bond_slaves, ["eth2", "eth3"]);
    assert_eq!(group.interface("bond0").unwrap().link.mtu, Some(9000));
    assert_eq!(
        (group.interface("BOOTIF").unwrap().dhcp, group.interface("BMC").unwrap().dhcp),
        (None, Some(false))
    );
    let node = cluster.node("node001").unwrap();
    assert_eq!(
        (node.provisioning.netboot, node.provisioning.setupbmc),
        (None, Some(false)),
        "zero inherits, the word does not"
    );
    assert_eq!(node.provisioning.osimagetag.as_ref().unwrap().word(), "stable");
    assert_eq!(
        (node.switchport.as_deref(), node.cloud.as_ref().unwrap().as_str()),
        (Some("7"), "aws1")
    );
    let boot = node.boot_interface().unwrap();
    assert_eq!(boot.macaddress.unwrap().to_string(), "aa:bb:cc:00:00:01");
    assert_eq!(boot.addresses.ipv4.unwrap().to_string(), "10.141.0.1");
    let vlan = node.interface("eth0.100").unwrap();
    assert_eq!(
        (vlan.link.vlanid, vlan.link.vlan_parent.as_deref(), vlan.network.as_ref()),
        (Some(100), Some("eth0"), None)
    );
    let other = cluster.node("node002").unwrap();
    assert!(other.service && other.boot_interface().unwrap().dhcp);
    assert_eq!(other.provisioning.osimagetag, Some(TagChoice::Current));
}

#[test]
fn secrets_are_taken_as_they_are_stored_and_racks_keep_their_devices() {
    let cluster = cluster(&plan(&Database::site()));
    let secret = &cluster.secrets_of_node("node001").unwrap().secrets[0];
    assert_eq!(
        (secret.content.as_str(), secret.path.as_deref()),
        ("gAAAAABnabcdef==", Some("/etc/ssh/key"))
    );
    assert_eq!(cluster.secrets_of_group("compute").unwrap().secrets[0].content, "bXVuZ2U=");
    assert_eq!(cluster.rack("rack1").unwrap().size, Some(48));
    let placed = cluster.placement("node/node001").unwrap();
    assert_eq!(
        (placed.device_type, placed.height, placed.position, placed.orientation.as_str()),
        (DeviceType::Node, 2, Some(3), "back")
    );
    let pool = cluster.placement("otherdevices/pdu01").unwrap();
    assert_eq!((pool.rack.as_ref(), pool.height), (None, 0));
}

#[test]
fn secrets_are_opened_with_the_key_of_the_site_or_named_when_it_is_another() {
    let mut plan = plan(&Database::site());
    let contents = |plan: &perilune_import::Plan| -> Vec<String> {
        let of = |object: perilune_model::Object| match object {
            perilune_model::Object::NodeSecrets(list) => list.0.secrets.clone(),
            perilune_model::Object::GroupSecrets(list) => list.0.secrets.clone(),
            _ => Vec::new(),
        };
        plan.objects().flat_map(of).map(|secret| secret.content).collect()
    };
    let before = contents(&plan);
    assert!(before.iter().any(|content| content.starts_with("gAAAA")), "{before:?}");
    let foreign = |content: &str| (!content.starts_with("gAAAA")).then(|| content.to_owned());
    assert_eq!(plan.open_secrets(&foreign).unwrap_err().len(), 1);
    plan.open_secrets(&|content| Some(format!("opened {content}"))).unwrap();
    let after = contents(&plan);
    assert_eq!(after.len(), before.len());
    assert!(after.iter().all(|content| content.contains("opened ")), "{after:?}");
}
