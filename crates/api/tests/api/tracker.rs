//! The tracker: who is told of whom, in which form.

use crate::image_site::ImageSite;

const NODE: &str = "10.141.0.1";
const OTHER: &str = "10.141.0.2";

/// A site whose image `small` is packed with a torrent, for node001 and node002; and the hash of the torrent as queries have it.
fn site() -> (ImageSite, String) {
    let site = ImageSite::start().configure("[TORRENT]\nENABLED = yes\nSEED_PORT = 0\n");
    site.describe();
    site.add_image("small");
    let group = serde_json::json!({ "config": { "group": { "compute": { "osimage": "small" } } } });
    assert_eq!(site.post("/config/group/compute", &group).0, 204);
    let (texts, worst) = site.pack("small");
    assert_eq!(worst, 200, "{texts:?}");
    assert!(
        texts.iter().any(|text| text == "created torrent provisioning for osimage small"),
        "{texts:?}"
    );
    let files = std::fs::read_dir(site.files()).unwrap();
    let torrent = files
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "torrent"));
    let torrent = std::fs::read(torrent.unwrap()).unwrap();
    let digest = perilune_torrent::metainfo::info_hash(&torrent).unwrap();
    let hash = digest.iter().fold(String::new(), |all, byte| format!("{all}%{byte:02x}"));
    (site, hash)
}

fn announce(site: &ImageSite, hash: &str, from: &str, more: &str) -> (u16, Vec<u8>) {
    let id = from.replace(['.', ':'], "");
    let query = format!("info_hash={hash}&peer_id={id:a>20}&port=6881{more}");
    site.bytes_from(&format!("/announce?{query}"), from)
}

fn has(answer: &[u8], part: &[u8]) -> bool {
    answer.windows(part.len()).any(|window| window == part)
}

#[test]
fn nodes_of_an_image_are_told_of_each_other_in_every_form() {
    let (site, hash) = site();
    let (status, first) =
        announce(&site, &hash, NODE, "&compact=1&left=0&event=started&tracker_id=t1");
    assert_eq!(status, 200);
    assert_eq!(first, b"d8:completei1e10:incompletei0e8:intervali20e12:min intervali10e5:peers0:6:peers60:10:tracker id2:t1e");
    let (_, second) = announce(&site, &hash, OTHER, "&compact=1&left=5");
    assert!(
        has(&second, b"5:peers6:\x0a\x8d\x00\x01\x1a\xe1"),
        "{}",
        String::from_utf8_lossy(&second)
    );
    assert!(has(&second, b"8:completei1e10:incompletei1e"));
    let (_, list) = announce(&site, &hash, OTHER, "&left=5");
    assert!(
        has(&list, b"5:peersld2:ip10:10.141.0.17:peer id20:"),
        "{}",
        String::from_utf8_lossy(&list)
    );
    assert!(has(&list, b"4:porti6881ee"));
    let (_, none) = announce(&site, &hash, OTHER, "&compact=1&left=5&numwant=0");
    assert!(has(&none, b"5:peers0:"));
    let (_, scraped) = site.bytes_from("/scrape", NODE);
    let expected = "d5:filesd20:";
    assert!(
        scraped.starts_with(expected.as_bytes())
            && has(&scraped, b"d8:completei1e10:downloadedi1e10:incompletei1ee")
    );
    let (_, gone) = announce(&site, &hash, NODE, "&compact=1&event=stopped");
    assert!(has(&gone, b"8:completei0e10:incompletei1e"));
}

#[test]
fn peers_by_ipv6_are_told_of_as_such() {
    let (site, hash) = site();
    let network =
        serde_json::json!({ "config": { "network": { "cluster": { "network": "fd00::/64" } } } });
    assert_eq!(site.post("/config/network/cluster", &network).0, 204);
    let own = serde_json::json!({ "config": { "node": { "node001": { "interfaces": [{ "interface": "BOOTIF", "ipaddress": "fd00::1" }] } } } });
    assert_eq!(site.post("/config/node/node001", &own).0, 204);
    announce(&site, &hash, "fd00::1", "&left=0");
    let (_, told) = announce(&site, &hash, OTHER, "&compact=1&left=5");
    let mut expected = b"6:peers618:\xfd\x00".to_vec();
    expected.extend([0; 13]);
    expected.extend([1, 0x1a, 0xe1]);
    assert!(has(&told, &expected), "{told:?}");
}

#[test]
fn strangers_other_nodes_and_whoever_may_be_anybody_are_told_of_nobody() {
    let (site, hash) = site();
    site.add_image("other");
    let node = serde_json::json!({ "config": { "node": { "node002": { "osimage": "other" } } } });
    assert_eq!(site.post("/config/node/node002", &node).0, 204);
    announce(&site, &hash, NODE, "&compact=1&left=0");
    for from in ["10.141.9.9", OTHER, "192.0.2.1"] {
        let (status, told) = announce(&site, &hash, from, "&compact=1&left=5");
        assert_eq!(status, 200);
        assert!(told.starts_with(b"d14:failure reason"), "{from}");
        assert_eq!(site.bytes_from("/scrape", from).1, b"d5:filesdee", "{from}");
    }
    let query = format!("/announce?info_hash={hash}&peer_id=aaaaaaaaaaaaaaaaaaaa&port=1");
    assert!(
        site.bytes(&query, "").1.starts_with(b"d14:failure reason"),
        "a proxy that names nobody"
    );
    let unknown =
        format!("/announce?info_hash={}&peer_id=aaaaaaaaaaaaaaaaaaaa&port=1", "%00".repeat(20));
    assert!(site.bytes_from(&unknown, NODE).1.starts_with(b"d14:failure reason"));
    // Controllers seed.
    assert!(
        announce(&site, &hash, "10.141.255.254", "&compact=1&left=0").1.starts_with(b"d8:complete")
    );
    for (query, code) in [
        ("", "101"),
        ("?info_hash=x", "102"),
        ("?info_hash=x&peer_id=y", "103"),
        ("?info_hash=x&peer_id=y&port=1", "150"),
    ] {
        let (status, page) = site.bytes_from(&format!("/announce{query}"), NODE);
        assert_eq!(status, 400);
        assert!(page.starts_with(format!("<html><title>{code}: ").as_bytes()), "{query}");
    }
    assert_eq!(site.head("/announce").0, 405, "it is remembered who asks");
}

#[test]
fn a_torrent_goes_with_its_archive_and_needs_a_token_as_that_does() {
    let (site, _) = site();
    let torrents = || {
        let files = std::fs::read_dir(site.files()).unwrap();
        let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".torrent")).collect::<Vec<String>>()
    };
    let [torrent] = &torrents()[..] else { panic!("{:?}", torrents()) };
    let path = format!("/files/{torrent}");
    assert_eq!(site.get_as(&path, "").0, 401);
    assert_eq!(site.get_as(&path, &site.node_token("node001")).0, 200);
    assert_eq!(site.get("/config/group/compute/_delete").0, 400);
    for path in [
        "/config/node/node001/_delete",
        "/config/node/node002/_delete",
        "/config/group/compute/_delete",
        "/config/osimage/small/_delete",
    ] {
        assert_eq!(site.get(path).0, 204, "{path}");
    }
}
