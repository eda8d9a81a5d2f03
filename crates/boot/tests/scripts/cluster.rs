//! The clusters that scripts are rendered for.

use perilune_boot::{
    Directories, Environment, Error, NodeScript, OnDisk, Settings, Site, Templates,
};
use perilune_model::bmc_setup::BmcSetup;
use perilune_model::controller::Controller;
use perilune_model::group::Group;
use perilune_model::image::{Image, ImageFiles};
use perilune_model::interface::{Interface, Link};
use perilune_model::network::{Network, Zone};
use perilune_model::node::Node;
use perilune_model::provisioning::Provisioning;
use perilune_model::{Addresses, Cluster, Draft, MacAddress, Name};

pub(crate) const MAC: &str = "52:54:00:00:00:01";
/// printf 'mount -t tmpfs tmpfs /sysroot' | base64
const PARTSCRIPT: &str = "bW91bnQgLXQgdG1wZnMgdG1wZnMgL3N5c3Jvb3QK";
/// The options field of an interface: "ethtool=off", as a client sends it.
const OPTIONS: &str = "ZXRodG9vbD1vZmY=";

/// The script of the machine with this hardware address.
pub(crate) fn script_of(
    site: &Site<'_>,
    mac: MacAddress,
    ticket: &str,
) -> Result<NodeScript, Error> {
    site.node_script(&site.machine(mac)?, ticket, OnDisk::default())
}

/// One group of two nodes on one network, with an image that is packed.
pub(crate) fn small() -> Draft {
    let mut draft = Draft::new(&Cluster::default());
    draft
        .put(Network {
            name: name("cluster"),
            ipv4: Some("10.141.0.0/16".parse().unwrap()),
            gateway: Some("10.141.255.254".parse().unwrap()),
            dhcp: true,
            dhcp_nodes_only: true,
            ..Network::default()
        })
        .unwrap();
    draft
        .put(Controller {
            name: name("controller"),
            beacon: true,
            addresses: addresses("10.141.255.254"),
            network: Some(name("cluster")),
            ..Controller::default()
        })
        .unwrap();
    draft.put(image("compute")).unwrap();
    draft
        .put(Group {
            name: name("compute"),
            provisioning: Provisioning {
                osimage: Some(name("compute")),
                netboot: Some(true),
                partscript: Some(PARTSCRIPT.to_owned()),
                provision_method: Some("http".to_owned().into()),
                ..Provisioning::default()
            },
            ..Group::default()
        })
        .unwrap();
    draft.put(node("node001", "10.141.0.1", Some(MAC))).unwrap();
    draft.put(node("node002", "10.141.0.2", None)).unwrap();
    draft
}

pub(crate) fn image(image: &str) -> Image {
    Image {
        name: name(image),
        files: ImageFiles {
            kernelfile: Some(format!("{image}-1767348000-vmlinuz-6.1.0-40-amd64")),
            initrdfile: Some(format!("{image}-1767348000-initramfs-6.1.0-40-amd64")),
            imagefile: Some(format!("{image}-1767348000.tar.zst")),
            ..ImageFiles::default()
        },
        kerneloptions: Some("console=ttyS0,115200".to_owned()),
        distribution: Some("rocky".to_owned()),
        osrelease: Some("9".to_owned()),
        ..Image::default()
    }
}

pub(crate) fn node(node: &str, address: &str, mac: Option<&str>) -> Node {
    Node {
        name: name(node),
        group: name("compute"),
        interfaces: vec![Interface {
            name: name("BOOTIF"),
            macaddress: mac.map(|mac| mac.parse().unwrap()),
            network: Some(name("cluster")),
            addresses: addresses(address),
            ..Interface::default()
        }],
        ..Node::default()
    }
}

/// The small cluster, whose first node has everything: a bond to boot from, a VLAN, a BMC, scripts and roles.
pub(crate) fn everything() -> Draft {
    let mut draft = small();
    draft
        .put(Network {
            name: name("storage"),
            ipv4: Some("10.149.0.0/16".parse().unwrap()),
            ipv6: Some("fd00:149::/64".parse().unwrap()),
            gateway_ipv6: Some("fd00:149::ff".parse().unwrap()),
            nameserver_ip: Some("10.149.0.53, 10.149.0.54".to_owned().into()),
            zone: Zone::External,
            ..Network::default()
        })
        .unwrap();
    draft
        .put(Network {
            name: name("ipmi"),
            ipv4: Some("10.148.0.0/16".parse().unwrap()),
            ..Network::default()
        })
        .unwrap();
    draft
        .put(BmcSetup {
            name: name("bmc"),
            username: "admin".to_owned(),
            password: "it's \"secret\"".to_owned(),
            ..BmcSetup::default()
        })
        .unwrap();
    let mut node = node("node001", "10.141.0.1", Some(MAC));
    *node.provisioning = Provisioning {
        bmcsetup: Some(name("bmc")),
        setupbmc: Some(true),
        scripts: Some("raid1, burnin".to_owned().into()),
        roles: Some("storage".to_owned().into()),
        provision_method: Some("torrent".to_owned().into()),
        provision_fallback: Some("http".to_owned().into()),
        prescript: Some("echo plain text".to_owned()),
        ..Provisioning::default()
    };
    let boot = node.interfaces.first_mut().unwrap();
    boot.link = Link {
        bond_mode: Some("active-backup".to_owned()),
        bond_slaves: vec!["eth0".to_owned(), "eth1".to_owned()],
        mtu: Some(9000),
        ..Link::default()
    };
    node.interfaces.push(Interface {
        name: name("BMC"),
        network: Some(name("ipmi")),
        addresses: addresses("10.148.0.1"),
        ..Interface::default()
    });
    let mut both = addresses("10.149.0.1");
    both.set("fd00:149::1".parse().unwrap());
    node.interfaces.push(Interface {
        name: name("eth2.100"),
        network: Some(name("storage")),
        addresses: both,
        link: Link {
            vlanid: Some(100),
            vlan_parent: Some("eth2".to_owned()),
            options: Some(OPTIONS.to_owned()),
            ..Link::default()
        },
        ..Interface::default()
    });
    draft.put(node).unwrap();
    draft
}

pub(crate) fn change_node(draft: &mut Draft, change: impl FnOnce(&mut Node)) {
    let mut node = (**draft.node("node001").unwrap()).clone();
    change(&mut node);
    draft.put(node).unwrap();
}

pub(crate) fn change_image(draft: &mut Draft, change: impl FnOnce(&mut Image)) {
    let mut image = (**draft.image("compute").unwrap()).clone();
    change(&mut image);
    draft.put(image).unwrap();
}

pub(crate) fn environment(cluster: &Cluster) -> Environment {
    Environment::of(cluster, &Settings::default())
}

pub(crate) fn built_in() -> Templates {
    Templates::new(Directories::default())
}

pub(crate) fn name(text: &str) -> Name {
    Name::trusted(text)
}

fn addresses(address: &str) -> Addresses {
    let mut addresses = Addresses::default();
    addresses.set(address.parse().unwrap());
    addresses
}
