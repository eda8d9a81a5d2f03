//! Looks at what a BMC speaks with which no TLS can be agreed on: the first words of an old client are said to it, and
//! its answer is read. Nothing secret is told, and nothing is believed but for a message to people.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TIME: Duration = Duration::from_secs(5);
const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const SERVER_HELLO: u8 = 2;
/// Alerts that say that nothing could be agreed on: no version, no cipher suite.
const NOTHING_IN_COMMON: [u8; 4] = [40, 47, 70, 71];

/// The cipher suites that are spoken: with an exchange of keys on elliptic curves, and authenticated encryption.
const MODERN: [u16; 6] = [0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9];
/// Those before: RSA alone, or Diffie and Hellman, or with CBC and RC4.
const OLD: [u16; 28] = [
    0xc027, 0xc028, 0xc023, 0xc024, 0xc013, 0xc014, 0xc009, 0xc00a, 0xc011, 0xc012, 0x009e, 0x009f,
    0x0067, 0x006b, 0x0033, 0x0039, 0x0016, 0x009c, 0x009d, 0x003c, 0x003d, 0x002f, 0x0035, 0x0041,
    0x000a, 0x0005, 0x0004, 0x0009,
];

/// What a BMC has answered to an old client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// What it speaks, in words: too old.
    Old(String),
    /// A refusal that says nothing of age.
    Alert,
    NotTls,
    /// It has closed the connection, or says nothing.
    Silence,
}

pub(super) async fn look(address: SocketAddr) -> Seen {
    let mut answer = Vec::new();
    let looked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&hello(crate::random::bytes())).await?;
        let mut limited = (&mut stream).take(128);
        while !is_enough(&answer) && limited.read_buf(&mut answer).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // Whatever has come by then is read.
    drop(tokio::time::timeout(TIME, looked).await);
    read(&answer)
}

/// Of a hello as much as up to its cipher suite, which comes after at most 32 bytes of a session; of an alert all.
fn is_enough(answer: &[u8]) -> bool {
    match answer.first() {
        None => false,
        Some(&HANDSHAKE) => answer.len() >= 79,
        Some(_) => answer.len() >= 7,
    }
}

fn hello(random: [u8; 32]) -> Vec<u8> {
    let suites: Vec<u8> = MODERN.iter().chain(&OLD).flat_map(|suite| suite.to_be_bytes()).collect();
    let extensions: &[&[u8]] = &[
        // Groups: X25519, P-256, P-384, P-521.
        &[0x00, 0x0a, 0x00, 0x0a, 0x00, 0x08, 0x00, 0x1d, 0x00, 0x17, 0x00, 0x18, 0x00, 0x19],
        // Points uncompressed.
        &[0x00, 0x0b, 0x00, 0x02, 0x01, 0x00],
        // Signatures: RSA, ECDSA and DSA with SHA-256, 384, 512 and 1, and RSA-PSS.
        &[
            0x00, 0x0d, 0x00, 0x1c, 0x00, 0x1a, 4, 1, 5, 1, 6, 1, 2, 1, 4, 3, 5, 3, 6, 3, 2, 3, 4,
            2, 2, 2, 8, 4, 8, 5, 8, 6,
        ],
    ];
    let extensions = extensions.concat();
    let mut body = vec![0x03, 0x03];
    body.extend(random);
    body.push(0);
    body.extend(length(&suites));
    body.extend(suites);
    body.extend([1, 0]);
    body.extend(length(&extensions));
    body.extend(extensions);
    let mut message = vec![1, 0];
    message.extend(length(&body));
    message.extend(body);
    let mut record = vec![HANDSHAKE, 0x03, 0x01];
    record.extend(length(&message));
    record.extend(message);
    record
}

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()
}

fn read(answer: &[u8]) -> Seen {
    let old = |what: String| Seen::Old(what);
    match answer {
        [ALERT, 3, _, 0, 2, _, alert, ..] if NOTHING_IN_COMMON.contains(alert) => {
            old(format!("it refuses every version and cipher suite, with the alert {alert}"))
        }
        [ALERT, 3, ..] => Seen::Alert,
        [HANDSHAKE, 3, _, _, _, SERVER_HELLO, _, _, _, major, minor, rest @ ..] => {
            let version = u16::from_be_bytes([*major, *minor]);
            // The random bytes, and a session that may be empty.
            let session = usize::from(rest.get(32).copied().unwrap_or_default());
            let suite = rest.get(33 + session..).and_then(|rest| rest.first_chunk());
            let suite = suite.copied().map(u16::from_be_bytes);
            old(match (version, suite) {
                (0x0300, _) => "SSL 3.0".to_owned(),
                (0x0301, _) => "TLS 1.0".to_owned(),
                (0x0302, _) => "TLS 1.1".to_owned(),
                (_, Some(suite)) if MODERN.contains(&suite) => {
                    "TLS 1.2 with groups or signatures that are not spoken here".to_owned()
                }
                (_, Some(suite)) => format!("TLS 1.2 with {}", exchange(suite)),
                (_, None) => "TLS 1.2 without a cipher suite".to_owned(),
            })
        }
        [] | [HANDSHAKE, 3, ..] => Seen::Silence,
        _ => Seen::NotTls,
    }
}

fn exchange(suite: u16) -> String {
    let what = match suite {
        0xc000.. => "the cipher suite",
        0x009e | 0x009f | 0x0067 | 0x006b | 0x0033 | 0x0039 | 0x0016 => {
            "key exchange by DHE only, cipher suite"
        }
        _ => "key exchange by RSA only, cipher suite",
    };
    format!("{what} {suite:#06x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_hello(version: [u8; 2], suite: [u8; 2]) -> Vec<u8> {
        let mut bytes = vec![HANDSHAKE, 3, 1, 0, 42, SERVER_HELLO, 0, 0, 38];
        bytes.extend(version);
        bytes.extend([7; 32]);
        bytes.push(0);
        bytes.extend(suite);
        bytes.push(0);
        bytes
    }

    #[test]
    fn what_a_server_speaks_is_said_in_words() {
        let cases: &[(Vec<u8>, &str)] = &[
            (server_hello([3, 0], [0, 5]), "SSL 3.0"),
            (server_hello([3, 1], [0, 0x2f]), "TLS 1.0"),
            (server_hello([3, 2], [0, 0x2f]), "TLS 1.1"),
            (
                server_hello([3, 3], [0, 0x9c]),
                "TLS 1.2 with key exchange by RSA only, cipher suite 0x009c",
            ),
            (
                server_hello([3, 3], [0, 0x9e]),
                "TLS 1.2 with key exchange by DHE only, cipher suite 0x009e",
            ),
            (server_hello([3, 3], [0xc0, 0x13]), "TLS 1.2 with the cipher suite 0xc013"),
        ];
        for (answer, expected) in cases {
            assert_eq!(read(answer), Seen::Old((*expected).to_owned()));
        }
        assert_eq!(read(b"HTTP/1.1 400 Bad Request"), Seen::NotTls);
        assert_eq!(read(b""), Seen::Silence);
        assert_eq!(read(&[ALERT, 3, 1, 0, 2, 2, 80]), Seen::Alert);
        assert!(matches!(read(&[ALERT, 3, 1, 0, 2, 2, 70]), Seen::Old(_)));
    }
}
