//! Certificates and versions of TLS as BMCs have them, from `openssl` and a server in Python: what is known by its bytes
//! is accepted, and what is too old is told as that.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use perilune_bmc::ipmi::Suite;
use perilune_bmc::redfish::{Fingerprint, Trust};
use perilune_bmc::{Action, Driver, Engine, Error, Limits, PowerState, Reply, Target};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::fake::{Behaviour, Fake};
use crate::tools::{is_there, redfish_target, run_one};

/// How a certificate is made that `openssl` makes in two steps: the key, and the rest.
struct Kind {
    name: &'static str,
    key: &'static str,
    signed: &'static str,
}

const ED25519: Kind =
    Kind { name: "Ed25519", key: "genpkey -algorithm ed25519 -out key", signed: "" };
const RSA: Kind = Kind { name: "RSA", key: "genrsa -out key 2048", signed: "-days 30" };
const KINDS: &[Kind] = &[
    RSA,
    ED25519,
    Kind { name: "version 1", key: "genrsa -out key 2048", signed: "-days 30 v1" },
    Kind {
        name: "version 1, P-256",
        key: "ecparam -name prime256v1 -genkey -noout -out key",
        signed: "v1",
    },
    Kind { name: "version 1, expired", key: "genrsa -out key 2048", signed: "-days -1 v1" },
    Kind { name: "RSA of 1,024 bits", key: "genrsa -out key 1024", signed: "-sha1" },
    Kind { name: "version 1, 1,024 bits, MD5", key: "genrsa -out key 1024", signed: "-md5 v1" },
    Kind { name: "RSA of 1,536 bits", key: "genrsa -out key 1536", signed: "-sha256" },
    Kind { name: "MD5", key: "genrsa -out key 2048", signed: "-md5" },
    Kind {
        name: "P-384, SHA-1",
        key: "ecparam -name secp384r1 -genkey -noout -out key",
        signed: "-sha1",
    },
    Kind {
        name: "P-521",
        key: "ecparam -name secp521r1 -genkey -noout -out key",
        signed: "-sha512",
    },
    Kind {
        name: "for another name",
        key: "genrsa -out key 3072",
        signed: "-addext subjectAltName=DNS:x",
    },
    Kind {
        name: "CA:TRUE, bits wrong",
        key: "genrsa -out key 2048",
        signed: "-addext keyUsage=cRLSign",
    },
];

async fn openssl(directory: &Path, words: &str) {
    let mut command = Command::new("openssl");
    command.args(words.split_whitespace()).current_dir(directory).kill_on_drop(true);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn make(kind: &Kind) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    openssl(directory.path(), kind.key).await;
    match kind.signed.strip_suffix("v1") {
        Some(options) => {
            openssl(directory.path(), "req -new -key key -subj /CN=bmc -out request").await;
            let sign = "x509 -req -in request -signkey key -out certificate";
            openssl(directory.path(), &format!("{sign} {options}")).await;
        }
        None => {
            let sign = "req -new -x509 -key key -subj /CN=bmc -out certificate";
            openssl(directory.path(), &format!("{sign} {}", kind.signed)).await;
        }
    }
    directory
}

struct Server {
    address: SocketAddr,
    files: TempDir,
    _process: Child,
}

impl Server {
    async fn start(kind: &Kind, [oldest, newest]: [&str; 2], ciphers: &str) -> Self {
        let files = make(kind).await;
        let mut process = Command::new("python3")
            .args(["-c", include_str!("../fake/tls_server.py")])
            .args(["certificate", "key", oldest, newest, ciphers])
            .current_dir(files.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        let port: u16 = line.trim().parse().expect("the server says its port");
        Self { address: ([127, 0, 0, 1], port).into(), files, _process: process }
    }

    fn fingerprint(&self) -> Fingerprint {
        let pem = std::fs::read(self.files.path().join("certificate")).unwrap();
        let der = <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(&pem);
        Fingerprint::of(&der.unwrap())
    }
}

async fn status(target: &Target) -> Result<Reply, Error> {
    let engine = Engine::new(Vec::new());
    run_one(&engine, target.clone(), Action::PowerStatus, Limits::default()).await.result
}

fn tools_are_there() -> bool {
    is_there("openssl", "openssl") && is_there("python3", "python3")
}

#[tokio::test]
async fn any_certificate_is_accepted_where_its_bytes_are_all_that_counts() {
    if !tools_are_there() {
        return;
    }
    for kind in KINDS {
        for newest in ["TLSv1_3", "TLSv1_2"] {
            let server = Server::start(kind, ["TLSv1", newest], "ALL").await;
            let mut target = redfish_target(server.address);
            let pin = server.fingerprint();
            for trust in [Trust::Unverified, Trust::FirstUse, Trust::Pinned(pin)] {
                target.redfish.trust = trust.clone();
                let result = status(&target).await;
                let name = kind.name;
                assert!(
                    matches!(result, Ok(Reply::Power(PowerState::On))),
                    "{name}, {newest}, {trust:?}: {result:?}"
                );
            }
            target.redfish.trust = Trust::Pinned(Fingerprint::of(b"another"));
            let refused = status(&target).await;
            assert!(matches!(refused, Err(Error::CertificateChanged { .. })), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn a_key_that_proves_nothing_here_is_told_and_accepted_only_as_any() {
    if !tools_are_there() {
        return;
    }
    let short = Kind { name: "RSA of 768 bits", key: "genrsa -out key 768", signed: "" };
    let ed448 = Kind { name: "Ed448", key: "genpkey -algorithm ed448 -out key", signed: "" };
    for (kind, expected) in
        [(short, "its RSA key has 768 bits"), (ed448, "its key is one of Ed448")]
    {
        let newest = if kind.name == "Ed448" { "TLSv1_3" } else { "TLSv1_2" };
        let server = Server::start(&kind, ["TLSv1_2", newest], "ALL").await;
        let mut target = redfish_target(server.address);
        let error = status(&target).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{}: {error}", kind.name);
        assert!(error.contains("set the certificate of its BMC setup to any"), "{error}");
        target.redfish.trust = Trust::Unverified;
        let result = status(&target).await;
        assert!(result.is_ok(), "{}: {result:?}", kind.name);
    }
}

#[tokio::test]
async fn who_shows_the_pinned_certificate_without_its_key_is_refused() {
    if !tools_are_there() {
        return;
    }
    let server = Server::start(&RSA, ["TLSv1_2", "TLSv1_2"], "ALL").await;
    let mut target = redfish_target(server.address);
    target.redfish.trust = Trust::Pinned(server.fingerprint());
    assert!(status(&target).await.is_ok());
    // Somebody between changes the signature that comes with the certificate.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut tasks = JoinSet::new();
    target.redfish.port = listener.local_addr().unwrap().port();
    let honest = server.address;
    tasks.spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = tokio::net::TcpStream::connect(honest).await.unwrap();
            let mut hello = vec![0; 4096];
            let length = client.read(&mut hello).await.unwrap();
            server.write_all(&hello[..length]).await.unwrap();
            let mut flight = Vec::new();
            // Until the message that ends the server's first words.
            while !flight.ends_with(&[0x0e, 0, 0, 0]) {
                assert!(server.read_buf(&mut flight).await.unwrap() > 0);
            }
            let end = flight.len() - 9 - 20;
            flight[end] ^= 1;
            client.write_all(&flight).await.unwrap();
            drop(client.read(&mut hello).await);
        }
    });
    let error = status(&target).await.unwrap_err();
    assert!(matches!(error, Error::CertificateRefused { .. }), "{error}");
    assert!(error.to_string().contains("does not have its key"), "{error}");
}

#[tokio::test]
async fn old_tls_is_told_as_that_and_auto_speaks_ipmi() {
    if !tools_are_there() {
        return;
    }
    let mut tasks = JoinSet::new();
    for (versions, ciphers, expected) in [
        (["TLSv1", "TLSv1"], "ALL", "TLS 1.0"),
        (["TLSv1", "TLSv1_1"], "ALL", "TLS 1.1"),
        (["TLSv1", "TLSv1_2"], "AES128-SHA:AES256-SHA", "TLS 1.2 with key exchange by RSA only"),
        (["TLSv1_2", "TLSv1_2"], "AES128-GCM-SHA256", "TLS 1.2 with key exchange by RSA only"),
        (["TLSv1_2", "TLSv1_2"], "ECDHE-RSA-AES128-SHA", "TLS 1.2 with the cipher suite 0xc013"),
    ] {
        let server = Server::start(&RSA, versions, ciphers).await;
        let mut target = redfish_target(server.address);
        let error = status(&target).await.unwrap_err();
        assert!(matches!(error, Error::OldTls { .. }), "{expected}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("speak IPMI"), "{expected}: {text}");
        let fake = Fake::start(&mut tasks, &[Suite::Three], Behaviour::Good).await;
        target.driver = Driver::Auto;
        target.ipmi.port = fake.address.port();
        let spoken = status(&target).await;
        assert!(matches!(spoken, Ok(Reply::Power(PowerState::Off))), "{expected}: {spoken:?}");
    }
}

#[tokio::test]
async fn what_is_no_tls_at_all_is_told_as_that() {
    for (answer, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "it does not speak TLS on this port"),
        (b"", "it closes the connection during the TLS handshake"),
        (&[21, 3, 3, 0, 2, 2, 80], "it breaks off the TLS handshake"),
    ] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = redfish_target(listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut hello = [0; 2048];
                drop(stream.read(&mut hello).await);
                drop(stream.write_all(answer).await);
            }
        });
        let error = status(&target).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
