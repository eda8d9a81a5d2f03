//! Frames of the interfaces that are served: what machines there send, before it is a packet of anybody's.

use std::io::{self, Read as _};

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// What the system keeps for us while we answer others: a second of a flood. What it throws away is not looked at, so nobody knows whose it was.
const KEPT_BYTES: usize = 8 << 20;
/// More frames than come while a socket is made.
const MOST_BEFORE: usize = 65_536;

/// Which way packets go that a socket sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// Opens a socket for packets of this Ethernet type that go this way on these interfaces, and that the filter lets through, which is classic
/// BPF over the packet. Needs the right to raw sockets (`CAP_NET_RAW`).
///
/// A machine's frame is seen on a port of a bridge and again on the bridge, and what a server answers to a relay looks like a request: in a
/// boot storm most of what a socket without this would read is in vain. Binding a socket to an interface would need an address that
/// only unsafe code can make.
pub(crate) fn open(
    interfaces: &[u32],
    way: Way,
    ethernet_type: i32,
    filter: Vec<SockFilter>,
) -> io::Result<Socket> {
    let ethernet_type = u16::try_from(ethernet_type).unwrap_or_default();
    // What goes out is shown to sockets of every protocol alone. To them the system shows what comes in before it passes it to anybody else;
    // to those of one protocol, since Linux 6.16, only after that, when whoever has the UDP socket may have read it already. packet(7): the
    // protocol stands in the order of the network.
    let every = u16::try_from(libc::ETH_P_ALL).unwrap_or_default().to_be();
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(every))))?;
    socket.set_nonblocking(true)?;
    let whole: Vec<SockFilter> =
        only(interfaces, way, ethernet_type).into_iter().chain(filter).collect();
    socket.attach_filter(&whole)?;
    // What came before the filter was there is of any interface.
    for _ in 0..MOST_BEFORE {
        if (&socket).read(&mut [0]).is_err() {
            break;
        }
    }
    Ok(socket)
}

/// Beyond the system's usual limit that is root's alone; without it, there is less room in a flood.
pub(crate) fn keep_much(socket: &Socket) -> io::Result<()> {
    match setsockopt(socket, sockopt::RcvBufForce, &KEPT_BYTES) {
        Ok(()) => Ok(()),
        Err(_) => socket.set_recv_buffer_size(KEPT_BYTES),
    }
}

/// Only what goes this way, and on these interfaces. What the system knows of a frame stands at addresses beyond it (`SKF_AD_OFF`). What is of
/// a VLAN is seen on the card before it is seen on the VLAN's own interface, and is none of the card's own.
fn only(interfaces: &[u32], way: Way, ethernet_type: u16) -> Vec<SockFilter> {
    const LOAD_WORD: u16 = 0x20;
    const JUMP: u16 = 0x05;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const KNOWN: u32 = 0xffff_f000;
    const PROTOCOL: u32 = KNOWN;
    const PACKET_TYPE: u32 = KNOWN + 4;
    const INTERFACE: u32 = KNOWN + 8;
    const TAG: u32 = KNOWN + 44;
    const HAS_TAG: u32 = KNOWN + 48;
    const VLAN: u32 = 0xfff;
    let outgoing = u32::from(libc::PACKET_OUTGOING);
    let (if_out, if_in) = if way == Way::Out { (1, 0) } else { (0, 1) };
    let mut filter = vec![
        SockFilter::new(LOAD_WORD, 0, 0, PACKET_TYPE),
        SockFilter::new(JUMP_IF_EQUAL, if_out, if_in, outgoing),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(LOAD_WORD, 0, 0, PROTOCOL),
        SockFilter::new(JUMP_IF_EQUAL, 1, 0, u32::from(ethernet_type)),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(LOAD_WORD, 0, 0, HAS_TAG),
        SockFilter::new(JUMP_IF_EQUAL, 3, 0, 0),
        // VLAN 0 is none: such a tag tells the priority alone (IEEE 802.1Q).
        SockFilter::new(LOAD_WORD, 0, 0, TAG),
        SockFilter::new(JUMP_IF_SET, 0, 1, VLAN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(LOAD_WORD, 0, 0, INTERFACE),
    ];
    // Where it is one of them, the rest of them and the refusal are left out: a jump on a condition reaches 255 steps, one without any.
    for left in (1..=interfaces.len()).rev() {
        let index = interfaces.get(interfaces.len() - left).copied().unwrap_or_default();
        let beyond = u32::try_from(left * 2 - 1).unwrap_or(u32::MAX);
        filter.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, index));
        filter.push(SockFilter::new(JUMP, 0, 0, beyond));
    }
    filter.push(SockFilter::new(RETURN, 0, 0, 0));
    filter
}

/// A port of a packet, by its place behind the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Source = 0,
    Destination = 2,
}

/// Classic BPF over the IPv4 header: UDP with this port, whole or the first part.
pub(crate) fn datagrams(port: Port, number: u16) -> Vec<SockFilter> {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_HALF_AFTER_HEADER: u16 = 0x48;
    const HEADER_LENGTH: u16 = 0xb1;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const UDP: u32 = 17;
    vec![
        SockFilter::new(LOAD_BYTE, 0, 0, 9),
        SockFilter::new(JUMP_IF_EQUAL, 0, 6, UDP),
        SockFilter::new(LOAD_HALF, 0, 0, 6),
        SockFilter::new(JUMP_IF_SET, 4, 0, 0x1fff),
        SockFilter::new(HEADER_LENGTH, 0, 0, 0),
        SockFilter::new(LOAD_HALF_AFTER_HEADER, 0, 0, port as u32),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(number)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use nix::net::if_::if_nametoindex;

    use super::*;

    /// How many frames of three messages over the loopback a listener on these interfaces sees.
    fn seen(interfaces: &[u32], way: Way) -> usize {
        let all = vec![SockFilter::new(0x06, 0, 0, u32::MAX)];
        let tap = open(interfaces, way, libc::ETH_P_IP, all).unwrap();
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        let marked = format!("frames of {:?}", here.local_addr().unwrap());
        for _ in 0..3 {
            here.send_to(marked.as_bytes(), here.local_addr().unwrap()).unwrap();
        }
        let mut frame = [0; 256];
        let frames = std::iter::from_fn(|| {
            let length = (&tap).read(&mut frame).ok()?;
            Some(frame[..length].ends_with(marked.as_bytes()))
        });
        frames.filter(|is_ours| *is_ours).count()
    }

    #[test]
    fn a_frame_is_seen_before_its_datagram() {
        const MESSAGES: u64 = 10_000;
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = here.local_addr().unwrap();
        let own = if_nametoindex("lo").unwrap();
        let filter = datagrams(Port::Destination, to.port());
        let tap = open(&[own], Way::In, libc::ETH_P_IP, filter).unwrap();
        // One after the other, so that each is waited for while it comes.
        let sender = std::thread::spawn(move || {
            let there = UdpSocket::bind("127.0.0.1:0").unwrap();
            for number in 0..MESSAGES {
                there.send_to(&number.to_be_bytes(), to).unwrap();
                there.recv(&mut [0]).unwrap();
            }
        });
        let (mut message, mut frame) = ([0; 8], [0; 64]);
        for _ in 0..MESSAGES {
            let (_, from) = here.recv_from(&mut message).unwrap();
            let length = (&tap).read(&mut frame).expect("its frame is there");
            assert!(frame[..length].ends_with(&message));
            here.send_to(&[1], from).unwrap();
        }
        sender.join().unwrap();
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the programs end at once, and only this test waits"
    )]
    fn what_is_of_a_vlan_is_not_the_cards() {
        const SEND: &str = "
import socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(('far', 0))
wire.send(bytes.fromhex(sys.argv[1]))";
        let run = |program: &str, words: &[&str]| {
            let done = std::process::Command::new(program).args(words).status().unwrap();
            assert!(done.success(), "{program} {words:?}");
        };
        // The thread has a network of its own, which ends with it.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        run("ip", &["link", "add", "near", "up", "type", "veth", "peer", "name", "far"]);
        run("ip", &["link", "set", "far", "up"]);
        let filter = datagrams(Port::Destination, 67);
        let tap = open(&[if_nametoindex("near").unwrap()], Way::In, libc::ETH_P_IP, filter);
        let tap = tap.unwrap();
        let seen = |tag: &str| {
            let addresses = "ffffffffffff525400000009";
            let ip = "080045000023000000004011000000000000ffffffff";
            let udp = "00440043000d000072657175657374";
            run("python3", &["-c", SEND, &[addresses, tag, ip, udp].concat()]);
            std::iter::from_fn(|| (&tap).read(&mut [0; 64]).ok()).count()
        };
        assert_eq!(seen(""), 1);
        assert_eq!(seen("8100000a"), 0, "VLAN 10");
        assert_eq!(seen("8100a000"), 1, "a priority");
        assert_eq!(seen("81000fff"), 0);
        assert_eq!(seen(""), 1);
    }

    #[test]
    fn what_goes_the_other_way_and_what_is_on_other_interfaces_is_not_seen() {
        let own = if_nametoindex("lo").unwrap();
        let others: Vec<u32> = (10_000..10_400).collect();
        for way in [Way::In, Way::Out] {
            assert_eq!(seen(&[own], way), 3, "each goes out and comes in");
            assert_eq!(seen(&others, way), 0);
            assert_eq!(seen(&[], way), 0);
            assert_eq!(seen(&[&[own][..], &others].concat(), way), 3, "a long jump");
            assert_eq!(seen(&[&others[..], &[own]].concat(), way), 3);
        }
    }
}
