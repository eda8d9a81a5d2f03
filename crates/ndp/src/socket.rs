//! The raw socket on one interface, by which solicitations come and advertisements go.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, sendmsg,
};
use socket2::{Domain, Protocol, SockFilter, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::solicitation;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// RFC 4861, section 4.2: the proof that a packet comes from this network.
const HOP_LIMIT: u32 = 255;

#[derive(Debug)]
pub(crate) struct Socket {
    /// The runtime has no raw sockets of its own. What it is asked about this one is when something can be read.
    raw: UdpSocket,
    interface: String,
    index: u32,
}

/// A packet that may be a solicitation.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) length: usize,
    pub(crate) source: Ipv6Addr,
    pub(crate) hop_limit: Option<i32>,
}

impl Socket {
    /// Needs the right to raw sockets (`CAP_NET_RAW`), and a runtime.
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        let index = if_nametoindex(interface)?;
        let socket = socket2::Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        socket.set_nonblocking(true)?;
        // Nothing else is to fill the queue.
        socket.attach_filter(&only_solicitations())?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_recv_hoplimit_v6(true)?;
        socket.set_multicast_hops_v6(HOP_LIMIT)?;
        socket.set_multicast_if_v6(index)?;
        // Our own hosts have nobody to wait for.
        socket.set_multicast_loop_v6(false)?;
        socket.join_multicast_v6(&ALL_ROUTERS, index)?;
        let raw = UdpSocket::from_std(socket.into())?;
        Ok(Self { raw, interface: interface.to_owned(), index })
    }

    /// Waits for the next packet.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<Arrival> {
        self.raw.async_io(Interest::READABLE, || receive_now(&self.raw, buffer)).await
    }

    /// Sends to every host on the wire.
    pub(crate) fn send_to_all_nodes(&self, packet: &[u8], source: Ipv6Addr) -> io::Result<()> {
        let information = libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
            ipi6_ifindex: self.index,
        };
        let to = SockaddrIn6::from(SocketAddrV6::new(ALL_NODES, 0, 0, self.index));
        let parts = [IoSlice::new(packet)];
        let control = [ControlMessage::Ipv6PacketInfo(&information)];
        sendmsg(self.raw.as_raw_fd(), &parts, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    }

    /// Our address that is good on this wire alone: what an advertisement must come from (RFC 4861, section 4.2).
    pub(crate) fn link_local(&self) -> io::Result<Option<Ipv6Addr>> {
        let mut own = getifaddrs()?.filter(|known| known.interface_name == self.interface);
        Ok(own.find_map(|known| {
            let address = known.address.as_ref()?.as_sockaddr_in6()?.ip();
            address.is_unicast_link_local().then_some(address)
        }))
    }
}

/// Classic BPF: the first byte of what a raw ICMPv6 socket is given is the type.
fn only_solicitations() -> [SockFilter; 4] {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, 0),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(solicitation::TYPE)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

fn receive_now(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut control = nix::cmsg_space!(libc::c_int);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let source = message.address.map(|address| address.ip());
    let source = source.ok_or_else(|| io::Error::other("a packet came without a sender"))?;
    let hop_limit = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv6HopLimit(limit) => Some(limit),
        _ => None,
    });
    Ok(Arrival { length: message.bytes, source, hop_limit })
}
