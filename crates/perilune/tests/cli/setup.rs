//! `perilune setup` as a shell sees it: the first start, and the controller's address later.

use std::path::Path;

use serde_json::Value;

use crate::kill::Daemon;
use crate::terminal::Terminal;
use crate::{perilune, said};

/// The set-up with these options, where nobody can be asked.
fn set_up(data: &Path, arguments: &[&str]) -> std::process::Output {
    let directory = data.to_str().unwrap();
    crate::Shell::new().run(&[&["setup", "--data-dir", directory], arguments].concat())
}

fn cluster(daemon: &Daemon) -> Value {
    daemon.get("/config/cluster").unwrap().1["config"]["cluster"].clone()
}

#[test]
fn a_controller_is_set_up_as_the_options_say_and_its_daemon_serves_that() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let output = set_up(
        &data,
        &["--interface", "none", "--address", "10.9.0.1/24", "--name", "lab", "--yes"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("perilune serve --data-dir"), "{}", said(&output));
    let daemon = Daemon::start(&data);
    let cluster = cluster(&daemon);
    assert_eq!((&cluster["name"], &cluster["nameserver_ip"]), (&"lab".into(), &"10.9.0.1".into()));
    assert_eq!(cluster["controller"]["ipaddress"], "10.9.0.1");
    let network = daemon.get("/config/network/cluster").unwrap().1;
    assert_eq!(network["config"]["network"]["cluster"]["network"], "10.9.0.0/24");
    let warnings = daemon.get("/monitor/warnings").unwrap().1.to_string();
    assert!(warnings.contains("10.9.0.1, which is not an address of this host"), "{warnings}");
}

#[test]
fn a_range_without_an_interface_is_refused_and_nothing_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let range = ["--dhcp-range", "10.9.0.100-10.9.0.120"];
    let options = [&["--interface", "none", "--address", "10.9.0.1/24", "--yes"][..], &range];
    let output = set_up(&data, &options.concat());
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("needs an interface"), "{}", said(&output));
    assert!(!data.exists());
}

#[test]
fn interfaces_and_ranges_are_kept_for_the_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let range = ["--dhcp-range", "10.9.0.100-10.9.0.120"];
    let options =
        [&["--interface", "nic7", "--address", "10.9.0.1/24", "--yes"][..], &range].concat();
    let output = set_up(&data, &options);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let ini = std::fs::read_to_string(data.join("luna.ini")).unwrap();
    assert!(ini.contains("[DHCP]\nINTERFACES = nic7\n"), "{ini}");
    let export = |file: &Path| {
        let text = std::fs::read_to_string(file).unwrap();
        text.replace("INTERFACES = nic7", "INTERFACES =")
    };
    std::fs::write(data.join("luna.ini"), export(&data.join("luna.ini"))).unwrap();
    let daemon = Daemon::start(&data);
    let network = daemon.get("/config/network/cluster").unwrap().1;
    let network = &network["config"]["network"]["cluster"];
    assert_eq!(network["dhcp"], true);
    assert_eq!(network["dhcp_range_begin"], "10.9.0.100");
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    for (options, words) in [
        (&["--interface", "none", "--address", "10.9.0.1/24"][..], "no terminal to ask"),
        (&["--address", "10.9.0.1", "--yes"], "10.141.255.254/16"),
        (&["--address", "127.0.0.1/8", "--yes"], "it is not the address of a host"),
        (&["--address", "10.9.0.0/24", "--yes"], "it is not the address of a host"),
        (&["--address", "10.9.0.1/32", "--yes"], "it is not the address of a host"),
        (&["--interface", "nic7", "--yes"], "nic7 has no address"),
        (
            &[
                "--interface",
                "nic7",
                "--address",
                "10.9.0.1/24",
                "--dhcp-range",
                "10.8.0.1-10.8.0.2",
                "--yes",
            ],
            "is not a range of addresses in 10.9.0.0/24",
        ),
        (
            &["--interface", "none", "--address", "10.9.0.1/24", "--name", "a b/c", "--yes"],
            "cannot be a name",
        ),
    ] {
        let output = set_up(&data, options);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{options:?}: {}", said(&output));
        assert!(!data.exists(), "{options:?}");
    }
}

#[test]
fn the_controllers_address_changes_with_all_that_follows() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let output = set_up(&data, &["--interface", "none", "--address", "10.9.0.1/24", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let daemon = Daemon::start(&data);
    let directory = data.to_str().unwrap();
    let change = |address: &str| {
        let options = ["setup", "--data-dir", directory, "--address", address, "--yes"];
        perilune(&data, &[&["--url", daemon.url()][..], &options].concat())
    };
    for (address, host, range) in [
        ("10.9.0.7/24", "10.9.0.7", "10.9.0.0/24"),
        ("192.168.7.1/24", "192.168.7.1", "192.168.7.0/24"),
    ] {
        let output = change(address);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        for word in ["nameserver_ip", "ntp_server", host] {
            assert!(said(&output).contains(word), "{word}: {}", said(&output));
        }
        let cluster = cluster(&daemon);
        assert_eq!(cluster["controller"]["ipaddress"], host);
        assert_eq!(
            (&cluster["nameserver_ip"], &cluster["ntp_server"]),
            (&host.into(), &host.into())
        );
        let network = daemon.get("/config/network/cluster").unwrap().1;
        assert_eq!(network["config"]["network"]["cluster"]["network"], range);
    }
    let output = change("192.168.7.1/24");
    assert!(said(&output).contains("nothing to do"), "{}", said(&output));
    let options = ["--url", daemon.url(), "setup", "--data-dir", directory, "--name", "x", "--yes"];
    let output = perilune(&data, &options);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

#[test]
fn whoever_answers_wrongly_is_told_why_and_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let data = home.join("data");
    let line = format!("perilune setup --data-dir {}", data.display());
    let mut person = Terminal::start(&line, home);
    for (question, wrong, told, right) in [
        ("Interface on which machines boot", "nic7", "no interface 'nic7'", "none"),
        ("Address of this controller", "10.9.0.1", "10.141.255.254/16", "10.9.0.1/24"),
        ("Name of the cluster", "a b/c", "cannot be a name", "lab"),
    ] {
        person.until(question);
        person.until(":");
        person.types(&format!("{wrong}\n"));
        person.until(told);
        person.until(question);
        person.until(":");
        person.types(&format!("{right}\n"));
    }
    let shown = person.until("Type yes to go on:");
    assert!(shown.contains("controller: 10.9.0.1 in network cluster (10.9.0.0/24)"), "{shown}");
    assert!(!data.exists(), "nobody has said yes");
    person.types("yes\n");
    person.until("start the controller");
    let daemon = Daemon::start(&data);
    assert_eq!(cluster(&daemon)["name"], "lab");
}

#[test]
fn a_password_that_is_typed_is_not_shown_and_asked_for_twice() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let _daemon = Daemon::start(data);
    // The shell says which terminal it is, and becomes the program.
    let line = "tty; exec perilune bmcsetup add b1 --username root --password";
    for (second, outcome) in [("s3cret-two", "nothing was changed"), ("s3cret-one", "b1 added")] {
        let mut person = Terminal::start(line, data);
        person.until("/dev/");
        let terminal = format!("/dev/{}", person.until("\n").trim());
        let mut shown = String::new();
        for password in ["s3cret-one", second] {
            shown += &person.until("Password: ");
            Terminal::until_it_shows_nothing(&terminal);
            person.types(&format!("{password}\n"));
        }
        shown += &person.until(outcome);
        assert!(shown.contains("Once more:") && !shown.contains("s3cret"), "{shown}");
    }
    let output = perilune(data, &["bmcsetup", "show", "b1", "--reveal"]);
    assert!(said(&output).contains("s3cret-one"), "{}", said(&output));
}

#[test]
fn a_person_is_asked_before_a_removal_and_anything_but_yes_is_no() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path();
    let _daemon = Daemon::start(data);
    for words in [&["group", "add", "a"][..], &["node", "add", "n[1-3]", "--group", "a"]] {
        let output = perilune(data, words);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    for (answer, outcome) in
        [("no", "nothing was changed"), ("", "nothing was changed"), ("yes", "removed (3)")]
    {
        let mut person = Terminal::start("perilune node remove n[1-3]", data);
        person.until("3 node (n[1-3])");
        person.until("Type yes to go on:");
        person.types(&format!("{answer}\n"));
        person.until(outcome);
    }
}
