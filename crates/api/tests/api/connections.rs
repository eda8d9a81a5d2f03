//! Clients that are slow, silent, or many.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use perilune_api::Limits;

use crate::image_site::{DEADLINE, ImageSite, until};

const SHORT: Duration = Duration::from_millis(400);

fn impatient() -> ImageSite {
    ImageSite::start_with(Limits { head: SHORT, pause: SHORT, ..Limits::default() })
}

pub(crate) fn connect(site: &ImageSite) -> TcpStream {
    connect_to(site.address)
}

pub(crate) fn connect_to(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// What comes until the daemon closes the connection, which it does in time.
pub(crate) fn until_closed(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
            panic!("it is still open: {error}")
        }
        _ => String::from_utf8_lossy(&text).into_owned(),
    }
}

#[test]
fn a_client_that_does_not_say_what_it_wants_is_sent_away() {
    let site = impatient();
    let mut silent = connect(&site);
    let mut slow = connect(&site);
    slow.write_all(b"GET /ping HTTP/1.1\r\nhost:").unwrap();
    assert_eq!(until_closed(&mut silent), "");
    assert!(!until_closed(&mut slow).contains("200 OK"));
    assert_eq!(site.get("/ping").0, 200);
}

#[test]
fn a_head_that_comes_letter_by_letter_has_no_more_time() {
    let site = impatient();
    let mut slow = connect(&site);
    slow.write_all(b"GET /ping HTTP/1.1\r\nhost: ").unwrap();
    let started = Instant::now();
    let pause = Duration::from_millis(20);
    slow.set_read_timeout(Some(pause)).unwrap();
    // The read is the pause; when it does not time out, the daemon has closed the connection.
    while slow.write_all(b"x").is_ok() {
        assert!(started.elapsed() < DEADLINE, "it may go on for ever");
        let read = slow.read(&mut [0; 64]).map_err(|error| error.kind());
        if !matches!(read, Err(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)) {
            break;
        }
    }
}

#[test]
fn an_answered_client_that_asks_nothing_more_is_sent_away() {
    let site = impatient();
    let mut idle = connect(&site);
    idle.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(until_closed(&mut idle).starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn a_body_that_stops_in_the_middle_is_not_waited_for() {
    let site = impatient();
    let mut slow = connect(&site);
    let head = "POST /token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{";
    slow.write_all(head.as_bytes()).unwrap();
    let answer = until_closed(&mut slow);
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[test]
fn those_who_are_too_many_wait_and_are_answered_in_their_turn() {
    let site = ImageSite::start_with(Limits { head: SHORT, connections: 2, ..Limits::default() });
    let idle = [connect(&site), connect(&site), connect(&site)];
    let mut last = connect(&site);
    last.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    assert!(until_closed(&mut last).starts_with("HTTP/1.1 200 OK"));
    drop(idle);
}

/// More than any system keeps for a connection.
const LARGE: usize = 64 << 20;
const KERNEL: &[u8] = b"GET /files/vmlinuz-6.1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// A daemon with a large file, that waits so long for those who do not take it, and has room for one of them.
fn with_kernel(size: usize) -> ImageSite {
    let site = ImageSite::start_with(Limits { stall: SHORT, connections: 1, ..Limits::default() });
    std::fs::write(site.files().join("vmlinuz-6.1"), vec![7; size]).unwrap();
    site
}

/// A client whose system keeps little for it.
fn modest(site: &ImageSite) -> TcpStream {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.connect(&site.address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[test]
fn a_client_that_takes_nothing_of_what_it_asked_for_is_cut_off_and_makes_room() {
    let site = with_kernel(LARGE);
    let mut deaf = modest(&site);
    deaf.write_all(KERNEL).unwrap();
    assert_eq!(site.get("/ping").0, 200);
    until(|| deaf.take_error().unwrap().is_some());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this client is slow")]
fn a_client_that_takes_a_little_at_a_time_is_given_all_however_long_it_takes() {
    let size = 6 << 20;
    let site = with_kernel(size);
    let mut slow = modest(&site);
    slow.write_all(KERNEL).unwrap();
    let started = Instant::now();
    let (mut taken, mut part) = (0, vec![0; 128 << 10]);
    loop {
        let count = slow.read(&mut part).unwrap();
        if count == 0 {
            break;
        }
        taken += count;
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(taken > size, "{taken} bytes with the head");
    assert!(started.elapsed() > 3 * SHORT, "it was not slow: {:?}", started.elapsed());
}
