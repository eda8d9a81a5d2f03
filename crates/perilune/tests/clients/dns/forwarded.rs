//! Names that are nowhere here: other servers are asked, good ones, silent ones, and those that lie.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};

use super::bind::Bind;
use super::{OUTSIDE, client, dig, dig_at, short, site, stranger};
use crate::site::{Machine, Site};
use crate::tools::{DIG, NAMED};

const SERVER: &str = "10.141.0.53";

fn server(site: &Site) -> Machine {
    let machine = site.machine("52:54:00:00:00:83");
    machine.take("10.141.0.53/16");
    machine
}

fn zone(name: &str) -> (tempfile::TempDir, String) {
    let large: Vec<String> = (0..100).map(|number| format!("big TXT \"{number:0>60}\"")).collect();
    let large = large.join("\n");
    let text = format!(
        "$TTL 60\n@ SOA ns root 1 900 300 3600 60\n@ NS ns\nns A {SERVER}\nwww A 192.0.2.80\nwww AAAA 2001:db8::80\nalias CNAME www\n\
         @ MX 10 mail\nmail A 192.0.2.25\n_ldap._tcp SRV 0 0 389 www\n{large}\n"
    );
    let (directory, file) = Bind::zone("zone", &text);
    (directory, format!("zone \"{name}\" {{ type primary; file \"{}\"; }};\n", file.display()))
}

#[test]
fn other_names_are_asked_of_the_sites_servers_for_clients_of_the_cluster_alone() {
    let (Some(dig_program), Some(named)) = (DIG.find(), NAMED.find()) else { return };
    let site = site();
    let (machine, outside, server) = (client(&site), stranger(&site), server(&site));
    let (_kept, example) = zone("example.org");
    let (_kept_too, theirs) = zone("theirs");
    let bind = Bind::start(&server, &named, "recursion no;", &format!("{example}{theirs}"));
    // Nobody is at the second; both are asked at once.
    site.cli(&["cluster", "change", "--forwardserver-ip", "10.141.0.54,10.141.0.53"]);
    for (words, expected) in [
        (&["www.example.org"][..], &["192.0.2.80"][..]),
        (&["www.example.org", "AAAA"], &["2001:db8::80"]),
        (&["alias.example.org"], &["192.0.2.80", "www.example.org."]),
        (&["example.org", "MX"], &["10 mail.example.org."]),
        (&["_ldap._tcp.example.org", "SRV"], &["0 0 389 www.example.org."]),
        (&["+tcp", "www.example.org"], &["192.0.2.80"]),
    ] {
        assert_eq!(short(&machine, &dig_program, words), expected, "{words:?}");
    }
    let gone = dig(&machine, &dig_program, &["gone.example.org"]);
    assert!(gone.contains("status: NXDOMAIN"), "{gone}");
    let large = dig(&machine, &dig_program, &["big.example.org", "TXT", "+ignore"]);
    assert!(large.contains(" tc "), "{large}");
    assert_eq!(short(&machine, &dig_program, &["big.example.org", "TXT"]).len(), 100);
    let refused = dig_at(&outside, &dig_program, OUTSIDE, &["www.example.org"]);
    assert!(refused.contains("status: REFUSED"), "{refused}");
    // Who would be asked is not answered by asking it.
    let looping = dig(&server, &dig_program, &["@10.141.255.254", "elsewhere.example.net"]);
    assert!(looping.contains("status: "), "{looping}");
    // A network whose names are somebody else's.
    site.cli(&[
        "network",
        "add",
        "theirs",
        "--network",
        "10.160.0.0/24",
        "--nameserver-ip",
        SERVER,
    ]);
    site.cli(&["network", "change", "theirs", "--non-authoritative", "yes"]);
    assert_eq!(short(&machine, &dig_program, &["www.theirs"]), ["192.0.2.80"]);
    // What was answered is kept.
    drop(bind);
    assert_eq!(short(&machine, &dig_program, &["www.example.org"]), ["192.0.2.80"]);
    let failed = dig(&machine, &dig_program, &["new.example.org"]);
    assert!(failed.contains("status: SERVFAIL"), "{failed}");
    assert_eq!(short(&machine, &dig_program, &["node001.cluster"]), ["10.141.0.1"]);
}

#[test]
fn we_are_not_asked_by_ourselves() {
    let Some(dig_program) = DIG.find() else { return };
    let site = site();
    let (machine, server) = (client(&site), server(&site));
    site.cli(&["cluster", "change", "--forwardserver-ip", "10.141.255.254"]);
    let refused = dig(&machine, &dig_program, &["www.example.org"]);
    assert!(refused.contains("status: REFUSED"), "{refused}");
    site.cli(&["cluster", "change", "--forwardserver-ip", SERVER]);
    let refused = dig(&server, &dig_program, &["www.example.org"]);
    assert!(refused.contains("status: REFUSED"), "{refused}");
}

#[test]
fn answers_that_are_guessed_are_not_taken() {
    let Some(dig_program) = DIG.find() else { return };
    let site = site();
    let (machine, liar) = (client(&site), server(&site));
    site.cli(&["cluster", "change", "--forwardserver-ip", SERVER]);
    let (udp, tcp) = liar
        .lab
        .inside(|| {
            (UdpSocket::bind((SERVER, 53)).unwrap(), TcpListener::bind((SERVER, 53)).unwrap())
        })
        .unwrap();
    // By UDP it only guesses: other numbers, other names. By TCP it tells the truth.
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            for guess in 0..20_u8 {
                let mut answer = answered(&buffer[..length], [6, 6, 6, 6]);
                if guess % 2 == 0 {
                    answer[0] ^= 0x55;
                } else {
                    answer[13] ^= 1;
                }
                udp.send_to(&answer, from).ok();
            }
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            if stream.read_exact(&mut length).is_err() {
                continue;
            }
            let mut asked = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut asked).unwrap();
            let answer = answered(&asked, [192, 0, 2, 80]);
            stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    assert_eq!(short(&machine, &dig_program, &["www.example.org"]), ["192.0.2.80"]);
    assert!(site.log().contains("somebody may be trying to forge answers"), "{}", site.log());
}

/// The answer to a question, with this address; what follows the question is left out.
fn answered(asked: &[u8], address: [u8; 4]) -> Vec<u8> {
    let name = asked[12..].iter().position(|byte| *byte == 0).unwrap();
    let mut answer = asked[..12 + name + 5].to_vec();
    answer[2] |= 0x80;
    answer[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    answer.extend(address);
    answer
}
