//! Images over connections that break.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use perilune_agent::controller::Controller as Client;
use perilune_agent::download::Download;
use perilune_agent::trust::Trust;
use perilune_agent::{unpack, wait};
use perilune_archive::{HashingWriter, Options, compressor, pack};
use perilune_plan::{Image, OtherController, Purpose};

use crate::console::Memory;
use crate::controller::{Answer, Controller, Request, key};

fn content() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn client(url: &str) -> Client {
    Client::new(url, "node001", Some("ticket"), &Trust::Anybody, key())
}

fn token(request: &Request) -> Option<Answer> {
    if request.line.contains("/boot/ticket/") {
        return Some(Answer::sealed(201, r#"{"token":"token"}"#, Purpose::Token));
    }
    request.line.starts_with("POST").then(Answer::nothing)
}

/// Reads the whole file from a controller.
fn fetch(controller: &Controller) -> (std::io::Result<Vec<u8>>, String) {
    let (console, memory) = Memory::console();
    let (client, position) = (client(&controller.url()), AtomicU64::new(0));
    let mut download = Download::open(&client, &console, "image", &position).unwrap();
    let mut bytes = Vec::new();
    let result = download.read_to_end(&mut bytes).map(|_| bytes);
    if let Ok(bytes) = &result {
        assert_eq!(position.load(Ordering::Relaxed), bytes.len() as u64);
    }
    (result, memory.text())
}

#[test]
fn a_broken_transfer_goes_on_where_it_was() {
    let controller = Controller::start(|_, request| {
        token(request)
            .unwrap_or_else(|| Answer::file(&content(), request.from(), "one").cut_after(500_000))
    });
    let (bytes, said) = fetch(&controller);
    assert!(bytes.unwrap() == content());
    let froms: Vec<usize> = controller.requests().iter().skip(1).map(Request::from).collect();
    assert_eq!(froms, [0, 500_000, 1_000_000]);
    assert_eq!(controller.requests()[2].header("if-range"), Some("\"one\""));
    assert!(
        said.contains("image breaks off") && said.contains("image goes on at 488 KiB"),
        "{said}"
    );
}

#[test]
fn a_controller_that_vanishes_is_waited_for_in_the_middle() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (console, memory) = Memory::console();
    let first = thread::spawn(move || {
        // Two connections, and it is gone: nothing listens any more.
        for stream in listener.incoming().take(2).map(Result::unwrap) {
            crate::controller::serve_once(stream, |request| {
                token(request)
                    .unwrap_or_else(|| Answer::file(&content(), 0, "one").cut_after(300_000))
            });
        }
    });
    let seen = memory.clone();
    let second = thread::spawn(move || {
        first.join().unwrap();
        wait::until(Duration::from_secs(20), || {
            seen.text().contains("nothing listens").then_some(())
        })
        .unwrap();
        Controller::start_on(TcpListener::bind(address).unwrap(), |_, request| {
            token(request).unwrap_or_else(|| Answer::file(&content(), request.from(), "one"))
        })
    });
    let (client, position) = (client(&format!("http://{address}")), AtomicU64::new(0));
    let mut bytes = Vec::new();
    Download::open(&client, &console, "image", &position).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(bytes == content());
    assert_eq!(second.join().unwrap().requests().len(), 1);
    assert!(memory.text().contains("the controller answers again"), "{}", memory.text());
}

#[test]
fn a_file_that_changes_meanwhile_is_an_error() {
    let controller = Controller::start(|before, request| {
        token(request).unwrap_or_else(|| match before {
            1 => Answer::file(&content(), 0, "one").cut_after(100_000),
            // What a server does with If-Range and another file: all of it, from the start.
            _ => Answer::file(&content(), 0, "two"),
        })
    });
    let (bytes, _) = fetch(&controller);
    assert!(bytes.unwrap_err().to_string().contains("has changed on the controller"));
}

#[test]
fn a_file_that_is_gone_is_an_error_in_the_controllers_words() {
    let controller = Controller::start(|before, request| {
        token(request).unwrap_or_else(|| match before {
            1 => Answer::file(&content(), 0, "one").cut_after(100_000),
            _ => Answer::json(404, r#"{"message":"image is not here"}"#),
        })
    });
    let (bytes, _) = fetch(&controller);
    assert!(bytes.unwrap_err().to_string().contains("image is not here"));
}

/// A packed tree and its checksum.
fn archive() -> (Vec<u8>, String) {
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("etc")).unwrap();
    std::fs::write(tree.path().join("etc/big"), content()).unwrap();
    let mut hashing = HashingWriter::new(Vec::new());
    let mut encoder = compressor(&mut hashing).unwrap();
    pack(tree.path(), &mut encoder, &Options::default(), &mut |_| {
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    encoder.finish().unwrap();
    let (bytes, checksum, _) = hashing.finish();
    (bytes, checksum)
}

fn image(checksum: Option<String>) -> Image {
    Image {
        name: "compute".to_owned(),
        file: "compute-1.tar.zst".to_owned(),
        torrent: None,
        checksum,
        size: None,
        unpacked_size: None,
        distribution: None,
        kernel_file: String::new(),
        initrd_file: String::new(),
    }
}

fn unpacked(bytes: Vec<u8>, checksum: Option<String>, root: &Path) -> anyhow::Result<()> {
    let cut = bytes.len() / 3;
    let controller = Controller::start(move |_, request| {
        token(request).unwrap_or_else(|| Answer::file(&bytes, request.from(), "one").cut_after(cut))
    });
    let (console, _) = Memory::console();
    unpack::image(&image(checksum), root, &client(&controller.url()), &console)
}

#[test]
fn an_image_is_unpacked_and_verified_over_broken_connections() {
    let (bytes, checksum) = archive();
    for checksum in [Some(checksum), None] {
        let root = tempfile::tempdir().unwrap();
        unpacked(bytes.clone(), checksum, root.path()).unwrap();
        assert!(std::fs::read(root.path().join("etc/big")).unwrap() == content());
    }
}

#[test]
fn an_image_with_another_checksum_is_refused() {
    let (bytes, _) = archive();
    let root = tempfile::tempdir().unwrap();
    let error = format!("{:#}", unpacked(bytes, Some("0".repeat(64)), root.path()).unwrap_err());
    assert!(
        error.contains("the image compute was not unpacked") && error.contains("checksum"),
        "{error}"
    );
}

#[test]
fn an_image_goes_on_at_another_controller_when_the_first_fails() {
    let first = Controller::start(|before, request| {
        token(request).unwrap_or_else(|| match before {
            1 => Answer::file(&content(), request.from(), "one").cut_after(500_000),
            _ => Answer::json(503, r#"{"message":"the daemon is stopping"}"#),
        })
    });
    let second = Controller::start(|_, request| {
        token(request).unwrap_or_else(|| Answer::file(&content(), request.from(), "one"))
    });
    let (console, memory) = Memory::console();
    let (client, position) = (client(&first.url()), AtomicU64::new(0));
    client.learn(&[OtherController { url: second.url(), certificate: None }]);
    let mut download = Download::open(&client, &console, "image", &position).unwrap();
    let mut bytes = Vec::new();
    download.read_to_end(&mut bytes).unwrap();
    assert!(bytes == content());
    let froms: Vec<usize> = second.requests().iter().map(Request::from).collect();
    assert_eq!(froms, [500_000], "{}", memory.text());
    // What is reported goes there from now on, and back to the first when that one is gone.
    client.report("unpack", None, &console);
    assert_eq!(client.base(), second.url());
    assert!(second.lines().last().unwrap().contains("/monitor/node/node001"));
}
