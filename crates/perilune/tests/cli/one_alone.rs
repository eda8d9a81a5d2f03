//! What one of several controllers does alone, and how it says that it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::controllers::{Site, is_master, make_node, wait};

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
