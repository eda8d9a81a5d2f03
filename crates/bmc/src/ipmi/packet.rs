//! RMCP and the session header around every payload of IPMI 2.0 (13.6).

use super::garbled::Garbled;
use super::suite::Keys;
use crate::bytes::Reader;

const RMCP: [u8; 4] = [0x06, 0x00, 0xff, 0x07];
const RMCP_PLUS: u8 = 0x06;
const ENCRYPTED: u8 = 0x80;
const AUTHENTICATED: u8 = 0x40;
const NEXT_HEADER: u8 = 0x07;
/// Larger than any packet of a BMC; what is longer is cut and then does not fit its own length.
pub const LONGEST: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Ipmi = 0x00,
    OpenSessionRequest = 0x10,
    OpenSessionResponse = 0x11,
    Rakp1 = 0x12,
    Rakp2 = 0x13,
    Rakp3 = 0x14,
    Rakp4 = 0x15,
}

impl Kind {
    fn from_number(number: u8) -> Option<Self> {
        let all = [
            Self::Ipmi,
            Self::OpenSessionRequest,
            Self::OpenSessionResponse,
            Self::Rakp1,
            Self::Rakp2,
            Self::Rakp3,
            Self::Rakp4,
        ];
        all.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// The header, and the payload as it lies in the packet: still encrypted where it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub kind: Kind,
    pub encrypted: bool,
    pub authenticated: bool,
    pub session: u32,
    pub sequence: u32,
    pub payload: &'a [u8],
    /// From the header to the last byte before the code: what the code vouches for.
    covered: &'a [u8],
    code: &'a [u8],
}

pub fn decode(bytes: &[u8]) -> Result<Packet<'_>, Garbled> {
    let mut reader = Reader::new(bytes);
    if reader.array() != Some(RMCP) {
        return Err(Garbled("not a packet of IPMI"));
    }
    let after_rmcp = bytes.get(RMCP.len()..).unwrap_or_default();
    if reader.u8() != Some(RMCP_PLUS) {
        return Err(Garbled("not a packet of IPMI 2.0"));
    }
    let header = (|| Some((reader.u8()?, reader.u32()?, reader.u32()?, reader.u16()?)))();
    let (flags, session, sequence, length) = header.ok_or(Garbled("header cut short"))?;
    let kind = Kind::from_number(flags & 0x3f).ok_or(Garbled("unknown kind of payload"))?;
    let payload = reader.take(usize::from(length)).ok_or(Garbled("payload cut short"))?;
    let trailer = reader.rest();
    let authenticated = flags & AUTHENTICATED != 0;
    let (covered, code) = if authenticated {
        split_trailer(after_rmcp, trailer).ok_or(Garbled("trailer cut short"))?
    } else {
        (after_rmcp, [].as_slice())
    };
    let encrypted = flags & ENCRYPTED != 0;
    Ok(Packet { kind, encrypted, authenticated, session, sequence, payload, covered, code })
}

/// The trailer is padding of 0xff, its length, the next header, and the code.
fn split_trailer<'a>(after_rmcp: &'a [u8], trailer: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let padding = trailer.iter().take_while(|byte| **byte == 0xff).count();
    let [length, next_header] = *trailer.get(padding..)?.first_chunk::<2>()?;
    if usize::from(length) != padding || next_header != NEXT_HEADER {
        return None;
    }
    let code = trailer.len().checked_sub(padding + 2)?;
    after_rmcp.split_at_checked(after_rmcp.len().checked_sub(code)?)
}

impl Packet<'_> {
    /// The payload in the clear, when the packet is what its session's other end sent.
    pub fn open(&self, keys: &Keys) -> Result<Vec<u8>, Garbled> {
        if !self.authenticated || !self.encrypted {
            return Err(Garbled("not protected, inside a protected session"));
        }
        if !keys.is_check(self.covered, self.code) {
            return Err(Garbled("wrong check code"));
        }
        keys.decrypt(self.payload)
    }
}

/// A packet outside a session.
pub fn encode_plain(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind as u8, 0, 0, payload.len());
    bytes.extend_from_slice(payload);
    bytes
}

/// A packet of a session, encrypted and with its code.
pub fn encode_protected(
    keys: &Keys,
    session: u32,
    sequence: u32,
    vector: [u8; 16],
    payload: &[u8],
) -> Vec<u8> {
    let payload = keys.encrypt(vector, payload);
    let flags = Kind::Ipmi as u8 | ENCRYPTED | AUTHENTICATED;
    let mut bytes = header(flags, session, sequence, payload.len());
    bytes.extend_from_slice(&payload);
    let covered = bytes.len() - RMCP.len() + 2;
    let padding = (4 - covered % 4) % 4;
    bytes.extend(std::iter::repeat_n(0xff, padding));
    bytes.push(u8::try_from(padding).unwrap_or_default());
    bytes.push(NEXT_HEADER);
    let code = keys.check(bytes.get(RMCP.len()..).unwrap_or_default());
    bytes.extend(code);
    bytes
}

fn header(flags: u8, session: u32, sequence: u32, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 48);
    bytes.extend(RMCP);
    bytes.push(RMCP_PLUS);
    bytes.push(flags);
    bytes.extend(session.to_le_bytes());
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    bytes
}

/// Whose packet this is, on a socket that many sessions share: the number that we chose for the session.
pub fn console_session(bytes: &[u8]) -> Option<u32> {
    let packet = decode(bytes).ok()?;
    if packet.session != 0 {
        return Some(packet.session);
    }
    super::rakp::console_session(packet.payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::suite::Suite;
    use super::*;

    proptest! {
        #[test]
        fn a_protected_packet_comes_out_as_it_went_in(
            payload in proptest::collection::vec(any::<u8>(), 0..200),
            session: u32, sequence: u32, vector: [u8; 16],
        ) {
            for suite in [Suite::Three, Suite::Seventeen] {
                let keys = Keys::new(suite, b"key");
                let bytes = encode_protected(&keys, session, sequence, vector, &payload);
                let packet = decode(&bytes).unwrap();
                prop_assert_eq!((packet.session, packet.sequence), (session, sequence));
                prop_assert_eq!(packet.open(&keys), Ok(payload.clone()));
                // From the byte after RMCP to the next header, by the specification.
                prop_assert_eq!((bytes.len() - 4 - suite.check_length()) % 4, 0);
            }
        }

        #[test]
        fn a_changed_byte_never_passes(
            payload in proptest::collection::vec(any::<u8>(), 0..40), place: prop::sample::Index, change in 1..=255u8,
        ) {
            let keys = Keys::new(Suite::Three, b"key");
            let mut bytes = encode_protected(&keys, 7, 1, [9; 16], &payload);
            let place = place.index(bytes.len());
            bytes[place] ^= change;
            let opened = decode(&bytes).and_then(|packet| packet.open(&keys));
            prop_assert!(opened.is_err(), "byte {} may be changed unseen", place);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let keys = Keys::new(Suite::Seventeen, b"key");
            drop(decode(&bytes).and_then(|packet| packet.open(&keys)));
            console_session(&bytes);
        }
    }

    #[test]
    fn an_answer_before_the_session_says_whose_it_is_in_its_payload() {
        let bytes = encode_plain(Kind::Rakp2, &[1, 0, 0, 0, 0x78, 0x56, 0x34, 0x12, 0]);
        assert_eq!(console_session(&bytes), Some(0x1234_5678));
    }
}
