//! The client and the real aria2c, which seeds.

use std::fs;
use std::net::TcpListener;

use perilune_testkit::process::{command, end};

use crate::fake::{PATIENCE, Tracker, fetch, original};

#[test]
fn an_unmodified_aria2c_gives_it_everything() {
    if !std::path::Path::new("/usr/bin/aria2c").exists() {
        assert!(std::env::var_os("CI").is_none(), "install the package aria2");
        return;
    }
    let original = original(40);
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("image"), &original.data).unwrap();
    let torrent = directory.path().join("image.torrent");
    fs::write(&torrent, &original.text).unwrap();
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut aria2c = command("/usr/bin/aria2c");
    aria2c.args(["--enable-dht=false", "--seed-ratio=0", "--check-integrity=true", "--quiet"]);
    aria2c.arg(format!("--listen-port={}", address.port()));
    aria2c.arg("--dir").arg(directory.path()).arg(&torrent);
    let mut aria2c = aria2c.spawn().unwrap();
    let got = fetch(&original, &Tracker::of(&[address]), 1, PATIENCE, |_| {});
    end(&mut aria2c);
    assert!(got.unwrap() == original.data);
}
