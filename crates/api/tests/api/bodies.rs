//! Bodies that are too large, too slow or too many, by who sends them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use perilune_api::Limits;
use serde_json::json;

use crate::connections::{connect, until_closed};
use crate::image_site::{DEADLINE, ImageSite, until};

fn head(path: &str, token: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nx-access-tokens: {token}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// What is answered to somebody who has only said how large a body will be.
fn announce(site: &ImageSite, path: &str, token: &str, length: usize) -> String {
    let mut stream = connect(site);
    stream.write_all(head(path, token, length).as_bytes()).unwrap();
    until_closed(&mut stream)
}

#[test]
fn as_much_is_read_as_who_sends_it_may_send() {
    let site = ImageSite::start();
    site.describe();
    let node = site.node_token("node001");
    let answer = announce(&site, "/token", "", 15 << 20);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("64 KiB"), "{answer}");
    let answer = announce(&site, "/config/node/node001", &node, 15 << 20);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("512 KiB"), "{answer}");
    // A token changes nothing where nobody needs one.
    let answer = announce(&site, "/token", site.token(), 15 << 20);
    assert!(answer.contains("64 KiB"), "{answer}");
    let padded = |length: usize| format!("{}{{}}", " ".repeat(length));
    let large = site.post_bytes("/token", padded(64 << 10).as_bytes(), Some(""));
    assert_eq!(large.0, 413, "{}", large.1);
    let fits = site.post_bytes("/token", padded((64 << 10) - 2).as_bytes(), Some(""));
    assert_eq!((fits.0, &fits.1["message"]), (401, &json!("Login Required")));
    let report = json!({ "monitor": { "status": { "node001": { "state": "install.unpack" } } } });
    let report = format!("{}{report}", " ".repeat(500 << 10));
    assert_eq!(site.post_bytes("/monitor/node/node001", report.as_bytes(), Some(&node)).0, 204);
}

#[test]
fn who_may_not_ask_is_refused_before_the_body_comes() {
    let site = ImageSite::start();
    for (path, token) in [("/config/node/node001", ""), ("/config/apply", "wrong")] {
        let answer = announce(&site, path, token, 10 << 20);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
}

#[test]
fn a_body_in_pieces_that_says_no_length_ends_at_the_limit() {
    let site = ImageSite::start();
    let mut stream = connect(&site);
    stream
        .write_all(b"POST /token HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    let piece = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    let mut sent = 0;
    while sent < 1 << 30 && stream.write_all(piece.as_bytes()).is_ok() {
        sent += 0x1000;
    }
    assert!(sent < 1 << 30, "everything was taken");
}

#[test]
fn a_log_in_is_read_whatever_else_stands_there_and_doubled_keys_are_refused() {
    let site = ImageSite::start();
    let password = site.password();
    let nested = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let other = format!(
        r#"{{"username": "admin", "more": {nested}, "password": "{password}", "tpm_sha256": [1, {{"a": 2}}]}}"#
    );
    assert_eq!(site.post_bytes("/token", other.as_bytes(), Some("")).0, 201);
    let twice = br#"{"username": "admin", "username": "admin", "password": "x"}"#;
    let (code, answer) = site.post_bytes("/token", twice, Some(""));
    assert_eq!(code, 400, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("username"), "{answer}");
    for (broken, said) in [("{", "data is not valid json"), ("", "data is not valid json")] {
        let (code, answer) = site.post_bytes("/token", broken.as_bytes(), Some(""));
        assert_eq!((code, &answer["message"]), (400, &json!(said)));
    }
    let number = json!({ "username": 7, "password": password });
    let (code, answer) = site.post_as("/token", &number, "");
    assert_eq!((code, &answer["message"]), (401, &json!("Username Is Required")));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this client is slow")]
fn a_body_that_comes_byte_by_byte_has_no_more_time_than_one_that_stops() {
    let pause = Duration::from_millis(400);
    let site = ImageSite::start_with(Limits { pause, ..Limits::default() });
    let mut slow = connect(&site);
    slow.write_all(head("/token", "", 60_000).as_bytes()).unwrap();
    let started = Instant::now();
    while slow.write_all(b" ").is_ok() {
        assert!(started.elapsed() < DEADLINE, "it may go on for ever");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn strangers_share_a_part_of_the_memory_and_log_ins_have_room_beside_it() {
    let site = ImageSite::start();
    site.describe();
    let length = 60 << 10;
    let begin = |_: usize| -> TcpStream {
        let mut stream = connect(&site);
        stream.write_all(head("/token", "", length + 1).as_bytes()).unwrap();
        // It is refused when there is no memory for it.
        stream.write_all(" ".repeat(length).as_bytes()).ok();
        stream
    };
    // Twice as many as there is room for.
    let mut held: Vec<TcpStream> = (0..2 * (16 << 20) / length).map(begin).collect();
    let mut refused = Vec::new();
    until(|| {
        for stream in &mut held {
            stream.set_nonblocking(true).unwrap();
            let mut text = [0; 1024];
            if let Ok(length @ 1..) = stream.read(&mut text) {
                refused.push(String::from_utf8_lossy(&text[..length]).into_owned());
            }
        }
        refused.len() > 100
    });
    for answer in &refused {
        assert!(
            answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1"),
            "{answer}"
        );
    }
    assert_eq!(site.post_as("/token", &site.administrator(), "").0, 201);
    let large = format!("{}{{}}", " ".repeat(1 << 20));
    let saved = site.post_bytes("/config/node/node001", large.as_bytes(), None);
    assert_eq!(saved.0, 400, "read, and it says nothing: {}", saved.1);
    drop(held);
    let padded = format!("{}{{}}", " ".repeat(length));
    until(|| site.post_bytes("/token", padded.as_bytes(), Some("")).0 == 401);
}
