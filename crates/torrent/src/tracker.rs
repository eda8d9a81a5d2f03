//! What a tracker is asked, and what it answers (BEP 3, 7, 23).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::InfoHash;
use crate::bencode::{find, number, text};

/// As many peers of one answer are looked at.
const MOST_PEERS: usize = 200;

/// What a peer says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    pub hash: InfoHash,
    pub id: [u8; 20],
    /// Where it answers others.
    pub port: u16,
    /// Bytes that it lacks.
    pub left: u64,
    pub downloaded: u64,
    pub uploaded: u64,
    pub event: Event,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Started,
    Completed,
    Stopped,
    /// It is still there.
    None,
}

impl Announcement {
    /// The query of the request.
    pub fn query(&self) -> String {
        let mut query = "info_hash=".to_owned();
        encode(&mut query, &self.hash);
        query.push_str("&peer_id=");
        encode(&mut query, &self.id);
        let Self { port, left, downloaded, uploaded, .. } = self;
        let event = match self.event {
            Event::Started => "&event=started",
            Event::Completed => "&event=completed",
            Event::Stopped => "&event=stopped",
            Event::None => "",
        };
        let rest = format!(
            "&port={port}&uploaded={uploaded}&downloaded={downloaded}&left={left}&compact=1{event}"
        );
        query.push_str(&rest);
        query
    }
}

fn encode(query: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing into a text cannot fail.
        write!(query, "%{byte:02X}").ok();
    }
}

/// What the tracker says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub peers: Vec<SocketAddr>,
    /// Seconds after which it wants to hear of the peer again.
    pub interval: u64,
}

/// Reads an answer in the compact form, which is what was asked for; an error is the tracker's own reason, or that it cannot be understood.
pub fn read(answer: &[u8]) -> Result<Answer, String> {
    if let Some((reason, _)) = find(answer, b"failure reason").and_then(text) {
        return Err(String::from_utf8_lossy(reason).chars().take(200).collect());
    }
    let Some(interval) = number(answer, b"interval") else {
        return Err("its answer cannot be understood".to_owned());
    };
    let compact =
        |key| find(answer, key).and_then(text).map(|(bytes, _)| bytes).unwrap_or_default();
    let (ipv4, _) = compact(b"peers").as_chunks::<6>();
    let ipv4 = ipv4.iter().map(|[a, b, c, d, high, low]| {
        (IpAddr::V4(Ipv4Addr::new(*a, *b, *c, *d)), u16::from_be_bytes([*high, *low]))
    });
    let (ipv6, _) = compact(b"peers6").as_chunks::<18>();
    let ipv6 = ipv6.iter().filter_map(|peer| {
        let (address, port) = peer.split_first_chunk::<16>()?;
        Some((IpAddr::V6(Ipv6Addr::from(*address)), u16::from_be_bytes(port.try_into().ok()?)))
    });
    let peers = ipv4.chain(ipv6).filter(|(_, port)| *port != 0).take(MOST_PEERS);
    Ok(Answer { peers: peers.map(SocketAddr::from).collect(), interval })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_says_where_it_is_and_what_it_lacks() {
        let mut said = Announcement {
            hash: [0xab; 20],
            id: *b"-PE0001-aaaaaaaaaaaa",
            port: 6881,
            left: 7,
            downloaded: 1,
            uploaded: 2,
            event: Event::Started,
        };
        let query = said.query();
        assert!(query.starts_with("info_hash=%AB%AB"), "{query}");
        assert!(query.contains("&peer_id=%2D%50%45"), "{query}");
        let end = "&port=6881&uploaded=2&downloaded=1&left=7&compact=1";
        assert!(query.ends_with(&format!("{end}&event=started")), "{query}");
        said.event = Event::None;
        assert!(said.query().ends_with(end));
    }

    #[test]
    fn answers_name_peers_of_both_families_or_say_why_not() {
        let mut answer = b"d8:intervali20e5:peers12:".to_vec();
        answer.extend([10, 141, 0, 1, 0x1a, 0xe1, 10, 141, 0, 2, 0, 0]);
        answer.extend(b"6:peers618:");
        answer.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 80]);
        answer.push(b'e');
        let peers = ["10.141.0.1:6881", "[fd00::9]:80"].map(|peer| peer.parse().unwrap()).to_vec();
        assert_eq!(read(&answer), Ok(Answer { peers, interval: 20 }), "one has no port");
        assert_eq!(read(b"d14:failure reason2:noe"), Err("no".to_owned()));
        for wrong in [&b""[..], b"<html>", b"d8:intervali-1ee", b"de", b"l"] {
            assert!(read(wrong).is_err());
        }
        let many = [&b"d8:intervali1e5:peers6000:"[..], &[1; 6000], b"e"].concat();
        assert_eq!(read(&many).unwrap().peers.len(), MOST_PEERS);
    }
}
