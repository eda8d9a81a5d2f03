//! The sockets of the TFTP server: each request tells to which of our addresses it went, so that the
//! transfer's own socket answers from there (firmware drops data that comes from another address).

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A first packet of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub length: usize,
    pub client: SocketAddr,
    /// Our address that it went to.
    pub to: Option<IpAddr>,
}

/// A socket that waits for requests.
pub(super) fn listen(address: SocketAddr, interface: Option<&str>) -> io::Result<UdpSocket> {
    let socket = open(address, interface)?;
    if address.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    UdpSocket::from_std(socket.into())
}

/// A socket for one transfer, from the address that was asked, on a port of its own (RFC 1350, section 4).
pub(super) fn connect(arrival: &Arrival, interface: Option<&str>) -> io::Result<UdpSocket> {
    let address = match (arrival.to, arrival.client) {
        (Some(IpAddr::V4(address)), SocketAddr::V4(_)) => SocketAddr::from((address, 0)),
        (Some(IpAddr::V6(address)), SocketAddr::V6(client)) => {
            SocketAddrV6::new(address, 0, 0, client.scope_id()).into()
        }
        (_, SocketAddr::V4(_)) => SocketAddr::from(([0; 4], 0)),
        (_, SocketAddr::V6(_)) => SocketAddr::from(([0_u16; 8], 0)),
    };
    let socket = open(address, interface)?;
    socket.connect(&arrival.client.into())?;
    UdpSocket::from_std(socket.into())
}

fn open(address: SocketAddr, interface: Option<&str>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Waits for the next request.
pub(super) async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    socket.async_io(Interest::READABLE, || receive_now(socket, buffer)).await
}

fn receive_now(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut control = nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::empty();
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let sender = message.address.as_ref();
    let client = match sender.map(|sender| (sender.as_sockaddr_in(), sender.as_sockaddr_in6())) {
        Some((Some(sender), _)) => SocketAddr::V4(SocketAddrV4::from(*sender)),
        Some((_, Some(sender))) => SocketAddr::V6(SocketAddrV6::from(*sender)),
        _ => return Err(io::Error::other("a packet came without a sender")),
    };
    let to = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    });
    Ok(Arrival { length: message.bytes, client, to: to.filter(|address| !address.is_multicast()) })
}
