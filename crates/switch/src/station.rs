//! Rows of a forwarding table.

use async_snmp::Value;
use perilune_model::MacAddress;

/// A hardware address, and the port behind which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Station {
    pub(crate) mac: MacAddress,
    pub(crate) port: u32,
}

/// What a row says: the last six numbers of its index are the hardware address, and the one before them, where there is
/// one, is the VLAN. `None` for a row of another table.
pub(crate) fn of(index: &[u32], value: &Value) -> Option<Station> {
    let octets = match index {
        [_vlan, octets @ ..] if octets.len() == 6 => octets,
        octets => octets,
    };
    let octets: Vec<u8> =
        octets.iter().map(|octet| u8::try_from(*octet).ok()).collect::<Option<_>>()?;
    let mac = MacAddress::ethernet(octets.try_into().ok()?);
    Some(Station { mac, port: number(value)? })
}

/// A number that cannot be negative, however the switch writes it.
pub(crate) fn number(value: &Value) -> Option<u32> {
    value.as_u32().or_else(|| value.as_i32().and_then(|number| u32::try_from(number).ok()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: [u32; 6] = [0x52, 0x54, 0, 0xab, 0, 1];

    #[test]
    fn both_standard_tables_are_read() {
        let station = Station { mac: "52:54:00:ab:00:01".parse().unwrap(), port: 7 };
        let by_vlan = [&[4094], &MAC[..]].concat();
        for index in [&MAC[..], &by_vlan] {
            for value in [Value::Integer(7), Value::Gauge32(7)] {
                assert_eq!(of(index, &value), Some(station), "{index:?} {value:?}");
            }
        }
    }

    #[test]
    fn rows_of_other_tables_are_none() {
        let with = |first: &[u32]| [first, &MAC[..]].concat();
        for index in [&[][..], &MAC[1..], &with(&[1, 2]), &[256, 0, 0, 0, 0, 1]] {
            assert_eq!(of(index, &Value::Integer(7)), None, "{index:?}");
        }
        for value in [Value::Integer(-1), Value::OctetString("7".into()), Value::NoSuchInstance] {
            assert_eq!(of(&MAC, &value), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(mac: [u8; 6], vlan: Option<u32>, port in 0..=i32::MAX) {
            let octets = mac.iter().map(|octet| u32::from(*octet));
            let index: Vec<u32> = vlan.into_iter().chain(octets).collect();
            let read = of(&index, &Value::Integer(port)).unwrap();
            prop_assert_eq!((read.mac.as_ethernet().unwrap(), i32::try_from(read.port)), (mac, Ok(port)));
        }

        #[test]
        fn any_index_is_a_row_or_none(index: Vec<u32>, number: i32) {
            let read = of(&index, &Value::Integer(number));
            prop_assert!(read.is_none() || number >= 0 && matches!(index.len(), 6 | 7));
        }
    }
}
