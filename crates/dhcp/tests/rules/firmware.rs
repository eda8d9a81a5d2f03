//! What firmware of each kind is told to fetch and start.

use dhcproto::v4::{DhcpOption, Message, MessageType, OptionCode};
use perilune_model::Edit;
use perilune_model::group::Group;
use perilune_model::node::Node;
use perilune_model::provisioning::IpxeKernel;

use crate::machine::{Packet, SERVER, Site, cluster, mac};

const STRANGER: u8 = 99;
const ARCHITECTURE: u8 = 93;

fn discover(last: u8) -> Packet {
    Packet::new(mac(last), MessageType::Discover)
}

/// Option 67 as it is, with whatever ends it.
fn boot_file(answer: &Message) -> String {
    match answer.opts().get(OptionCode::BootfileName) {
        Some(DhcpOption::BootfileName(name)) => String::from_utf8(name.clone()).unwrap(),
        _ => String::new(),
    }
}

/// The head's field of the same purpose, without the zero bytes that fill it.
fn boot_field(answer: &Message) -> String {
    let name = answer.fname_str().map(|name| name.unwrap().trim_end_matches('\0').to_owned());
    name.unwrap_or_default()
}

/// Option 66 likewise.
fn tftp_server(answer: &Message) -> String {
    match answer.opts().get(OptionCode::TFTPServerName) {
        Some(DhcpOption::TFTPServerName(name)) => String::from_utf8(name.clone()).unwrap(),
        _ => String::new(),
    }
}

/// A machine with this class, where there is one, and these bytes as its option 93.
fn firmware(class: Option<&str>, architectures: &[u8]) -> Packet {
    let packet = discover(1).unknown(ARCHITECTURE, architectures);
    match class {
        Some(class) => packet.with(DhcpOption::ClassIdentifier(class.as_bytes().to_vec())),
        None => packet,
    }
}

/// What a machine is told to boot; empty for nothing.
fn told(site: &mut Site, packet: &Packet) -> (String, Option<String>) {
    let answer = site.answer(packet).expect("it gets an address");
    assert_eq!(answer.message.yiaddr().to_string(), "10.141.0.1");
    let file = boot_file(&answer.message).trim_end_matches('\0').to_owned();
    assert_eq!(boot_field(&answer.message), file, "field and option say the same");
    (file, answer.missing_program)
}

#[test]
fn firmware_gets_the_program_of_its_kind() {
    let mut site = Site::new(cluster());
    for (class, architecture, file) in [
        ("PXEClient:Arch:00000:UNDI:002001", 0, "luna_undionly.kpxe"),
        ("PXEClient:Arch:00007:UNDI:003000", 7, "luna_ipxe.efi"),
        ("PXEClient:Arch:00009:UNDI:003000", 9, "luna_ipxe.efi"),
        ("PXEClient:Arch:00011:UNDI:003000", 11, "luna_ipxe_arm64.efi"),
        ("HTTPClient:Arch:00016:UNDI:003000", 16, "http://10.141.0.254:7050/files/luna_ipxe.efi"),
        (
            "HTTPClient:Arch:00019:UNDI:003000",
            19,
            "http://10.141.0.254:7050/files/luna_ipxe_arm64.efi",
        ),
    ] {
        let answer = site.answer(&discover(1).firmware(class, architecture)).unwrap();
        assert_eq!(answer.missing_program, None);
        let answer = answer.message;
        assert_eq!(boot_field(&answer), file);
        assert_eq!(answer.siaddr(), SERVER);
        assert_eq!(boot_file(&answer).trim_end_matches('\0'), file);
        // UEFI firmware takes an answer with the class PXEClient for that of a separate boot server.
        let class = class
            .starts_with("HTTPClient")
            .then(|| DhcpOption::ClassIdentifier(b"HTTPClient".to_vec()));
        assert_eq!(answer.opts().get(OptionCode::ClassIdentifier), class.as_ref());
    }
    let power = site.answer(&discover(1).firmware("PXEClient:Arch:00014", 14)).unwrap().message;
    assert_eq!(power.fname(), None);
    let system = site.answer(&discover(1)).unwrap().message;
    assert_eq!(system.fname(), None, "a running system is not told to boot");
}

#[test]
fn the_alternative_of_a_node_or_its_group_drives_the_card_by_the_firmware() {
    let by_node = {
        let mut cluster = cluster();
        let mut node = Node::clone(cluster.node("node001").unwrap());
        node.provisioning.ipxe_kernel = Some(IpxeKernel::Alternative);
        cluster.apply(&Edit::Put(node.into()));
        cluster
    };
    let by_group = {
        let mut cluster = cluster();
        let mut group = Group::clone(cluster.group("compute").unwrap());
        group.provisioning.ipxe_kernel = Some(IpxeKernel::Alternative);
        cluster.apply(&Edit::Put(group.into()));
        cluster
    };
    for cluster in [by_node, by_group] {
        let mut site = Site::new(cluster);
        for (class, architecture, file) in [
            ("PXEClient:Arch:00007", 7, "luna_snponly.efi"),
            ("PXEClient:Arch:00009", 9, "luna_snponly.efi"),
            ("PXEClient:Arch:00011", 11, "luna_snponly_arm64.efi"),
            ("HTTPClient:Arch:00016", 16, "http://10.141.0.254:7050/files/luna_snponly.efi"),
            ("HTTPClient:Arch:00019", 19, "http://10.141.0.254:7050/files/luna_snponly_arm64.efi"),
            // There is one program for BIOS.
            ("PXEClient:Arch:00000", 0, "luna_undionly.kpxe"),
        ] {
            let answer = site.answer(&discover(1).firmware(class, architecture)).unwrap().message;
            assert_eq!(boot_field(&answer), file);
        }
        let stranger = discover(STRANGER).firmware("PXEClient:Arch:00007", 7);
        let answer = site.answer(&stranger).unwrap().message;
        assert_eq!(boot_field(&answer), "luna_ipxe.efi");
    }
}

#[test]
fn ipxe_is_sent_to_its_script() {
    let mut site = Site::new(cluster());
    for packet in [
        discover(1)
            .firmware("PXEClient:Arch:00000", 0)
            .with(DhcpOption::UserClass(b"iPXE".to_vec())),
        discover(1).firmware("PXEClient:Arch:00007", 7).unknown(175, &[177, 5, 1, 26, 244, 16, 0]),
    ] {
        let answer = site.answer(&packet).unwrap().message;
        assert_eq!(boot_field(&answer), "http://10.141.0.254:7050/boot");
    }
}

#[test]
fn old_pxe_firmware_gets_names_that_end_in_a_zero_byte_and_others_do_not() {
    let mut site = Site::new(cluster());
    for architecture in [0, 7, 9, 11] {
        let packet = discover(1).firmware("PXEClient:Arch:00000:UNDI:002001", architecture);
        let answer = site.answer(&packet).unwrap().message;
        let (file, server) = (boot_file(&answer), tftp_server(&answer));
        assert!(file.ends_with('\0') && file.matches('\0').count() == 1, "{file:?}");
        assert_eq!(server, "10.141.0.254\0");
    }
    let nameless = discover(1).with(DhcpOption::ClassIdentifier(b"PXEClient".to_vec()));
    assert_eq!(boot_file(&site.answer(&nameless).unwrap().message), "luna_undionly.kpxe\0");
    let by_http = discover(1).firmware("HTTPClient:Arch:00016:UNDI:003000", 16);
    let ipxe = discover(1)
        .firmware("PXEClient:Arch:00007:UNDI:003000", 7)
        .with(DhcpOption::UserClass(b"iPXE".to_vec()));
    let no_pxe = discover(1).unknown(ARCHITECTURE, &[0, 7]);
    for packet in [by_http, ipxe, no_pxe] {
        let answer = site.answer(&packet).unwrap().message;
        assert!(!boot_file(&answer).is_empty());
        assert!(!boot_file(&answer).contains('\0') && !tftp_server(&answer).contains('\0'));
    }
}

#[test]
fn firmware_without_a_program_gets_an_address_and_is_named() {
    let mut site = Site::new(cluster());
    let served = [0, 7, 9, 11, 16, 19];
    for number in (0..100).chain([255, 256, 0x0700, 0x0900, u16::MAX]) {
        for class in [Some("PXEClient:Arch:00000"), Some("HTTPClient:Arch:00000"), None] {
            let packet = firmware(class, &number.to_be_bytes());
            let (file, missing) = told(&mut site, &packet);
            if served.contains(&number) {
                assert!(!file.is_empty() && missing.is_none(), "{number} {class:?}");
            } else {
                assert_eq!(file, "", "{number} {class:?}");
                let missing = missing.unwrap();
                assert!(missing.contains(&format!("type {number}")), "{missing}");
                let known = number <= 41;
                assert_eq!(missing.starts_with("unknown"), !known, "{missing}");
            }
        }
    }
    let riscv = told(&mut site, &firmware(Some("PXEClient"), &[0, 27])).1.unwrap();
    assert_eq!(riscv, "RISC-V UEFI of 64 bits (type 27)");
}

#[test]
fn the_class_tells_the_way_and_the_number_the_processor() {
    const HTTP: &str = "http://10.141.0.254:7050/files/";
    let mut site = Site::new(cluster());
    for (class, number, file) in [
        (Some("PXEClient"), 16, "luna_ipxe.efi".to_owned()),
        (Some("PXEClient"), 19, "luna_ipxe_arm64.efi".to_owned()),
        (Some("HTTPClient"), 7, format!("{HTTP}luna_ipxe.efi")),
        (Some("HTTPClient"), 11, format!("{HTTP}luna_ipxe_arm64.efi")),
        (None, 16, format!("{HTTP}luna_ipxe.efi")),
        (None, 7, "luna_ipxe.efi".to_owned()),
    ] {
        let packet = firmware(class, &[0, number]);
        assert_eq!(told(&mut site, &packet).0, file, "{class:?} {number}");
    }
}

#[test]
fn firmware_of_several_kinds_gets_the_first_that_there_is_a_program_for() {
    let mut site = Site::new(cluster());
    for (list, file) in [
        (&[0, 11, 0, 19][..], "luna_ipxe_arm64.efi"),
        (&[0, 10, 0, 11], "luna_ipxe_arm64.efi"),
        (&[0, 6, 0, 7], "luna_ipxe.efi"),
        (&[0, 0, 0, 7], "luna_undionly.kpxe"),
        (&[0xff, 0xff, 0, 9], "luna_ipxe.efi"),
        // A half of a number is none.
        (&[0, 7, 0], "luna_ipxe.efi"),
    ] {
        assert_eq!(told(&mut site, &firmware(Some("PXEClient"), list)).0, file, "{list:?}");
    }
    let (file, missing) = told(&mut site, &firmware(Some("PXEClient"), &[0, 6, 0, 10]));
    assert_eq!(file, "");
    assert_eq!(
        missing.as_deref(),
        Some("x86 UEFI of 32 bits (type 6), ARM UEFI of 32 bits (type 10)")
    );
}

#[test]
fn firmware_that_names_no_type_is_bios() {
    let mut site = Site::new(cluster());
    for packet in [
        discover(1).with(DhcpOption::ClassIdentifier(b"PXEClient:Arch:00007".to_vec())),
        firmware(Some("PXEClient"), &[]),
        firmware(Some("PXEClient"), &[7]),
    ] {
        assert_eq!(told(&mut site, &packet), ("luna_undionly.kpxe".to_owned(), None));
    }
    let http = discover(1).with(DhcpOption::ClassIdentifier(b"HTTPClient".to_vec()));
    let (file, missing) = told(&mut site, &http);
    assert_eq!(file, "");
    assert!(missing.is_some());
}
