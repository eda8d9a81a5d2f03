//! An LDAP server of the distribution, on loopback, with a directory of its own.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot make its server has failed, and it waits for it"
)]

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::port::free_port;

const PROGRAM: &str = "/usr/sbin/slapd";
const DEADLINE: Duration = Duration::from_secs(20);
/// The base of the tree.
pub const BASE: &str = "dc=cluster";
/// Who may do everything.
pub const ADMINISTRATOR: &str = "cn=admin,dc=cluster";
/// The administrator's password.
pub const PASSWORD: &str = "administrator's \"password\"";

/// A server that runs until this is dropped.
pub struct Slapd {
    process: Child,
    directory: tempfile::TempDir,
    plain: u16,
    encrypted: u16,
}

impl Slapd {
    /// Starts a server with this certificate and key (PEM). `None`, said aloud, where the distribution has none installed.
    pub fn start(certificate: &str, key: &str) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            assert!(std::env::var_os("CI").is_none(), "{PROGRAM} is not there; install slapd");
            eprintln!("SKIPPED: {PROGRAM} is not there; install the package slapd to test LDAP");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        // Security profiles of distributions go by the program's path, and know nothing of test directories.
        let program = directory.path().join("slapd");
        fs::copy(PROGRAM, &program).unwrap();
        fs::create_dir(directory.path().join("database")).unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("certificate.pem", certificate);
        write("key.pem", key);
        write("password", &format!("{PASSWORD}\n"));
        write("slapd.conf", &configuration(directory.path()));
        write("tree.ldif", TREE);
        let loaded = Command::new(&program)
            .args(["-T", "add", "-f"])
            .arg(directory.path().join("slapd.conf"))
            .arg("-l")
            .arg(directory.path().join("tree.ldif"))
            .output()
            .unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        let (plain, encrypted) = (free_port(), free_port());
        let process = Command::new(&program)
            .args(["-d", "0", "-f"])
            .arg(directory.path().join("slapd.conf"))
            .arg("-h")
            .arg(format!("ldap://127.0.0.1:{plain} ldaps://127.0.0.1:{encrypted}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { process, directory, plain, encrypted };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", encrypted)).is_err() {
            if let Some(status) = server.process.try_wait().unwrap() {
                panic!("slapd ended: {status}");
            }
            assert!(started.elapsed() < DEADLINE, "slapd does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(server)
    }

    /// The address of the plain port.
    pub fn plain(&self) -> String {
        format!("ldap://localhost:{}", self.plain)
    }

    /// The address of the port that speaks TLS only.
    pub fn encrypted(&self) -> String {
        format!("ldaps://localhost:{}", self.encrypted)
    }

    /// The file with the administrator's password.
    pub fn password_file(&self) -> PathBuf {
        self.directory.path().join("password")
    }

    /// The file with the server's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    /// Ends the server, as a crash would.
    pub fn stop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn configuration(directory: &Path) -> String {
    let here = directory.display();
    let schemas = ["core", "cosine", "nis", "inetorgperson"];
    let schemas = schemas.map(|name| format!("include /etc/ldap/schema/{name}.schema\n")).concat();
    let password = PASSWORD.replace('"', "\\\"");
    format!(
        "{schemas}modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {here}/pid\nargsfile {here}/args\n\
         TLSCertificateFile {here}/certificate.pem\nTLSCertificateKeyFile {here}/key.pem\n\
         database mdb\nsuffix \"{BASE}\"\nrootdn \"{ADMINISTRATOR}\"\nrootpw \"{password}\"\ndirectory {here}/database\n\
         maxsize 67108864\naccess to attrs=userPassword by anonymous auth by * none\naccess to * by users read by * none\n"
    )
}

const TREE: &str = "\
dn: dc=cluster
objectClass: dcObject
objectClass: organization
o: cluster
dc: cluster

dn: ou=People,dc=cluster
objectClass: organizationalUnit
ou: People

dn: ou=Group,dc=cluster
objectClass: organizationalUnit
ou: Group
";
