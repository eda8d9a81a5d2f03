//! Which packets are router solicitations.

use std::net::Ipv6Addr;

/// The ICMPv6 type (RFC 4861, section 4.1).
pub const TYPE: u8 = 133;
/// Type, code, checksum, and four bytes that mean nothing.
const HEADER: usize = 8;
/// What no router forwards: the packet comes from this network.
const HOP_LIMIT: i32 = 255;
/// The option with the hardware address of the sender.
const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
/// Options are as long as so many times their second byte.
const UNIT: usize = 8;

/// Whether a packet is a solicitation that is to be answered, else why not (RFC 4861, section 6.1.1).
///
/// The packet begins with the ICMPv6 header. The kernel has verified its checksum.
pub fn check(packet: &[u8], source: Ipv6Addr, hop_limit: Option<i32>) -> Result<(), &'static str> {
    if packet.first() != Some(&TYPE) {
        return Err("it is no router solicitation");
    }
    if hop_limit != Some(HOP_LIMIT) {
        return Err("it may come from another network: its hop limit is not 255");
    }
    if packet.get(1) != Some(&0) {
        return Err("its code is not 0");
    }
    let Some(mut options) = packet.get(HEADER..) else { return Err("it is too short") };
    while !options.is_empty() {
        let [kind, units, ..] = options else { return Err("an option is cut off") };
        if *units == 0 {
            return Err("an option has no length");
        }
        if *kind == SOURCE_LINK_LAYER_ADDRESS && source.is_unspecified() {
            return Err("it has a hardware address to answer at, but comes from no address");
        }
        let Some(rest) = options.get(usize::from(*units) * UNIT..) else {
            return Err("an option is cut off");
        };
        options = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MACHINE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe00, 1);
    /// As iPXE sends it: with the hardware address of its card.
    const WITH_ADDRESS: [u8; 16] = [133, 0, 0x3c, 0x91, 0, 0, 0, 0, 1, 1, 0x52, 0x54, 0, 0, 0, 1];

    fn changed(at: usize, byte: u8) -> Vec<u8> {
        let mut packet = WITH_ADDRESS.to_vec();
        packet[at] = byte;
        packet
    }

    #[test]
    fn a_machine_with_and_without_an_address_may_ask() {
        assert_eq!(check(&WITH_ADDRESS, MACHINE, Some(255)), Ok(()));
        assert_eq!(check(&WITH_ADDRESS[..8], MACHINE, Some(255)), Ok(()));
        assert_eq!(check(&WITH_ADDRESS[..8], Ipv6Addr::UNSPECIFIED, Some(255)), Ok(()));
    }

    #[test]
    fn an_option_that_nobody_knows_is_passed_over() {
        let packet = [&WITH_ADDRESS[..], &[14, 2], &[0; 14], &WITH_ADDRESS[8..]].concat();
        assert_eq!(check(&packet, MACHINE, Some(255)), Ok(()));
    }

    #[test]
    fn what_is_not_as_the_standard_says_is_not_answered() {
        for (packet, source, hop_limit, reason) in [
            (WITH_ADDRESS.to_vec(), MACHINE, Some(254), "hop limit"),
            (WITH_ADDRESS.to_vec(), MACHINE, None, "hop limit"),
            (WITH_ADDRESS.to_vec(), Ipv6Addr::UNSPECIFIED, Some(255), "comes from no address"),
            (changed(0, 134), MACHINE, Some(255), "no router solicitation"),
            (changed(1, 1), MACHINE, Some(255), "code"),
            (changed(9, 0), MACHINE, Some(255), "no length"),
            (changed(9, 2), MACHINE, Some(255), "cut off"),
            (WITH_ADDRESS[..9].to_vec(), MACHINE, Some(255), "cut off"),
            (WITH_ADDRESS[..7].to_vec(), MACHINE, Some(255), "too short"),
            (Vec::new(), MACHINE, Some(255), "no router solicitation"),
        ] {
            let refused = check(&packet, source, hop_limit).unwrap_err();
            assert!(refused.contains(reason), "{packet:?}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn no_packet_makes_us_fall_over(
            mut packet in proptest::collection::vec(any::<u8>(), 0..300),
            is_solicitation: bool,
            source: u128,
        ) {
            if is_solicitation {
                packet.splice(..packet.len().min(2), [TYPE, 0]);
            }
            let _checked = check(&packet, Ipv6Addr::from(source), Some(255));
        }

        #[test]
        fn options_of_any_length_are_taken_while_they_add_up(
            options in proptest::collection::vec((2..=255_u8, 1..=4_u8), 0..10),
            missing in 0..8_usize,
        ) {
            let mut packet = WITH_ADDRESS[..8].to_vec();
            for (kind, units) in &options {
                packet.extend([*kind, *units]);
                packet.extend(vec![0; usize::from(*units) * 8 - 2]);
            }
            let whole = missing == 0 || options.is_empty();
            packet.truncate(packet.len() - if whole { 0 } else { missing });
            prop_assert_eq!(check(&packet, MACHINE, Some(255)).is_ok(), whole);
        }
    }
}
