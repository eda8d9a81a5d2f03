//! Options of DHCPv6: two bytes that tell which, two that tell how long, and the value (RFC 8415, section 21.1).

/// Which option it is (the registry "DHCPv6 Option Codes" of IANA).
pub(crate) mod code {
    pub(crate) const CLIENT_ID: u16 = 1;
    pub(crate) const SERVER_ID: u16 = 2;
    pub(crate) const IA_NA: u16 = 3;
    pub(crate) const IA_TA: u16 = 4;
    pub(crate) const IA_ADDRESS: u16 = 5;
    pub(crate) const OPTION_REQUEST: u16 = 6;
    pub(crate) const PREFERENCE: u16 = 7;
    pub(crate) const RELAY_MESSAGE: u16 = 9;
    pub(crate) const STATUS: u16 = 13;
    pub(crate) const RAPID_COMMIT: u16 = 14;
    pub(crate) const USER_CLASS: u16 = 15;
    pub(crate) const VENDOR_CLASS: u16 = 16;
    pub(crate) const INTERFACE_ID: u16 = 18;
    pub(crate) const NAME_SERVERS: u16 = 23;
    pub(crate) const DOMAINS: u16 = 24;
    pub(crate) const IA_PD: u16 = 25;
    pub(crate) const INFORMATION_REFRESH: u16 = 32;
    pub(crate) const REMOTE_ID: u16 = 37;
    pub(crate) const CLIENT_NAME: u16 = 39;
    pub(crate) const TIME_SERVERS: u16 = 56;
    pub(crate) const BOOT_FILE_URL: u16 = 59;
    pub(crate) const ARCHITECTURE: u16 = 61;
    pub(crate) const LINK_LAYER_ADDRESS: u16 = 79;
}

/// The options of a message, or within another option. What is cut short ends them: nothing behind it can be told apart.
pub(crate) fn read(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, d, rest @ ..] = bytes else { return None };
        let (value, next) = rest.split_at_checked(usize::from(u16::from_be_bytes([*c, *d])))?;
        bytes = next;
        Some((u16::from_be_bytes([*a, *b]), value))
    })
}

/// The first option of a kind.
pub(crate) fn find(bytes: &[u8], code: u16) -> Option<&[u8]> {
    read(bytes).find(|(known, _)| *known == code).map(|(_, value)| value)
}

/// Texts that have two bytes of length each: classes (RFC 8415, sections 21.15 and 21.16).
pub(crate) fn counted(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let [a, b, rest @ ..] = bytes else { return None };
        let (value, next) = rest.split_at_checked(usize::from(u16::from_be_bytes([*a, *b])))?;
        bytes = next;
        Some(value)
    })
}

/// Adds an option. A value that is longer than its length can tell is left out.
pub(crate) fn put(bytes: &mut Vec<u8>, code: u16, value: &[u8]) {
    let Ok(length) = u16::try_from(value.len()) else { return };
    bytes.extend(code.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_end_where_one_is_cut_short() {
        let mut bytes = Vec::new();
        put(&mut bytes, 6, &[0, 23]);
        put(&mut bytes, 14, &[]);
        let whole: Vec<_> = read(&bytes).collect();
        assert_eq!(whole, [(6, &[0, 23][..]), (14, &[])]);
        bytes.extend([0, 1, 0, 9, 1]);
        assert_eq!(read(&bytes).count(), 2);
        assert_eq!(read(&[0, 1, 0]).count(), 0);
        assert_eq!(counted(&[0, 1, b'a', 0, 0, 0, 9, 1]).collect::<Vec<_>>(), [&b"a"[..], b""]);
        let before = bytes.len();
        put(&mut bytes, 1, &vec![0; 1 << 16]);
        assert_eq!(bytes.len(), before);
    }
}
