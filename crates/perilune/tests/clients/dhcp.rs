//! Addresses, and what comes with them.

use std::net::UdpSocket;
use std::time::Duration;

use crate::site::{CONTROLLER, NAME_SERVER, NODE_MAC, ROUTER, Site};
use crate::tools::{DHCLIENT, UDHCPC};

const STRANGER: &str = "52:54:00:00:00:77";
const OTHER: &str = "52:54:00:00:00:78";

#[test]
fn firmware_of_a_node_gets_its_address_its_network_and_the_program_of_its_kind() {
    let Some(udhcpc) = UDHCPC.find() else { return };
    let site = Site::start("10.141.200.1", "10.141.200.100");
    let machine = site.machine(NODE_MAC);
    for (architecture, file) in [
        (0, "luna_undionly.kpxe"),
        (6, ""),
        (27, ""),
        (7, "luna_ipxe.efi"),
        (9, "luna_ipxe.efi"),
        (11, "luna_ipxe_arm64.efi"),
    ] {
        let class = format!("PXEClient:Arch:{architecture:05}:UNDI:003000");
        let option = format!("0x5d:{architecture:04x}");
        let more = ["-V", &class, "-x", &option, "-O", "tftp", "-O", "bootfile", "-O", "hostname"];
        let told = machine.udhcpc(&udhcpc, &more).unwrap();
        assert_eq!(told.get("ip"), "10.141.0.1", "{told:?}");
        assert_eq!(told.get("mask"), "16", "{told:?}");
        assert_eq!(told.get("router"), ROUTER, "{told:?}");
        assert_eq!(told.get("dns"), NAME_SERVER, "{told:?}");
        assert_eq!((told.get("hostname"), told.get("domain")), ("node001", "cluster"), "{told:?}");
        let server = if file.is_empty() { ("", "") } else { (CONTROLLER, CONTROLLER) };
        assert_eq!((told.get("siaddr"), told.get("tftp")), server, "{told:?}");
        assert_eq!((told.get("boot_file"), told.get("bootfile")), (file, file), "{told:?}");
    }
}

#[test]
fn ipxe_is_sent_to_its_script_and_a_system_to_none() {
    let Some(udhcpc) = UDHCPC.find() else { return };
    let site = Site::start("10.141.200.1", "10.141.200.100");
    let machine = site.machine(NODE_MAC);
    let class = ["-V", "PXEClient:Arch:00007:UNDI:003010", "-x", "0x5d:0007"];
    let ipxe = [&class[..], &["-x", "0x4d:69505845"]].concat();
    let told = machine.udhcpc(&udhcpc, &ipxe).unwrap();
    assert_eq!(told.get("boot_file"), format!("http://{CONTROLLER}:7050/boot"), "{told:?}");
    let told = machine.udhcpc(&udhcpc, &[]).unwrap();
    assert_eq!((told.get("ip"), told.get("boot_file")), ("10.141.0.1", ""), "{told:?}");
}

#[test]
fn strangers_share_the_range_and_become_nodes_at_the_next_packet() {
    let (Some(udhcpc), Some(dhclient)) = (UDHCPC.find(), DHCLIENT.find()) else { return };
    let site = Site::start("10.141.200.1", "10.141.200.2");
    let (first, second) = (site.machine(STRANGER), site.machine(OTHER));
    first.dhclient(&dhclient, "", &["-1"]);
    let told = first.told();
    assert_eq!(told.get("new_routers"), ROUTER, "{told:?}");
    assert_eq!(told.get("new_domain_name_servers"), NAME_SERVER, "{told:?}");
    assert_eq!(told.get("new_dhcp_lease_time"), "900", "{told:?}");
    let other = second.udhcpc(&udhcpc, &[]).unwrap();
    let mut both = [told.get("new_ip_address"), other.get("ip")];
    both.sort_unstable();
    assert_eq!(both, ["10.141.200.1", "10.141.200.2"]);
    site.cli(&["node", "add", "node002", "--group", "compute", "--mac", OTHER]);
    assert_eq!(second.udhcpc(&udhcpc, &[]).unwrap().get("ip"), "10.141.0.2");
}

#[test]
fn an_address_that_is_released_is_lent_again_and_one_that_is_not_survives_the_daemon() {
    let (Some(udhcpc), Some(dhclient)) = (UDHCPC.find(), DHCLIENT.find()) else { return };
    let mut site = Site::start("10.141.200.1", "10.141.200.1");
    let (first, second) = (site.machine(STRANGER), site.machine(OTHER));
    first.dhclient(&dhclient, "", &["-1"]);
    assert_eq!(first.told().get("new_ip_address"), "10.141.200.1");
    site.restart();
    assert!(second.udhcpc(&udhcpc, &["-t", "2", "-T", "1"]).is_err(), "the only address is lent");
    first.dhclient(&dhclient, "", &["-r"]);
    assert_eq!(second.udhcpc(&udhcpc, &[]).unwrap().get("ip"), "10.141.200.1");
}

#[test]
fn a_machine_that_has_an_address_is_informed() {
    // No client asks so by itself; this needs what the others do.
    if UDHCPC.find().is_none() {
        return;
    }
    let site = Site::start("10.141.200.1", "10.141.200.100");
    let machine = site.machine(STRANGER);
    machine.take("10.141.0.99/16");
    let answer = machine.lab.inside(inform).unwrap();
    assert_eq!(&answer[..2], [2, 1], "an answer");
    assert_eq!(&answer[16..20], [0; 4], "no address is given");
    let options = &answer[240..];
    let has = |option: &[u8]| options.windows(option.len()).any(|window| window == option);
    assert!(has(&[53, 1, 5]), "an ACK: {options:?}");
    assert!(has(&[3, 4, 10, 141, 255, 253]), "the router: {options:?}");
    assert!(has(&[6, 4, 10, 141, 255, 252]), "the name server: {options:?}");
    assert!(!has(&[51, 4, 0, 0]), "nothing is lent: {options:?}");
}

/// DHCPINFORM of a machine that took 10.141.0.99, and its answer.
fn inform() -> Vec<u8> {
    let mut packet = vec![0; 240];
    packet[..8].copy_from_slice(&[1, 1, 6, 0, 1, 2, 3, 4]);
    packet[12..16].copy_from_slice(&[10, 141, 0, 99]);
    packet[28..34].copy_from_slice(&[0x52, 0x54, 0, 0, 0, 0x77]);
    packet[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    packet.extend([53, 1, 8, 55, 2, 3, 6, 255]);
    let socket = UdpSocket::bind("10.141.0.99:68").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.send_to(&packet, (CONTROLLER, 67)).unwrap();
    let mut answer = vec![0; 2048];
    let (length, from) = socket.recv_from(&mut answer).expect("an answer");
    assert_eq!(from.to_string(), format!("{CONTROLLER}:67"));
    answer.truncate(length);
    answer
}

#[test]
fn who_invents_machines_takes_his_share_and_hides_nobody() {
    let Some(udhcpc) = UDHCPC.find() else { return };
    let site = Site::start("10.141.200.1", "10.141.200.100");
    let (honest, liar) = (site.machine(STRANGER), site.machine(OTHER));
    let told = honest.udhcpc(&udhcpc, &[]).unwrap();
    liar.take("10.141.0.99/16");
    let offered = liar.lab.inside(invent).unwrap();
    // An eighth of 100, and another where frames were missed; an offer that nobody takes is made to another after 15 seconds.
    assert!((12..=48).contains(&offered), "{offered}");
    let again = honest.udhcpc(&udhcpc, &[]).unwrap();
    assert_eq!(again.get("ip"), told.get("ip"));
    assert!(site.machine("52:54:00:00:00:79").udhcpc(&udhcpc, &[]).is_ok());
    assert_eq!(site.machine(NODE_MAC).udhcpc(&udhcpc, &[]).unwrap().get("ip"), "10.141.0.1");
    let unknown = site.cli(&["node", "unknown"]);
    assert!(unknown.contains(STRANGER), "{unknown}");
    let log = site.log();
    let told = log.matches("the share of the card 52:54:00:00:00:78 is lent").count();
    assert!((1..=3).contains(&told), "{told} in\n{log}");
}

/// Looks for a server in the name of 6,000 machines that are not there; how many offers come.
fn invent() -> usize {
    let socket = UdpSocket::bind("0.0.0.0:68").unwrap();
    socket.set_broadcast(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut offers = 0;
    let mut count = |socket: &UdpSocket| {
        let mut answer = [0; 2048];
        while let Ok((length, _)) = socket.recv_from(&mut answer) {
            offers += usize::from(answer[240..length].starts_with(&[53, 1, 2]));
        }
        offers
    };
    for number in 0..6_000_u32 {
        let mut packet = vec![0; 240];
        packet[..4].copy_from_slice(&[1, 1, 6, 0]);
        packet[4..8].copy_from_slice(&number.to_be_bytes());
        packet[10] = 0x80;
        packet[28..30].copy_from_slice(&[2, 7]);
        packet[30..34].copy_from_slice(&number.to_be_bytes());
        packet[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        packet.extend([53, 1, 1, 255]);
        socket.send_to(&packet, "10.141.255.255:67").unwrap();
        count(&socket);
    }
    // Offers come within moments, or not at all.
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    count(&socket)
}

#[test]
fn a_machine_without_a_program_for_its_firmware_is_named_once_in_the_log() {
    let Some(udhcpc) = UDHCPC.find() else { return };
    let site = Site::start("10.141.200.1", "10.141.200.100");
    let machine = site.machine(NODE_MAC);
    for _ in 0..2 {
        let class = ["-V", "PXEClient:Arch:00027:UNDI:003000", "-x", "0x5d:001b"];
        assert_eq!(machine.udhcpc(&udhcpc, &class).unwrap().get("ip"), "10.141.0.1");
    }
    let log = site.log();
    assert_eq!(log.matches("RISC-V UEFI of 64 bits (type 27)").count(), 1, "{log}");
}
