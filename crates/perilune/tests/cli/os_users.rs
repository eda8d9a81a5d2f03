//! `perilune osuser` and `perilune osgroup` as a shell sees them, over a real LDAP server.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use perilune_testkit::slapd::{ADMINISTRATOR, BASE, Slapd};

use crate::kill::Daemon;

/// Exit code and everything that is said.
#[expect(clippy::disallowed_methods, reason = "a test may block")]
fn perilune(
    (data, daemon): (&Path, &Daemon),
    arguments: &str,
    input: &str,
) -> (Option<i32>, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_perilune"))
        .arg("--config")
        .arg(data.join("luna.ini"))
        .args(["--url", &daemon.url])
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    let output = process.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (output.status.code(), said)
}

#[test]
fn people_are_added_put_into_groups_and_removed() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let Some(server) = Slapd::start(&cert.pem(), &signing_key.serialize_pem()) else { return };
    let data = tempfile::tempdir().unwrap();
    drop(Daemon::start(data.path()));
    let file = data.path().join("luna.ini");
    let ini = fs::read_to_string(&file).unwrap();
    let lines = format!(
        "DRIVER = ldap\nLDAP_URI = {}\nLDAP_BASE = {BASE}\nLDAP_BIND_DN = {ADMINISTRATOR}\nLDAP_PASSWORD_FILE = {}\n",
        server.plain(),
        server.password_file().display()
    );
    fs::write(&file, format!("{ini}\n[OSUSER]\n{lines}")).unwrap();
    let daemon = Daemon::start(data.path());
    let run = |arguments: &str| perilune((data.path(), &daemon), arguments, "");

    let (code, said) = run("osuser list");
    assert_eq!((code, said.contains("add one with")), (Some(0), true), "{said}");
    assert_eq!(run("osgroup add gpu --gid 2000").0, Some(0));
    let add = "osuser add alice,bob --surname Smith --groups gpu --password -";
    let (code, said) = perilune((data.path(), &daemon), add, "secret\n");
    assert_eq!(code, Some(0), "{said}");
    let (_, said) = run("osuser list");
    let alice = said.lines().find(|line| line.starts_with("alice")).unwrap();
    assert_eq!(
        alice.split_whitespace().collect::<Vec<_>>(),
        ["alice", "1050", "1050", "Smith", "gpu", "/bin/bash", "/home/alice"]
    );
    assert!(run("osgroup list").1.contains("alice,bob"));
    let (code, said) = run("osuser add alice");
    assert_eq!((code, said.contains("is there already")), (Some(1), true), "{said}");
    assert_eq!(run("osuser change alice --shell /bin/zsh --expire -1").0, Some(0));
    let (_, said) = run("osuser show alice -o json");
    let shown: serde_json::Value = serde_json::from_str(&said).unwrap();
    let alice = &shown["alice"];
    assert_eq!((&alice["loginShell"], &alice["shadowExpire"]), (&"/bin/zsh".into(), &"-1".into()));
    let (code, said) = run("osuser change alicia --shell /bin/sh");
    assert_eq!((code, said.contains("did you mean alice?")), (Some(4), true), "{said}");
    let (code, said) = run("osgroup change gpu --members ghost");
    assert_eq!((code, said.contains("there is no user 'ghost'")), (Some(1), true), "{said}");
    assert_eq!(run("osuser remove alice,bob --yes").0, Some(0));
    assert_eq!(run("osgroup remove gpu --yes").0, Some(0));
    assert!(run("osgroup list").1.contains("none; add one with"));
}
