//! What machines are told beside an address: what to boot, names, times.

use dhcproto::v6::{DhcpOption, MessageType, OptionCode, UnknownOption};

use super::*;

fn unknown(code: u16, value: &[u8]) -> DhcpOption {
    DhcpOption::Unknown(UnknownOption::new(OptionCode::from(code), value.to_vec()))
}

/// A vendor class of Intel's.
fn class(text: &str) -> DhcpOption {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    unknown(16, &[&[0, 0, 1, 0x57][..], &length, text.as_bytes()].concat())
}

fn user_class(text: &str) -> DhcpOption {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    unknown(15, &[&length[..], text.as_bytes()].concat())
}

/// The value of an option in a message.
fn raw(message: &[u8], wanted: u16) -> Option<Vec<u8>> {
    let mut rest = &message[4..];
    while let [a, b, c, d, tail @ ..] = rest {
        let (value, next) = tail.split_at(usize::from(u16::from_be_bytes([*c, *d])));
        if u16::from_be_bytes([*a, *b]) == wanted {
            return Some(value.to_vec());
        }
        rest = next;
    }
    None
}

#[test]
fn firmware_is_told_its_program_by_its_way() {
    let mut site = Site::new();
    for (options, url) in [
        (vec![], None),
        (
            vec![class("PXEClient:Arch:00007:UNDI:003016"), unknown(61, &[0, 7])],
            Some("tftp://[fd00:141::fe]/luna_ipxe.efi"),
        ),
        (
            vec![class("HTTPClient:Arch:00016:UNDI:003016"), unknown(61, &[0, 16])],
            Some("http://[fd00:141::fe]:7050/files/luna_ipxe.efi"),
        ),
        (
            vec![class("HTTPClient:Arch:00019"), unknown(61, &[0, 19])],
            Some("http://[fd00:141::fe]:7050/files/luna_ipxe_arm64.efi"),
        ),
        (vec![user_class("iPXE"), unknown(61, &[0, 7])], Some("http://[fd00:141::fe]:7050/boot")),
        (vec![class("PXEClient:Arch:00002"), unknown(61, &[0, 2])], None),
    ] {
        for kind in [MessageType::Solicit, MessageType::Request, MessageType::InformationRequest] {
            let asker = options.iter().cloned().fold(Asker::new(1, kind), Asker::with);
            let answer = site.raw(&asker).unwrap();
            let told = raw(&answer, 59).map(|value| String::from_utf8(value).unwrap());
            assert_eq!(told.as_deref(), url, "{options:?}");
            let is_http = url.is_some_and(|url| url.contains("/files/"));
            let own = raw(&answer, 16);
            assert_eq!(own.is_some_and(|value| value.ends_with(b"HTTPClient")), is_http);
        }
    }
}

#[test]
fn a_machine_without_a_program_is_told_of() {
    let mut site = Site::new();
    let itanium = Asker::new(1, MessageType::Solicit)
        .with(class("PXEClient:Arch:00002"))
        .with(unknown(61, &[0, 2]));
    let Decision::Answer(answer) = site.ask(&itanium) else { panic!("it is not served") };
    let remark = answer.remark.unwrap();
    assert!(remark.contains("Itanium"), "{remark}");
}

#[test]
fn names_and_times_are_told_to_whoever_wants_them() {
    let mut site = Site::new();
    let inform = Asker::new(10, MessageType::InformationRequest);
    assert_eq!(addresses(&site.answer(&inform).unwrap()), []);
    let all = site.raw(&inform).unwrap();
    assert_eq!(raw(&all, 23).as_deref(), Some(&ip("fd00:141::252").octets()[..]));
    assert_eq!(raw(&all, 24).as_deref(), Some(&b"\x07cluster\0"[..]));
    let times = raw(&all, 56).unwrap();
    assert!(times.starts_with(&[0, 1, 0, 16]) && times.ends_with(b"\x03ntp\x07example\x03org\0"));
    let only = inform.with(unknown(6, &[0, 24]));
    let some = site.raw(&only).unwrap();
    assert_eq!((raw(&some, 23), raw(&some, 56)), (None, None));
    assert!(raw(&some, 24).is_some());
}

#[test]
fn a_node_is_told_its_name_and_a_stranger_keeps_his() {
    let mut site = Site::new();
    let called = |last, kind| Asker::new(last, kind).with(unknown(39, b"\0\x06laptop"));
    let told = site.raw(&called(1, MessageType::Solicit)).unwrap();
    assert_eq!(raw(&told, 39).as_deref(), Some(&b"\x03\x07node001\x07cluster\0"[..]));
    let rapid = called(10, MessageType::Solicit).with(DhcpOption::RapidCommit);
    let Decision::Answer(answer) = site.ask(&rapid) else { panic!("it is not served") };
    assert_eq!(answer.lease.unwrap().name.as_deref(), Some("laptop"));
}
