//! What one of several controllers does alone, and how it says that it ends.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::json;

use crate::controllers::{Site, groups, is_master, make_node, wait};
use crate::kill::Daemon;
use crate::{Shell, said};

#[test]
fn hooks_are_called_by_the_master_and_by_the_next_one_when_it_is_gone() {
    let Some(site) = Site::new(2) else { return };
    let shared = tempfile::tempdir().unwrap();
    let log = shared.path().join("log");
    // Hooks of a daemon that is root run as another user.
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o777)).unwrap();
    for (number, directory) in site.data.iter().enumerate() {
        let hook = directory.path().join("plugins/hooks/config/node");
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        let script =
            format!("#!/bin/sh\necho \"controller{number} $(cat)\" >> {}\n", log.display());
        fs::write(&hook, script).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let [first, second] = [site.start(0), site.start(1)];
    assert_eq!(first.get("/ha/master/_set").unwrap().0, 200);
    assert!(is_master(&first) && !is_master(&second));
    let interfaces = json!([{ "interface": "BOOTIF", "network": "cluster" }]);
    assert_eq!(first.config("group", "compute", &json!({ "interfaces": interfaces })), Some(201));
    let told = || fs::read_to_string(&log).unwrap_or_default();
    let told_of = |controller: &str, node: &str| {
        told().lines().any(|line| line.starts_with(controller) && line.contains(node))
    };
    for number in 1..=4 {
        let (name, mac) = (format!("node{number}"), format!("52:54:00:00:00:{number:02}"));
        make_node(if number % 2 == 0 { &first } else { &second }, &name, &mac);
        wait("the hook is not called", || told_of("controller0", &name));
    }
    assert!(!told().contains("controller1"), "{}", told());
    // What changes while there is no master, the next one tells.
    drop(first);
    make_node(&second, "node5", "52:54:00:00:00:05");
    wait("nobody takes over", || is_master(&second));
    wait("the next master tells nothing", || told_of("controller1", "node5"));
}

#[test]
fn a_controller_that_is_stopped_says_so_before_it_closes() {
    let Some(site) = Site::new(2) else { return };
    let [first, second] = [site.start(0), site.start(1)];
    wait("it is not ready", || first.get("/ha/ready").is_some_and(|(code, _)| code == 200));
    first.signal("TERM");
    // No answer before that one would be an end without a word.
    wait("it is ready to the end", || first.get("/ha/ready").expect("it still answers").0 == 503);
    assert_eq!(first.get("/config/group").unwrap().0, 404, "it goes on for those who have come");
    wait("the others are not told", || {
        second.get("/controller").unwrap().1["controllers"][0]["state"] == "behind"
    });
    wait("it does not end", || first.get("/ping").is_none());
}

/// Runs the program with a line of standard input.
fn typed(words: &[&str], line: &str) -> Output {
    let shell = Shell::new();
    let mut command = shell.command(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    writeln!(process.stdin.take().unwrap(), "{line}").unwrap();
    process.wait_with_output().unwrap()
}

#[test]
fn a_new_controller_joins_with_a_code_that_is_good_once() {
    let Some(site) = Site::new(1) else { return };
    let first = site.start(0);
    assert_eq!(first.config("group", "before", &json!({})), Some(201));
    let (code, invitation) = first.post("/controller/_invite", &json!({})).unwrap();
    assert_eq!((code, invitation["url"].as_str()), (200, Some(first.url())), "{invitation}");
    let secret = invitation["code"].as_str().unwrap();
    let join_as = |name: &str, code: &str, data: &Path| {
        let data = data.display().to_string();
        let words = ["controller", "join", first.url(), "--name", name, "--data-dir", &data];
        said(&typed(&words, code))
    };
    let join = |code: &str, data: &Path| join_as("second", code, data);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let wrong = join("wrong", &data);
    assert!(wrong.contains("refuses (403): the code is wrong") && !data.exists(), "{wrong}");
    // The code is still good.
    let running = join_as("controller0", secret, &data);
    assert!(running.contains("refuses (409)") && !data.exists(), "{running}");
    let joined = join(secret, &data);
    assert!(joined.contains("luna.ini is made"), "{joined}");
    let again = join(secret, &directory.path().join("other"));
    assert!(again.contains("refuses (403)"), "{again}");
    let configured = join(secret, &data);
    assert!(configured.contains("is there already"), "{configured}");
    for file in ["luna.ini", "luna.key"] {
        let mode = fs::metadata(data.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let audit = first.get("/audit").unwrap().1.to_string();
    assert!(audit.contains("controller second") && audit.contains("made a code"), "{audit}");
    assert!(audit.contains("the code is wrong") && !audit.contains(secret), "{audit}");
    // It finds the database by what it was given, and believes what the first has signed.
    let second = Daemon::start(&data);
    assert!(groups(&second).contains("before"));
    assert_eq!(second.get_from("/config/group", &first.token(), "127.0.0.1").0, 200);
    assert_eq!(second.config("group", "after", &json!({})), Some(201));
    wait("the first does not see it", || groups(&first).contains("after"));
    wait("the first does not hear of it", || {
        first.get("/controller").unwrap().1["controllers"][1]["name"] == "second"
    });
}
