//! Strangers, odd messages, slow clients.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use super::{OUTSIDE, client, dig, dig_at, exchange, question, short, site, stranger};
use crate::site::CONTROLLER;
use crate::tools::DIG;

const A: u16 = 1;

#[test]
fn strangers_are_refused_in_no_more_bytes_than_they_sent_and_seldom() {
    let Some(dig_program) = DIG.find() else { return };
    let site = site();
    let (machine, outside) = (client(&site), stranger(&site));
    for words in [
        &["node001.cluster"][..],
        &["cluster", "ANY"],
        &["www.example.org"],
        &["+tcp", "node001.cluster"],
        &["-x", "10.141.0.1"],
        &["+tcp", "cluster", "AXFR"],
        &["CH", "TXT", "version.bind"],
    ] {
        let text = dig_at(&outside, &dig_program, OUTSIDE, words);
        let is_refused = text.contains("status: REFUSED") || text.contains("Transfer failed");
        assert!(is_refused, "{words:?}: {text}");
    }
    let asked = question("node001.cluster", A);
    let answer = exchange(&outside, OUTSIDE, &asked).unwrap();
    assert!(answer.len() <= asked.len() && answer[3] & 15 == 5, "{answer:?}");
    // A flood: of what comes in a second, a hundred are told.
    let told = outside
        .lab
        .inside(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.connect((OUTSIDE, 53)).unwrap();
            for _ in 0..20_000 {
                socket.send(&question("node001.cluster", A)).ok();
            }
            socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut buffer = [0; 512];
            std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count()
        })
        .unwrap();
    assert!(told < 5_000, "{told} of 20,000 were told");
    assert_eq!(short(&machine, &dig_program, &["node001.cluster"]), ["10.141.0.1"]);
}

#[test]
fn odd_messages_are_answered_by_what_is_odd_or_not_at_all() {
    let Some(dig_program) = DIG.find() else { return };
    let site = site();
    let machine = client(&site);
    let usual = question("node001.cluster", A);
    // A name that points to itself, one that points beyond the end, a label without an end.
    let mut own_pointer = usual[..12].to_vec();
    own_pointer.extend([0xc0, 12, 0, 1, 0, 1]);
    let mut beyond = usual[..12].to_vec();
    beyond.extend([0xff, 0xff, 0, 1, 0, 1]);
    let mut endless = usual[..12].to_vec();
    endless.extend([63, b'a']);
    let mut counts = usual.clone();
    counts[4..12].fill(0xff);
    let large = vec![0x41; 9_000];
    for odd in [&own_pointer, &beyond, &endless, &counts, &large] {
        let answer = exchange(&machine, CONTROLLER, odd);
        let is_error = answer.as_ref().is_none_or(|bytes| matches!(bytes[3] & 15, 1 | 4 | 5));
        assert!(is_error, "{odd:?}: {answer:?}");
    }
    let mut response = usual.clone();
    response[2] |= 0x80;
    for silent in [&usual[..5], &response, &[]] {
        assert_eq!(exchange(&machine, CONTROLLER, silent), None, "{silent:?}");
    }
    let mut notify = usual;
    notify[2] = 4 << 3;
    assert_eq!(exchange(&machine, CONTROLLER, &notify).unwrap()[3] & 15, 4);
    assert_eq!(short(&machine, &dig_program, &["node001.cluster"]), ["10.141.0.1"]);
}

#[test]
fn who_holds_connections_has_a_few_and_not_for_long() {
    let Some(dig_program) = DIG.find() else { return };
    let site = site();
    let (machine, slow) = (client(&site), site.machine("52:54:00:00:00:81"));
    slow.take("10.141.0.98/16");
    let open = slow
        .lab
        .inside(|| (0..30).map(|_| TcpStream::connect((CONTROLLER, 53))).collect::<Vec<_>>());
    let mut open: Vec<TcpStream> = open.unwrap().into_iter().flatten().collect();
    // Each says a bit of a message; those that are too many are closed at once, the others when they said nothing for a while.
    for stream in &mut open {
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        stream.write_all(&[0]).ok();
    }
    let by_tcp = dig(&machine, &dig_program, &["+tcp", "+short", "node001.cluster"]);
    assert!(by_tcp.contains("10.141.0.1"), "{by_tcp}");
    for stream in &mut open {
        let ended = stream.read(&mut [0; 16]);
        let is_closed = ended.as_ref().is_ok_and(|length| *length == 0)
            || ended
                .as_ref()
                .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(is_closed, "{ended:?}");
    }
    let again = dig(&slow, &dig_program, &["+tcp", "+short", "node001.cluster"]);
    assert!(again.contains("10.141.0.1"), "{again}");
    // A message that is longer than any question.
    let mut stream = slow.lab.inside(|| TcpStream::connect((CONTROLLER, 53))).unwrap().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    stream.write_all(&[0xff, 0xff, 0]).unwrap();
    assert_eq!(stream.read(&mut [0; 16]).unwrap_or_default(), 0);
}
