//! An exchange by IPv4, as a frame tells it before its packet is read.

use nix::libc;
use perilune_model::MacAddress;
use socket2::SockFilter;

use crate::tap;

/// Its number, and the beginning of the client's address, whatever kind of hardware it says that it is: who is on Ethernet and says that he
/// is on InfiniBand is seen as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Exchange {
    pub(crate) transaction: u32,
    pub(crate) address: [u8; 6],
}

impl tap::Exchange for Exchange {
    const PROTOCOL: i32 = libc::ETH_P_IP;
    /// As much as has the client's address in it, behind the longest head of IP.
    const READ: usize = 60 + 8 + 34;

    /// Whole UDP from port 68 to port 67.
    fn filter() -> Vec<SockFilter> {
        const LOAD_BYTE: u16 = 0x30;
        const LOAD_HALF: u16 = 0x28;
        const LOAD_HALF_BEHIND_HEAD: u16 = 0x48;
        const HEAD_LENGTH: u16 = 0xb1;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const JUMP_IF_SET: u16 = 0x45;
        const RETURN: u16 = 0x06;
        const UDP: u32 = 17;
        let bytes = u32::try_from(Self::READ).unwrap_or(u32::MAX);
        vec![
            SockFilter::new(LOAD_BYTE, 0, 0, 9),
            SockFilter::new(JUMP_IF_EQUAL, 0, 8, UDP),
            // A part of a packet that is not the first has no ports.
            SockFilter::new(LOAD_HALF, 0, 0, 6),
            SockFilter::new(JUMP_IF_SET, 6, 0, 0x1fff),
            SockFilter::new(HEAD_LENGTH, 0, 0, 0),
            SockFilter::new(LOAD_HALF_BEHIND_HEAD, 0, 0, 0),
            SockFilter::new(JUMP_IF_EQUAL, 0, 3, 68),
            SockFilter::new(LOAD_HALF_BEHIND_HEAD, 0, 0, 2),
            SockFilter::new(JUMP_IF_EQUAL, 0, 1, 67),
            SockFilter::new(RETURN, 0, 0, bytes),
            SockFilter::new(RETURN, 0, 0, 0),
        ]
    }

    fn of(packet: &[u8]) -> Option<Self> {
        let words = packet.first()? & 0xf;
        let message = packet.get(usize::from(words) * 4 + 8..)?;
        let transaction = u32::from_be_bytes(*message.get(4..)?.first_chunk()?);
        Some(Self { transaction, address: *message.get(28..)?.first_chunk()? })
    }

    fn own(&self) -> Option<MacAddress> {
        Some(MacAddress::ethernet(self.address))
    }
}
