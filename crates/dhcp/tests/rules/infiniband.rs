//! Machines on InfiniBand (RFC 4390): their address does not fit into the head, and a client identifier has it.

use dhcproto::v4::MessageType;
use perilune_dhcp::{Decision, Request, reply};
use perilune_model::node::Node;
use perilune_model::{Edit, Family, MacAddress};

use crate::machine::{Site, cluster, ip, policy};

const GUID: &str = "00:02:c9:03:00:00:10:39";

/// The site, where this is the hardware address of node001.
fn site(known: &str) -> Site {
    let mut cluster = cluster();
    let mut node = Node::clone(cluster.node("node001").unwrap());
    node.interfaces[0].macaddress = Some(known.parse().unwrap());
    cluster.apply(&Edit::Put(node.into()));
    Site::new(cluster)
}

fn link(head: &str) -> String {
    format!("{head}:fe:80:00:00:00:00:00:00:{GUID}")
}

/// A packet with this client identifier and these options.
fn packet(kind: MessageType, length: u8, identifier: &[u8], options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 240];
    bytes[..8].copy_from_slice(&[1, 32, length, 0, 1, 2, 3, 4]);
    bytes[10] = 0x80;
    if length == 8 {
        bytes[28..36].copy_from_slice(GUID.parse::<MacAddress>().unwrap().as_bytes());
    }
    bytes[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    bytes.extend([53, 1, u8::from(kind)]);
    if !identifier.is_empty() {
        bytes.extend([61, u8::try_from(identifier.len()).unwrap()]);
        bytes.extend(identifier);
    }
    bytes.extend(options);
    bytes.push(255);
    bytes
}

fn identifier(address: &str) -> Vec<u8> {
    [&[32][..], address.parse::<MacAddress>().unwrap().as_bytes()].concat()
}

fn answer(site: &mut Site, packet: &[u8]) -> (std::net::IpAddr, Vec<u8>) {
    let request = Request::read(packet).expect("it is a request");
    match reply(&site.cluster, &mut site.leases, &policy(), &request, site.now).0 {
        Decision::Answer(answer) => {
            assert_eq!(answer.to, "255.255.255.255:68".parse().unwrap());
            (answer.address, answer.packet)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_node_is_known_by_its_port_in_every_form() {
    let (here, moved) = (link("80:00:02:08"), link("80:00:0a:1b"));
    for known in [GUID, here.as_str()] {
        for (length, says) in
            [(0, identifier(&here)), (0, identifier(&moved)), (0, identifier(GUID)), (8, vec![])]
        {
            let mut site = site(known);
            let discover = packet(MessageType::Discover, length, &says, &[]);
            let (address, answer) = answer(&mut site, &discover);
            assert_eq!(address, ip("10.141.0.1"), "{known} {says:02x?}");
            assert_eq!(answer[..8], [2, 32, length, 0, 1, 2, 3, 4]);
            assert_eq!((answer[10], &answer[28..44]), (0x80, &discover[28..44]));
            if !says.is_empty() {
                let echoed = [&[61, u8::try_from(says.len()).unwrap()][..], &says].concat();
                assert!(answer.windows(echoed.len()).any(|option| option == echoed), "RFC 6842");
            }
        }
    }
}

#[test]
fn a_stranger_is_lent_one_address_from_firmware_to_system() {
    let mut site = Site::new(cluster());
    let firmware = packet(MessageType::Discover, 8, &identifier(&link("80:00:02:08")), &[]);
    let (offered, _) = answer(&mut site, &firmware);
    let chosen = [&[50, 4][..], &octets(offered), &[54, 4, 10, 141, 0, 254]].concat();
    let request = packet(MessageType::Request, 8, &identifier(&link("80:00:02:08")), &chosen);
    assert_eq!(answer(&mut site, &request).0, offered);
    let system = packet(MessageType::Discover, 0, &identifier(&link("80:00:0a:1b")), &[]);
    assert_eq!(answer(&mut site, &system).0, offered);
    let guid = GUID.parse().unwrap();
    assert_eq!(site.leases.of(guid, Family::V4), Some(offered));
    let request = Request::read(&system).unwrap();
    let seen = reply(&site.cluster, &mut site.leases, &policy(), &request, site.now).1.unwrap();
    assert_eq!(seen.mac, guid);
}

#[test]
fn ipxe_of_a_port_is_sent_to_its_script() {
    let mut site = site(GUID);
    let ipxe = [&[60, 9][..], b"PXEClient", &[93, 2, 0, 7, 77, 4], b"iPXE"].concat();
    let (_, answer) = answer(&mut site, &packet(MessageType::Discover, 8, &[], &ipxe));
    assert!(answer[108..].starts_with(b"http://10.141.0.254:7050/boot\0"));
}

#[test]
fn who_does_not_say_which_port_it_is_is_not_answered() {
    for says in [vec![], vec![32], b"\xff\0\0\0\x01\0\x04uuid-uuid-uuid-u".to_vec()] {
        assert!(Request::read(&packet(MessageType::Discover, 0, &says, &[])).is_none());
    }
}

fn octets(address: std::net::IpAddr) -> Vec<u8> {
    match address {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => panic!("{address}"),
    }
}
