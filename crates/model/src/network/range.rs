//! Ranges of addresses, as people write them.

use std::net::IpAddr;

use ipnet::IpNet;

/// Ranges in which no machine can have an address that others reach it at, and what each is for.
const SPECIAL: [(&str, &str); 9] = [
    ("0.0.0.0/8", "addresses of this network, which no machine has"),
    ("127.0.0.0/8", "loopback addresses, which every machine has for itself"),
    ("169.254.0.0/16", "link-local addresses, which machines choose for themselves"),
    ("224.0.0.0/4", "multicast addresses, which are no machine's"),
    ("240.0.0.0/4", "reserved addresses, which no machine takes"),
    ("::ffff:0:0/96", "IPv4 addresses written as IPv6; write them as IPv4"),
    ("::/64", "loopback and unspecified addresses, which are no machine's to the others"),
    ("fe80::/10", "link-local addresses, which machines choose for themselves"),
    ("ff00::/8", "multicast addresses, which are no machine's"),
];

/// Reads a range: an address, a slash and the length of the prefix. Bits of the host are cleared.
pub fn parse_range(text: &str) -> Result<IpNet, String> {
    let Some((address, length)) = text.split_once('/') else {
        return Err(format!("'{text}' has no prefix length; write it like 10.141.0.0/16"));
    };
    // `010` is eight to some and ten to others, so the standard library reads neither.
    let address: Option<IpAddr> = address.parse().ok();
    let length: Option<u8> = length.parse().ok().filter(|number: &u8| number.to_string() == length);
    let range = address.zip(length).and_then(|(address, length)| IpNet::new(address, length).ok());
    let Some(range) = range else {
        return Err(format!(
            "'{text}' is not a range of addresses; write it like 10.141.0.0/16, without leading zeros"
        ));
    };
    check_range(range)?;
    Ok(range.trunc())
}

/// Refuses a range that has addresses which no machine can have.
pub fn check_range(range: IpNet) -> Result<(), String> {
    let overlaps = |special: &str| {
        let special: Option<IpNet> = special.parse().ok();
        special.is_some_and(|special| special.contains(&range) || range.contains(&special))
    };
    match SPECIAL.iter().find(|(special, _)| overlaps(special)) {
        Some((special, what)) => {
            Err(format!("{} has addresses of {special}: {what}", range.trunc()))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_an_address_and_the_length_of_its_prefix() {
        for (text, range) in [
            ("10.141.0.0/16", "10.141.0.0/16"),
            ("10.141.3.7/16", "10.141.0.0/16"),
            ("10.9.0.0/31", "10.9.0.0/31"),
            ("10.9.0.1/32", "10.9.0.1/32"),
            ("100.64.0.0/10", "100.64.0.0/10"),
            ("FD00::1/64", "fd00::/64"),
            ("2001:db8::1/128", "2001:db8::1/128"),
        ] {
            assert_eq!(parse_range(text).map(|range| range.to_string()).as_deref(), Ok(range));
        }
    }

    #[test]
    fn what_is_no_range_for_machines_is_refused_with_the_reason() {
        for (text, reason) in [
            ("10.149.0.0", "no prefix length"),
            ("fd00::", "no prefix length"),
            ("", "no prefix length"),
            ("010.009.000.000/24", "leading zeros"),
            ("10.9.0.0/024", "leading zeros"),
            ("10.9.0.0/+24", "not a range"),
            ("10.9.0.0/33", "not a range"),
            ("10.9.0.0/255.255.0.0", "not a range"),
            ("10.9/16", "not a range"),
            ("10.9.0.0/16/8", "not a range"),
            ("10.9.0.0/", "not a range"),
            ("10.9.0.0 /16", "not a range"),
            ("0x0a.0.0.0/8", "not a range"),
            ("fe80::1%eth0/64", "not a range"),
            ("0.0.0.0/0", "0.0.0.0/8"),
            ("64.0.0.0/2", "loopback"),
            ("128.0.0.0/2", "link-local"),
            ("127.0.0.0/8", "loopback"),
            ("127.1.2.0/24", "loopback"),
            ("169.254.1.0/24", "link-local"),
            ("239.0.0.0/8", "multicast"),
            ("224.0.0.0/3", "multicast"),
            ("255.255.255.255/32", "reserved"),
            ("0.0.0.0/32", "no machine has"),
            ("::/0", "has addresses of"),
            ("::1/128", "loopback"),
            ("::10.0.0.0/104", "loopback and unspecified"),
            ("::ffff:10.9.0.0/120", "written as IPv6"),
            ("fe80::/64", "link-local"),
            ("ff02::/16", "multicast"),
        ] {
            let said = parse_range(text).unwrap_err();
            assert!(said.contains(reason), "{text}: {said}");
        }
    }
}
