//! Which machine a packet is of.
//!
//! On Ethernet the head says it. An address of InfiniBand does not fit there: RFC 4390 leaves the head empty and has a client identifier
//! instead. What clients put into that, and where iPXE puts the port's GUID, is gathered here.

use perilune_model::MacAddress;

use crate::packet::{Packet, code};

/// Kinds of hardware, as ARP numbers them.
const ETHERNET: u8 = 1;
const INFINIBAND: u8 = 32;
/// A client identifier that holds an identity association and a DUID (RFC 4361).
const WITH_DUID: u8 = 255;
/// The enterprise in whose name firmware and drivers of Mellanox make a DUID, with a port's GUID at its end.
const MELLANOX: [u8; 4] = [0, 0, 0x02, 0xc9];

/// The machine; `None` for hardware of other kinds, and where nothing tells the machine.
pub(crate) fn machine(packet: &Packet) -> Option<MacAddress> {
    let [kind, length] = packet.hardware();
    let address = packet.client_address();
    match (kind, length) {
        (ETHERNET, 6) => MacAddress::from_bytes(address.get(..6)?),
        (INFINIBAND, _) => {
            let identifier = packet.option(code::CLIENT_IDENTIFIER);
            let named = identifier.and_then(by_identifier);
            named.or_else(|| {
                // iPXE: a GUID fits. Firmware that makes a MAC address of it says so.
                let address = address.get(..usize::from(length))?;
                MacAddress::from_bytes(address)?.of_one_machine().ok()
            })
        }
        _ => None,
    }
}

/// Whether a machine on InfiniBand asks.
pub(crate) fn is_infiniband(packet: &Packet) -> bool {
    matches!(packet.hardware(), [INFINIBAND, _])
}

/// The port that a client identifier names.
fn by_identifier(identifier: &[u8]) -> Option<MacAddress> {
    let address = match identifier {
        // The kind of hardware and its address: a GUID, or the whole address of the link. Or an identity association, then a DUID of
        // that address, with the time or without (RFC 8415, section 11).
        [INFINIBAND, address @ ..]
        | [WITH_DUID, _, _, _, _, 0, 1, 0, INFINIBAND, _, _, _, _, address @ ..]
        | [WITH_DUID, _, _, _, _, 0, 3, 0, INFINIBAND, address @ ..] => address,
        [WITH_DUID, _, _, _, _, 0, 2, a, b, c, d, own @ ..] if [*a, *b, *c, *d] == MELLANOX => {
            own.last_chunk::<8>()?
        }
        _ => return None,
    };
    let address = MacAddress::from_bytes(address).filter(|address| address.as_ethernet().is_none());
    address?.of_one_machine().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: [u8; 8] = [0x00, 0x02, 0xc9, 0x03, 0x00, 0x00, 0x10, 0x39];

    fn link() -> Vec<u8> {
        [&[0x80, 0, 2, 8, 0xfe, 0x80, 0, 0, 0, 0, 0, 0][..], &GUID].concat()
    }

    /// A request with this kind, length and address in its head, and this identifier.
    fn packet(kind: u8, length: u8, address: &[u8], identifier: &[u8]) -> Packet {
        let mut bytes = vec![0; 240];
        bytes[..3].copy_from_slice(&[1, kind, length]);
        bytes[28..28 + address.len()].copy_from_slice(address);
        bytes[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        if !identifier.is_empty() {
            bytes.extend([code::CLIENT_IDENTIFIER, u8::try_from(identifier.len()).unwrap()]);
            bytes.extend(identifier);
        }
        bytes.push(code::END);
        Packet::read(&bytes).unwrap()
    }

    #[test]
    fn a_port_of_infiniband_is_known_however_it_says_who_it_is() {
        let iaid = [9, 9, 9, 9];
        let head = |rest: &[u8]| [&[WITH_DUID][..], &iaid, rest].concat();
        for (length, address, identifier) in [
            // RFC 4390, and what systemd, NetworkManager and iPXE make of it.
            (0, vec![], [&[INFINIBAND][..], &link()].concat()),
            (0, vec![], [&[INFINIBAND][..], &GUID].concat()),
            (8, GUID.to_vec(), vec![]),
            (8, GUID.to_vec(), [&[INFINIBAND][..], &link()].concat()),
            (0, vec![], [head(&[0, 3, 0, INFINIBAND]), link()].concat()),
            (0, vec![], [head(&[0, 1, 0, INFINIBAND, 1, 2, 3, 4]), link()].concat()),
            (0, vec![], [head(&[0, 2, 0, 0, 2, 0xc9, 0]), GUID.to_vec()].concat()),
            // Nothing of use in the identifier: the head counts.
            (8, GUID.to_vec(), b"\x00name".to_vec()),
        ] {
            let machine = machine(&packet(INFINIBAND, length, &address, &identifier));
            let port = machine.map(MacAddress::port);
            assert_eq!(port, MacAddress::from_bytes(&GUID), "{length} {identifier:02x?}");
        }
        let made_up = machine(&packet(INFINIBAND, 6, &[0x02, 0, 0, 0, 0, 1], &[]));
        assert_eq!(made_up, Some(MacAddress::ethernet([0x02, 0, 0, 0, 0, 1])));
    }

    #[test]
    fn what_names_no_port_is_nobody() {
        for (length, identifier) in [
            (0, vec![]),
            (20, vec![]),
            (16, vec![]),
            (8, vec![]),
            (0, vec![INFINIBAND]),
            (0, [&[INFINIBAND][..], &[0; 20]].concat()),
            (0, [&[INFINIBAND][..], &GUID[..7]].concat()),
            (0, [&[1][..], &GUID].concat()),
            (0, b"\xff\x01\x02\x03\x04\x00\x04uuid-uuid-uuid-u".to_vec()),
        ] {
            let packet = packet(INFINIBAND, length, &[], &identifier);
            assert_eq!(machine(&packet), None, "{length} {identifier:02x?}");
        }
        for (kind, length) in [(1, 8), (1, 0), (6, 6), (0, 6), (24, 8)] {
            assert_eq!(machine(&packet(kind, length, &GUID, &[])), None, "{kind} {length}");
        }
    }
}
