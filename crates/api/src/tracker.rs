//! `/announce` and `/scrape`: the tracker of the archives' torrents (BEP 3, 7, 23, 48). Nobody has a token there, so that only machines that may
//! fetch an archive are told of others that have it.

use std::net::{IpAddr, SocketAddr};

use crate::operations::routes;
use axum::extract::RawQuery;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use perilune_daemon::clock;
use perilune_daemon::swarm::{Announcement, Counts, INTERVAL, MOST_TOLD, Peer, SHORTEST_INTERVAL};
use perilune_model::{Cluster, Holder};
use perilune_torrent::InfoHash;
use perilune_torrent::bencode::bytes;

use crate::permissions::{Routes, everybody};
use crate::source::Source;
use crate::state::State;
use crate::ticket;
use crate::unproven::Unproven;

/// As many torrents are told of in one answer.
const MOST_SCRAPED: usize = 64;

pub(super) fn routes() -> Routes {
    Routes::new().add(everybody().acts(), routes!(announce)).add(everybody(), routes!(scrape))
}

/// A peer says that it is there, and is told of others.
#[utoipa::path(get, path = "/announce", tag = "files", responses(
    (status = 200, description = "Peers, or why there are none, as BitTorrent writes it", body = String),
    (status = 400, description = "A page that says what is missing or wrong", content_type = "text/html", body = String),
    (status = 429, description = "Machines there asked too often", body = crate::problem::Problem),
))]
async fn announce(
    state: axum::extract::State<State>,
    Unproven(source): Unproven,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Query::read(query.as_deref().unwrap_or_default());
    match Asked::read(&query) {
        Ok(asked) => plain(answer(&state, source, &asked).await),
        Err((code, reason)) => page(code, reason),
    }
}

/// How many peers there are of torrents.
#[utoipa::path(get, path = "/scrape", tag = "files", responses(
    (status = 200, description = "Numbers of peers by torrent, as BitTorrent writes it", body = String),
    (status = 429, description = "Machines there asked too often", body = crate::problem::Problem),
))]
async fn scrape(
    state: axum::extract::State<State>,
    Unproven(source): Unproven,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Query::read(query.as_deref().unwrap_or_default());
    let wanted: Vec<InfoHash> =
        query.all("info_hash").filter_map(|hash| hash.try_into().ok()).take(MOST_SCRAPED).collect();
    for hash in &wanted {
        archive(&state, hash).await;
    }
    let cluster = state.cluster.published();
    let known = state.swarm.archives().into_iter().filter(|(hash, archive)| {
        (wanted.is_empty() || wanted.contains(hash)) && may_fetch(&state, &cluster, source, archive)
    });
    let now = clock::steady_milliseconds();
    let mut text = b"d5:filesd".to_vec();
    for (hash, _) in known.take(MOST_SCRAPED) {
        let Counts { complete, incomplete } = state.swarm.counts(&hash, now);
        bytes(&mut text, &hash);
        text.extend(
            format!("d8:completei{complete}e10:downloadedi{complete}e10:incompletei{incomplete}ee")
                .bytes(),
        );
    }
    text.extend(b"ee");
    plain(text)
}

/// The parameters of a query, as the bytes that they stand for: hashes are no text.
struct Query(Vec<(Vec<u8>, Vec<u8>)>);

impl Query {
    fn read(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key), decoded(value))
        });
        Self(pairs.collect())
    }

    fn all<'q>(&'q self, key: &'q str) -> impl Iterator<Item = &'q [u8]> {
        let found = self.0.iter().filter(move |(own, _)| own == key.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    /// The first of this name that says something.
    fn get<'q>(&'q self, key: &'q str) -> Option<&'q [u8]> {
        self.all(key).find(|value| !value.is_empty())
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        std::str::from_utf8(self.get(key)?).ok()?.parse().ok()
    }
}

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|digits| {
            let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            u8::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal)
        });
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    bytes
}

/// What a peer asks.
struct Asked {
    hash: InfoHash,
    id: [u8; 20],
    port: u16,
    is_complete: bool,
    is_over: bool,
    is_compact: bool,
    wanted: usize,
    tracker_id: Vec<u8>,
}

impl Asked {
    fn read(query: &Query) -> Result<Self, (u16, &'static str)> {
        let hash = query.get("info_hash").ok_or((101, "Missing info_hash field"))?;
        let id = query.get("peer_id").ok_or((102, "Missing peer_id field"))?;
        let port = query.number("port").filter(|port| *port != 0);
        let port = port.ok_or((103, "Missing port field"))?;
        let event = query.get("event").unwrap_or_default();
        let left: Option<u64> = query.number("left");
        Ok(Self {
            hash: hash.try_into().map_err(|_wrong| (150, "info_hash is not 20 bytes"))?,
            id: id.try_into().map_err(|_wrong| (151, "peer_id is not 20 bytes"))?,
            port,
            is_complete: left == Some(0) || (left.is_none() && event == b"completed"),
            is_over: event == b"stopped",
            is_compact: query.get("compact").is_some_and(|value| value != b"0"),
            wanted: query.number("numwant").unwrap_or(MOST_TOLD).min(MOST_TOLD),
            tracker_id: query
                .get("tracker_id")
                .unwrap_or_default()
                .iter()
                .copied()
                .take(64)
                .collect(),
        })
    }
}

async fn answer(state: &State, source: Source, asked: &Asked) -> Vec<u8> {
    let Some(archive) = archive(state, &asked.hash).await else {
        return failure("no image of this controller has this torrent");
    };
    let cluster = state.cluster.published();
    if !may_fetch(state, &cluster, source, &archive) {
        return failure("this address is of no node that is installed from this image");
    }
    let said = Announcement {
        hash: asked.hash,
        address: SocketAddr::new(source.address, asked.port),
        id: asked.id,
        is_complete: asked.is_complete,
        is_over: asked.is_over,
    };
    let (mut peers, mut counts) =
        state.swarm.announce(&said, asked.wanted, clock::steady_milliseconds());
    if let Some(own) = own_seeder(state, &cluster, source.address) {
        counts.complete += 1;
        if !asked.is_complete && !asked.is_over && asked.wanted > 0 {
            peers.truncate(MOST_TOLD - 1);
            peers.insert(0, own);
        }
    }
    told(asked, &peers, counts)
}

/// The daemon's own seeder, at the address of the controller that torrents name, of the same kind as the peer's.
fn own_seeder(state: &State, cluster: &Cluster, peer: IpAddr) -> Option<Peer> {
    let (port, id) = state.swarm.seeder()?;
    let addresses = cluster.beacon()?.addresses;
    let own = match peer {
        IpAddr::V4(_) => addresses.ipv4.map(IpAddr::V4),
        IpAddr::V6(_) => addresses.ipv6.map(IpAddr::V6),
    };
    own.map(|own| Peer::constant(SocketAddr::new(own, port), id))
}

/// The archive of a torrent. Files are looked at where that may take its time.
async fn archive(state: &State, hash: &InfoHash) -> Option<String> {
    let (swarm, hash) = (state.swarm.clone(), *hash);
    let directory = state.settings.image_files.clone();
    let now = clock::steady_milliseconds();
    let look = move || swarm.archive(&hash, &directory, now);
    tokio::task::spawn_blocking(look).await.ok().flatten()
}

/// Whether who asks may have this archive: a controller, or a node at an address of its own whose image it is of. A proxy that does not say for
/// whom it asks may speak for anybody.
fn may_fetch(state: &State, cluster: &Cluster, source: Source, archive: &str) -> bool {
    let address = source.address;
    let is_controllers = cluster.own_addresses().contains_key(&address)
        || matches!(cluster.holder(address), Some(Holder::Controller(_)));
    if is_controllers && !source.is_anybody() {
        return true;
    }
    let lent = || {
        let mac = state.leases.holder(address)?;
        cluster.node_by_mac(mac).map(|(node, _)| node)
    };
    let node = cluster.node_by_address(address).or_else(lent);
    node.is_some_and(|node| {
        ticket::archive_of(cluster, node.name.as_str()).is_some_and(|own| own == archive)
    })
}

/// The answer, a dictionary in the order of its keys.
fn told(asked: &Asked, peers: &[Peer], Counts { complete, incomplete }: Counts) -> Vec<u8> {
    let head = format!(
        "d8:completei{complete}e10:incompletei{incomplete}e8:intervali{INTERVAL}e12:min intervali{SHORTEST_INTERVAL}e"
    );
    let mut text = head.into_bytes();
    text.extend(b"5:peers");
    if asked.is_compact {
        let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
        for peer in peers {
            let port = peer.address.port().to_be_bytes();
            match peer.address.ip() {
                IpAddr::V4(ip) => ipv4.extend(ip.octets().into_iter().chain(port)),
                IpAddr::V6(ip) => ipv6.extend(ip.octets().into_iter().chain(port)),
            }
        }
        bytes(&mut text, &ipv4);
        text.extend(b"6:peers6");
        bytes(&mut text, &ipv6);
    } else {
        text.push(b'l');
        for peer in peers {
            text.extend(b"d2:ip");
            bytes(&mut text, peer.address.ip().to_string().as_bytes());
            text.extend(b"7:peer id");
            bytes(&mut text, &peer.id);
            text.extend(format!("4:porti{}ee", peer.address.port()).bytes());
        }
        text.push(b'e');
    }
    text.extend(b"10:tracker id");
    bytes(&mut text, &asked.tracker_id);
    text.push(b'e');
    text
}

fn failure(reason: &str) -> Vec<u8> {
    let mut text = b"d14:failure reason".to_vec();
    bytes(&mut text, reason.as_bytes());
    text.push(b'e');
    text
}

fn plain(text: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain")], text).into_response()
}

/// What existing clients are shown of a wrong announcement.
fn page(code: u16, reason: &str) -> Response {
    let text = format!("<html><title>{code}: {reason}</title><body>{code}: {reason}</body></html>");
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text)
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_query_are_read_however_they_are_written() {
        let query = Query::read("info_hash=%00%fF%zz%4&a=b+c&a=&empty&=x&info_hash=%41");
        let all: Vec<&[u8]> = query.all("info_hash").collect();
        assert_eq!(all, [b"\x00\xff%zz%4".as_slice(), b"A".as_slice()]);
        assert_eq!(query.get("a"), Some(b"b c".as_slice()));
        assert_eq!((query.get("empty"), query.get("none")), (None, None));
        assert_eq!(decoded("%+1"), b"% 1");
    }

    #[test]
    fn what_is_missing_or_wrong_is_told_by_its_number() {
        let (hash, id) = ("%01".repeat(20), "a".repeat(20));
        let code = |query: &str| Asked::read(&Query::read(query)).err().map(|(code, _)| code);
        assert_eq!(code(&format!("info_hash={hash}&peer_id={id}&port=6881")), None);
        assert_eq!(code(&format!("peer_id={id}&port=6881")), Some(101));
        assert_eq!(code(&format!("info_hash={hash}&port=6881")), Some(102));
        for port in ["", "&port=", "&port=x", "&port=0", "&port=65536"] {
            assert_eq!(code(&format!("info_hash={hash}&peer_id={id}{port}")), Some(103), "{port}");
        }
        assert_eq!(code(&format!("info_hash=x&peer_id={id}&port=1")), Some(150));
        assert_eq!(code(&format!("info_hash={hash}&peer_id=x&port=1")), Some(151));
    }
}
