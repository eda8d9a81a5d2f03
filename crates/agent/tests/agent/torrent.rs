//! Images by BitTorrent: from a real aria2c where that gives them, and from the controller where nobody does.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use perilune_agent::controller::Controller as Client;
use perilune_agent::torrent::{PATIENCE, Swarm};
use perilune_agent::trust::Trust;
use perilune_plan::{Image, Purpose};
use perilune_testkit::process::{command, end};
use perilune_torrent::bencode::bytes;
use perilune_torrent::metainfo;

use crate::console::Memory;
use crate::controller::{Answer, Controller, Request, key};

const ARCHIVE: &str = "compute-1.tar.zst";
const PIECE: usize = 256 << 10;

fn content() -> Vec<u8> {
    (0..400_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn torrent(content: &[u8]) -> Vec<u8> {
    let hashes: Vec<u8> = content.chunks(PIECE).flat_map(metainfo::sum).collect();
    let layout = (content.len() as u64, PIECE as u64);
    metainfo::write("http://127.0.0.1:9/announce", None, ARCHIVE, layout, &hashes)
}

fn image(unpacked_size: u64) -> Image {
    Image {
        name: "compute".to_owned(),
        file: ARCHIVE.to_owned(),
        torrent: Some(format!("{ARCHIVE}.torrent")),
        checksum: None,
        size: None,
        unpacked_size: Some(unpacked_size),
        distribution: None,
        kernel_file: String::new(),
        initrd_file: String::new(),
    }
}

/// A controller that has the archive and its torrent, and knows this peer.
fn controller(peer: Option<SocketAddr>) -> Controller {
    let (content, torrent) = (content(), torrent(&content()));
    Controller::start(move |_, request| {
        let asks = |what: &str| request.line.contains(what);
        if asks("/boot/ticket/") {
            return Answer::sealed(201, r#"{"token":"token"}"#, Purpose::Token);
        }
        if asks("/announce?info_hash=%") {
            let mut peers = Vec::new();
            if let Some(SocketAddr::V4(peer)) = peer {
                peers.extend(peer.ip().octets().into_iter().chain(peer.port().to_be_bytes()));
            }
            let mut answer = b"d8:intervali20e5:peers".to_vec();
            bytes(&mut answer, &peers);
            answer.push(b'e');
            return Answer::file(&answer, 0, "answer");
        }
        if request.header("x-access-tokens") != Some("token") {
            return Answer::json(401, r#"{"message":"no token"}"#);
        }
        if asks(".torrent") {
            return Answer::file(&torrent, 0, "torrent");
        }
        Answer::file(&content, request.from(), "one")
    })
}

/// What comes, and what the console says.
fn fetch(controller: &Controller, image: &Image, patience: Duration) -> (Option<Vec<u8>>, String) {
    let (console, memory) = Memory::console();
    let client = Client::new(&controller.url(), "node001", Some("ticket"), &Trust::Anybody, key());
    let root = tempfile::tempdir().unwrap();
    let swarm = Swarm::of(image, root.path(), &client, &console, patience);
    let got = swarm.map(|swarm| {
        assert_eq!(swarm.total(), content().len() as u64);
        let read = swarm.while_reading(|input, done| {
            let mut got = Vec::new();
            input.read_to_end(&mut got).unwrap();
            assert_eq!(done(), swarm.total());
            got
        });
        read.unwrap()
    });
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "nothing is left behind");
    (got, memory.text())
}

fn asked_for_the_archive(controller: &Controller) -> Vec<Request> {
    let is_archive = |request: &Request| request.line.ends_with(&format!("/files/{ARCHIVE}"));
    controller.requests().into_iter().filter(is_archive).collect()
}

#[test]
fn an_image_comes_from_a_peer_and_not_from_the_controller() {
    if !Path::new("/usr/bin/aria2c").exists() {
        assert!(std::env::var_os("CI").is_none(), "install the package aria2");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(ARCHIVE), content()).unwrap();
    let file = directory.path().join("torrent");
    fs::write(&file, torrent(&content())).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], perilune_testkit::free_port()));
    let mut aria2c = command("/usr/bin/aria2c");
    aria2c.args(["--enable-dht=false", "--seed-ratio=0", "--check-integrity=true", "--quiet"]);
    aria2c.arg(format!("--listen-port={}", address.port()));
    let mut aria2c = aria2c.arg("--dir").arg(directory.path()).arg(&file).spawn().unwrap();
    let controller = controller(Some(address));
    let (got, said) = fetch(&controller, &image(1000), PATIENCE);
    end(&mut aria2c);
    assert!(got.unwrap() == content());
    assert_eq!(asked_for_the_archive(&controller).len(), 0, "{said}");
    assert!(said.contains("1.5 MiB came from other nodes, 0 bytes were given"), "{said}");
    let requests = controller.requests();
    let last = requests.iter().rev().find(|request| request.line.contains("/announce"));
    assert!(last.unwrap().line.contains("event=stopped"), "it says that it goes");
}

#[test]
fn an_image_that_nobody_gives_comes_from_the_controller_and_the_console_says_why() {
    let controller = controller(None);
    let (got, said) = fetch(&controller, &image(1000), Duration::from_millis(200));
    assert!(got.unwrap() == content());
    assert!(
        said.contains("the image does not come from other nodes (no piece came for 0 s, from 0 peers); the controller gives it from 0 bytes on"),
        "{said}"
    );
    assert_eq!(asked_for_the_archive(&controller).len(), 1);
}

#[test]
fn without_a_torrent_or_without_room_the_controller_is_asked_at_once() {
    let site = controller(None);
    let (got, said) = fetch(&site, &image(1 << 60), PATIENCE);
    assert!(
        got.is_none() && said.contains("the image is not fetched from other nodes: its root has"),
        "{said}"
    );
    let none = Controller::start(|_, request| {
        if request.line.contains("/boot/ticket/") {
            return Answer::sealed(201, r#"{"token":"token"}"#, Purpose::Token);
        }
        Answer::json(404, r#"{"message":"there is no such file"}"#)
    });
    let (got, said) = fetch(&none, &image(1000), PATIENCE);
    assert!(got.is_none() && said.contains("there is no such file"), "{said}");
    let wrong = Controller::start(|_, request| {
        if request.line.contains("/boot/ticket/") {
            return Answer::sealed(201, r#"{"token":"token"}"#, Purpose::Token);
        }
        Answer::file(b"d4:infodee", 0, "x")
    });
    let (got, said) = fetch(&wrong, &image(1000), PATIENCE);
    assert!(got.is_none() && said.contains("compute-1.tar.zst.torrent cannot be read"), "{said}");
}
