//! Frames of the interfaces that are served: what machines there send, before it is a packet of anybody's.

use std::io::{self, Read as _};

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

/// What the system keeps for us while we answer others: a second of a flood. What it throws away is not looked at, so nobody knows whose it was.
const KEPT_BYTES: usize = 8 << 20;
/// More frames than come while a socket is made.
const MOST_BEFORE: usize = 65_536;

/// Opens a socket for packets of this Ethernet type that come in on these interfaces, and that the filter lets through, which is classic BPF
/// over the packet. Needs the right to raw sockets (`CAP_NET_RAW`).
///
/// A machine's frame is seen on a port of a bridge and again on the bridge, and what a server answers to a relay looks like a request: in a
/// boot storm most of what a socket without this would read is in vain. Binding a socket to an interface would need an address that
/// only unsafe code can make.
pub(crate) fn open(
    interfaces: &[u32],
    ethernet_type: i32,
    filter: Vec<SockFilter>,
) -> io::Result<Socket> {
    // packet(7): the protocol stands in the order of the network.
    let protocol = u16::try_from(ethernet_type).unwrap_or_default().to_be();
    let socket =
        Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(protocol))))?;
    socket.set_nonblocking(true)?;
    let whole: Vec<SockFilter> = incoming(interfaces).into_iter().chain(filter).collect();
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

/// Only what comes in, and on these interfaces. What the system knows of a frame stands at addresses beyond it (`SKF_AD_OFF`).
fn incoming(interfaces: &[u32]) -> Vec<SockFilter> {
    const LOAD_WORD: u16 = 0x20;
    const JUMP: u16 = 0x05;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const KNOWN: u32 = 0xffff_f000;
    const PACKET_TYPE: u32 = KNOWN + 4;
    const INTERFACE: u32 = KNOWN + 8;
    let outgoing = u32::from(libc::PACKET_OUTGOING);
    let mut filter = vec![
        SockFilter::new(LOAD_WORD, 0, 0, PACKET_TYPE),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, outgoing),
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

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use nix::net::if_::if_nametoindex;

    use super::*;

    /// How many frames of three messages over the loopback are seen by whoever looks at these interfaces.
    fn seen(interfaces: &[u32]) -> usize {
        let all = vec![SockFilter::new(0x06, 0, 0, u32::MAX)];
        let tap = open(interfaces, libc::ETH_P_IP, all).unwrap();
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
    fn what_goes_out_and_what_is_on_other_interfaces_is_not_seen() {
        let own = if_nametoindex("lo").unwrap();
        let others: Vec<u32> = (10_000..10_400).collect();
        assert_eq!(seen(&[own]), 3, "each goes out and comes in");
        assert_eq!(seen(&others), 0);
        assert_eq!(seen(&[]), 0);
        assert_eq!(seen(&[&[own][..], &others].concat()), 3, "a long jump");
        assert_eq!(seen(&[&others[..], &[own]].concat()), 3);
    }
}
