//! What crates that only compute do not have: waiting, sockets, files, programs, clocks, chance. ARCHITECTURE.md promises it, since then the same question
//! has the same answer on every controller, and a decision can be made again.

use super::{files, root, text};

/// The directories of these crates.
const PURE: [&str; 6] = ["dns", "model", "notation", "plan", "render", "select"];

/// Names that no source of theirs has, by what they would bring.
const NAMES: [(&str, &[&str]); 4] = [
    ("waiting", &["async", "await", "Condvar", "Mutex", "RwLock", "tokio"]),
    (
        "a socket",
        &[
            "TcpListener",
            "TcpStream",
            "ToSocketAddrs",
            "UdpSocket",
            "UnixDatagram",
            "UnixListener",
            "UnixStream",
        ],
    ),
    ("a clock", &["Instant", "OffsetDateTime", "SystemTime", "UNIX_EPOCH"]),
    ("chance", &["OsRng", "RandomState", "SystemRandom", "getrandom", "rand", "thread_rng"]),
];

/// Modules of the standard library that reach beyond the process, or run beside it.
const MODULES: [(&str, &str); 6] = [
    ("env", "the environment"),
    ("fs", "a file"),
    ("io", "a file"),
    ("os", "a file"),
    ("process", "a program"),
    ("thread", "a thread"),
];

#[test]
fn crates_that_compute_do_nothing_else() {
    for crate_name in PURE {
        let sources = root().join("crates").join(crate_name).join("src");
        let sources: Vec<_> =
            files().into_iter().filter(|path| path.starts_with(&sources)).collect();
        assert!(!sources.is_empty(), "there is no crate '{crate_name}'");
        for path in sources {
            if let Some((line, what)) = found(&text(&path)) {
                panic!("{}:{line}: {what}; do this in a crate above", path.display());
            }
        }
    }
}

/// ARCHITECTURE.md and this file name the same crates.
#[test]
fn the_page_names_the_crates_that_compute() {
    let page = text(&root().join("ARCHITECTURE.md"));
    let row =
        page.lines().find(|line| line.contains("tidy: `crates_that_compute_do_nothing_else`"));
    let row = row.expect("ARCHITECTURE.md says what this test holds");
    let claim = row.split('|').nth(1).unwrap_or_default();
    let (_, crates) = claim.split_once(" in ").unwrap();
    let mut named: Vec<&str> = crates.split('`').skip(1).step_by(2).collect();
    named.sort_unstable();
    assert_eq!(named, PURE);
}

/// The first line of a source that has what it must not, and what that is. Comments say what they like.
fn found(source: &str) -> Option<(usize, &'static str)> {
    let lines = source.lines().enumerate();
    let mut code = lines.map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()));
    code.find_map(|(at, line)| Some((at, unwanted(line)?)))
}

fn unwanted(line: &str) -> Option<&'static str> {
    let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let named = NAMES.iter().find(|(_, names)| words.iter().any(|word| names.contains(word)));
    let is_used = |module: &str| {
        let in_list = line.contains("std::{") && words.contains(&module);
        in_list || words.windows(2).any(|pair| pair == ["std", module])
    };
    let module = || MODULES.iter().find(|(module, _)| is_used(module)).map(|(_, what)| *what);
    named.map(|(what, _)| *what).or_else(module)
}

#[test]
fn each_kind_of_effect_is_found() {
    for (line, what) in [
        ("    let answer = client.get(url).await?;", "waiting"),
        ("pub async fn save() {}", "waiting"),
        ("use std::sync::Mutex;", "waiting"),
        ("let socket = std::net::UdpSocket::bind(address)?;", "a socket"),
        ("use std::net::{IpAddr, TcpStream};", "a socket"),
        ("let text = std::fs::read_to_string(path)?;", "a file"),
        ("use std::fs;", "a file"),
        ("use std::{fs, net::IpAddr};", "a file"),
        ("use std::io::Read;", "a file"),
        ("use std::fs::File;", "a file"),
        ("let now = SystemTime::now();", "a clock"),
        ("let began = std::time::Instant::now();", "a clock"),
        ("std::process::Command::new(\"ls\")", "a program"),
        ("let home = std::env::var(\"HOME\");", "the environment"),
        ("std::thread::spawn(run);", "a thread"),
        ("let salt: u64 = rand::random();", "chance"),
    ] {
        assert_eq!(found(&format!("//! A file.\n{line}\n")), Some((2, what)), "{line}");
    }
    for line in [
        "/// A client would await this, and read a File.",
        "let process = 1; // std::fs is not used",
        "use std::time::Duration;",
        "use std::net::IpAddr;",
        "use std::fmt;",
        "let waiting = is_awaited(); let filed = profile;",
    ] {
        assert_eq!(found(line), None, "{line}");
    }
}
