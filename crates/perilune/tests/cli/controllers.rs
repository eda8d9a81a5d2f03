//! Several daemons on one PostgreSQL.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use perilune_testkit::Postgres;
use serde_json::json;

use crate::kill::Daemon;
use crate::{perilune, said};

const DEADLINE: Duration = Duration::from_mins(1);
const WRITERS: usize = 4;
const EACH: usize = 10;

/// A database, and a data directory for each controller.
struct Site {
    server: Postgres,
    url: String,
    data: Vec<tempfile::TempDir>,
}

impl Site {
    fn new(controllers: usize) -> Option<Self> {
        let mut server = Postgres::start()?;
        let url = Postgres::url(&server.fresh(), server.port());
        let data: Vec<_> = (0..controllers).map(|_| tempfile::tempdir().unwrap()).collect();
        for (number, directory) in data.iter().enumerate() {
            // As an administrator copies it.
            if number > 0 {
                std::fs::copy(data[0].path().join("luna.key"), directory.path().join("luna.key"))
                    .unwrap();
            }
            let prepared = database(directory.path(), &url, &["init"]);
            assert!(prepared.contains("is prepared"), "{prepared}");
            let ini = directory.path().join("luna.ini");
            let text = std::fs::read_to_string(&ini).unwrap();
            let secret = |text: &str| {
                let line = text.lines().find(|line| line.starts_with("SECRET_KEY = "));
                line.unwrap().to_owned()
            };
            // What one controller signs is good at all.
            let first = std::fs::read_to_string(data[0].path().join("luna.ini")).unwrap();
            let text = text.replace(&secret(&text), &secret(&first));
            std::fs::write(&ini, format!("{text}\n[DATABASE]\nCONTROLLER = controller{number}\n"))
                .unwrap();
        }
        Some(Self { server, url, data })
    }

    /// Adds a key to a section of every controller's configuration.
    fn configure(&self, section: &str, key: &str) {
        for directory in &self.data {
            let ini = directory.path().join("luna.ini");
            let text = std::fs::read_to_string(&ini).unwrap();
            let section = format!("[{section}]\n");
            let more = format!("{section}{key}\n");
            let text = if text.contains(&section) {
                text.replace(&section, &more)
            } else {
                format!("{text}\n{more}")
            };
            std::fs::write(&ini, text).unwrap();
        }
    }

    fn start(&self, number: usize) -> Daemon {
        let database = [("PERILUNE_DATABASE", Path::new(&self.url))];
        Daemon::start_with(self.data[number].path(), &database)
    }
}

/// Runs `perilune database` for a controller.
fn database(data: &Path, url: &str, arguments: &[&str]) -> String {
    let data_dir = data.display().to_string();
    let place = ["--data-dir", &data_dir, "--database", url];
    // The configuration of the data directory is made by it.
    let output = crate::Shell::new().run(&[&["database"], arguments, &place].concat());
    said(&output)
}

fn groups(daemon: &Daemon) -> BTreeSet<String> {
    let (code, answer) = daemon.get("/config/group").unwrap();
    // Where there is none yet, there is no list either.
    if code == 404 {
        return BTreeSet::new();
    }
    assert_eq!(code, 200, "{answer}");
    answer["config"]["group"].as_object().unwrap().keys().cloned().collect()
}

#[expect(clippy::disallowed_methods, reason = "it waits for a condition with a deadline")]
fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing is to happen meanwhile")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Makes groups at all of these controllers at once; answers their names.
fn make_groups(daemons: &[&Daemon], prefix: &str) -> BTreeSet<String> {
    std::thread::scope(|scope| {
        let mut writers = Vec::new();
        for (controller, daemon) in daemons.iter().enumerate() {
            for writer in 0..WRITERS {
                writers.push(scope.spawn(move || {
                    let name = |number| format!("{prefix}c{controller}w{writer}n{number}");
                    let names: Vec<String> = (0..EACH).map(name).collect();
                    for name in &names {
                        assert_eq!(daemon.config("group", name, &json!({})), Some(201), "{name}");
                    }
                    names
                }));
            }
        }
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    })
}

#[test]
fn changes_at_each_of_three_controllers_are_seen_at_all_and_none_is_lost() {
    let Some(site) = Site::new(3) else { return };
    let daemons = [site.start(0), site.start(1), site.start(2)];
    let made = make_groups(&daemons.each_ref(), "first");
    for daemon in &daemons {
        wait("a change is not seen everywhere", || groups(daemon).is_superset(&made));
    }
    let histories = daemons.each_ref().map(|daemon| daemon.get("/history?limit=1000").unwrap());
    assert!(histories.windows(2).all(|two| two[0] == two[1]), "one history for all");
    // How long it takes until another controller shows a change; a figure to look at, not a limit.
    let mut took = Vec::new();
    for number in 0..20 {
        let name = format!("seen{number}");
        assert_eq!(daemons[number % 3].config("group", &name, &json!({})), Some(201));
        let begun = Instant::now();
        let path = format!("/config/group/{name}");
        wait("a change is not seen", || daemons[(number + 1) % 3].get(&path).unwrap().0 == 200);
        took.push(begun.elapsed());
    }
    took.sort();
    println!("seen by another controller after {:?} (median), {:?} (longest)", took[10], took[19]);
    // One is killed, and the others go on; it has everything when it is back.
    let [first, second, third] = daemons;
    drop(second);
    let more = make_groups(&[&first, &third], "later");
    let second = site.start(1);
    assert!(groups(&second).is_superset(&more), "what was committed meanwhile");
    let checked = database(site.data[0].path(), &site.url, &["check"]);
    assert!(checked.contains("is whole"), "{checked}");
}

#[test]
fn a_name_that_one_controller_took_is_refused_at_another_at_once() {
    let Some(site) = Site::new(2) else { return };
    let daemons = [site.start(0), site.start(1)];
    let taken = std::thread::scope(|scope| {
        let address = |name: &'static str, daemon| {
            let fields = json!({ "network": "10.99.0.0/16" });
            scope.spawn(move || Daemon::config(daemon, "network", name, &fields).unwrap())
        };
        let [one, other] = [address("one", &daemons[0]), address("other", &daemons[1])];
        [one.join().unwrap(), other.join().unwrap()]
    });
    // Whoever was second decided again on what the first had done, and found the addresses taken.
    assert_eq!(taken.iter().filter(|code| **code == 201).count(), 1, "{taken:?}");
}

#[test]
fn what_one_controller_made_another_builds_upon_at_once() {
    let Some(site) = Site::new(2) else { return };
    let daemons = [site.start(0), site.start(1)];
    for number in 0..20 {
        let (group, node) = (format!("group{number}"), format!("node{number}"));
        assert_eq!(daemons[number % 2].config("group", &group, &json!({})), Some(201));
        let fields = json!({ "group": group });
        assert_eq!(daemons[(number + 1) % 2].config("node", &node, &fields), Some(201), "{node}");
    }
}

#[test]
fn a_boot_that_one_controller_saw_begin_goes_on_at_another_a_moment_later() {
    let Some(site) = Site::new(2) else { return };
    // The tests speak for the machines.
    site.configure("API", "PROXIES = 127.0.0.1");
    site.configure("BOOT", "EVIDENCE = arm");
    let daemons = [site.start(0), site.start(1)];
    let files = json!({ "kernelfile": "k", "initrdfile": "i", "imagefile": "a.tar.zst" });
    assert_eq!(daemons[0].config("osimage", "compute", &files), Some(201));
    let interfaces = json!([{ "interface": "BOOTIF", "network": "cluster" }]);
    let group = json!({ "osimage": "compute", "interfaces": interfaces });
    assert_eq!(daemons[0].config("group", "compute", &group), Some(201));
    for number in 1..=10 {
        let (name, mac) = (format!("node{number}"), format!("52:54:00:00:00:{number:02}"));
        make_node(&daemons[0], &name, &mac);
    }
    wait("the nodes are not known", || {
        daemons[1].get("/config/node").is_some_and(|(_, all)| all.to_string().contains("node10"))
    });
    for number in 1..=10 {
        let (name, mac) = (format!("node{number}"), format!("52:54:00:00:00:{number:02}"));
        let (one, other) = (&daemons[number % 2], &daemons[(number + 1) % 2]);
        let shown = one.get(&format!("/config/node/{name}")).unwrap().1;
        let address = &shown["config"]["node"][&name]["interfaces"][0]["ipaddress"];
        let address = address.as_str().unwrap().to_owned();
        // Nothing is expected yet, and nothing is given.
        let search = format!("/boot/search/mac/{mac}?again=9");
        assert!(!other.text_from(&search, &address).contains("perilune.ticket="));
        assert_eq!(one.post("/boot/window", &json!({ "nodes": name })).unwrap().0, 200);
        let script = other.text_from(&search, &address);
        assert!(script.contains("perilune.ticket="), "{script}");
        // An exchange there is known here at once, too.
        let login = json!({ "username": "admin", "password": other.password });
        let (code, answer) = other.post_from(&format!("/tpm/{name}"), &login, &address);
        assert_eq!(code, 200, "{answer}");
        let token = answer["token"].as_str().unwrap();
        let (code, plan) = one.get_from(&format!("/boot/plan/{name}"), token, &address);
        assert_eq!(code, 200, "{plan}");
        let forged = format!("{token}x");
        assert_eq!(one.get_from(&format!("/boot/plan/{name}"), &forged, &address).0, 401);
    }
}

#[test]
fn without_the_database_reads_go_on_and_changes_are_refused_until_it_is_back() {
    let Some(mut site) = Site::new(2) else { return };
    let daemons = [site.start(0), site.start(1)];
    assert_eq!(daemons[0].config("group", "before", &json!({})), Some(201));
    wait("the change is not seen", || groups(&daemons[1]).contains("before"));
    site.server.crash();
    for daemon in &daemons {
        let body = json!({ "config": { "group": { "meanwhile": {} } } });
        let (code, answer) = daemon.post("/config/group/meanwhile", &body).unwrap();
        assert_eq!((code, answer["code"].as_str()), (503, Some("database_away")), "{answer}");
        assert!(groups(daemon).contains("before"));
        wait("the status does not tell", || {
            let (_, answer) = daemon.get("/monitor/warnings").unwrap();
            answer.to_string().contains("the database does not answer since")
        });
        wait("it says that it is ready", || daemon.get("/ha/ready").unwrap().0 == 503);
        assert_eq!(daemon.get("/ha/master/_set").unwrap().0, 503);
    }
    site.server.run(&[]);
    for (number, daemon) in daemons.iter().enumerate() {
        let name = format!("after{number}");
        wait("changes are still refused", || {
            daemon.config("group", &name, &json!({})).is_some_and(|code| code == 201)
        });
    }
    wait("one is not ready again", || daemons[1].get("/ha/ready").unwrap().0 == 200);
    for daemon in &daemons {
        wait("a change is not seen", || {
            let groups = groups(daemon);
            groups.contains("after0") && groups.contains("after1") && !groups.contains("meanwhile")
        });
    }
}

/// Has the daemons of a site write the file of one DHCP server, which all of them reach.
fn share_a_server(site: &Site, shared: &Path) {
    for (number, directory) in site.data.iter().enumerate() {
        let script = directory.path().join("service");
        let log = shared.join(format!("acted{number}"));
        std::fs::write(&script, format!("#!/bin/sh\necho \"$*\" >> {}\n", log.display())).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        let ini = directory.path().join("luna.ini");
        let text = std::fs::read_to_string(&ini).unwrap();
        let (script, file) = (script.display(), shared.join("dhcpd.conf"));
        let services = format!("[SERVICES]\nDHCP = dhcpd\nDNS =\nCOMMAND = {script}\n");
        let dhcp = format!("[DHCP]\nCONFIG_PATH = {}\n", file.display());
        std::fs::write(&ini, format!("{text}\n{services}{dhcp}")).unwrap();
    }
}

fn make_node(daemon: &Daemon, name: &str, mac: &str) {
    let interfaces = json!([{ "interface": "BOOTIF", "network": "cluster", "macaddress": mac }]);
    let fields = json!({ "group": "compute", "interfaces": interfaces });
    assert_eq!(daemon.config("node", name, &fields), Some(201), "{name}");
}

fn is_master(daemon: &Daemon) -> bool {
    daemon.get("/ha/master").is_some_and(|(code, _)| code == 200)
}

#[test]
fn a_master_that_was_stopped_and_goes_on_writes_nothing_and_knows_that_it_is_it_no_longer() {
    let Some(site) = Site::new(2) else { return };
    let shared = tempfile::tempdir().unwrap();
    share_a_server(&site, shared.path());
    let [first, second] = [site.start(0), site.start(1)];
    let read = |name: &str| std::fs::read_to_string(shared.path().join(name)).unwrap_or_default();
    let acted = |number: usize| read(&format!("acted{number}")).lines().count();
    let has = |name: &str| read("dhcpd.conf").contains(name);

    assert_eq!(first.get("/ha/master/_set").unwrap().0, 200);
    assert!(is_master(&first) && !is_master(&second));
    let range = json!({ "dhcp": true, "dhcp_range_begin": "10.141.200.1", "dhcp_range_end": "10.141.200.9" });
    assert_eq!(first.config("network", "cluster", &range), Some(204));
    let interfaces = json!([{ "interface": "BOOTIF", "network": "cluster" }]);
    let group = json!({ "interfaces": interfaces });
    assert_eq!(first.config("group", "compute", &group), Some(201));
    // Whoever was asked, the master writes; and whoever was asked a moment later knows of the group.
    make_node(&second, "node001", "52:54:00:00:00:01");
    wait("the master does not write", || has("node001") && acted(0) > 0);
    assert_eq!(acted(1), 0, "the other has nothing done");
    let (code, refused) = second.get("/service/dhcp/restart").unwrap();
    assert_eq!(code, 200);
    let request = refused["request_id"].as_str().unwrap().to_owned();
    let mut told = String::new();
    wait("the refusal is not told", || {
        told += &second.get(&format!("/service/status/{request}")).unwrap().1.to_string();
        told.contains("the master alone writes files of servers (now controller0)")
    });

    // It is stopped with something to write: that is due when it goes on.
    make_node(&first, "node002", "52:54:00:00:00:02");
    first.signal("STOP");
    let before = acted(0);
    wait("nobody takes over", || is_master(&second));
    wait("the new master does not write", || has("node002"));
    assert_eq!(second.get("/config/node/node001/_delete").unwrap().0, 204);
    wait("the new master does not follow", || !has("node001") && acted(1) > 0);
    let inode = || {
        std::os::unix::fs::MetadataExt::ino(&shared.path().join("dhcpd.conf").metadata().unwrap())
    };
    let written = inode();
    first.signal("CONT");
    wait("it does not come back", || {
        let (_, state) = first.get("/ha/state").unwrap();
        state["ha"]["insync"] == true && state["ha"]["master"] == false
    });
    // Time for all that it had begun: a quiet moment before it writes.
    pause(Duration::from_secs(3));
    assert_eq!((acted(0), inode()), (before, written), "the old master wrote");
    assert!(!is_master(&first) && is_master(&second));

    // All know all, and a controller that is to be stopped gives away what it has.
    let (_, all) = first.get("/ha/controllers").unwrap();
    assert_eq!(all["message"]["controller1"]["ha"]["master"], true, "{all}");
    assert_eq!(all["message"]["controller0"]["ha"]["enabled"], true, "{all}");
    let drain = first.post("/controller/controller1/_drain", &json!({})).unwrap();
    assert_eq!(drain.0, 200, "{}", drain.1);
    wait("the drained one stays the master", || is_master(&first));
    wait("the drained one is ready", || second.get("/ha/ready").unwrap().0 == 503);
    assert_eq!(first.get("/ha/ready").unwrap().0, 200);
    let refused = first.post("/controller/controller1/_remove", &json!({})).unwrap();
    assert_eq!(refused.0, 409, "{}", refused.1);
    let unknown = first.post("/controller/nobody/_remove", &json!({})).unwrap();
    assert_eq!(unknown.0, 404, "{}", unknown.1);
    let listed = first.get("/controller").unwrap().1;
    assert_eq!(listed["controllers"][1]["url"], second.url(), "{listed}");
    assert_eq!(listed["controllers"][1]["drained"], true, "{listed}");
}

#[test]
fn a_controller_is_told_what_is_wrong_with_the_database() {
    let Some(mut site) = Site::new(1) else { return };
    let other = tempfile::tempdir().unwrap();
    let wrong = database(other.path(), &site.url, &["init"]);
    assert!(wrong.contains("is sealed with the key"), "{wrong}");
    let empty = Postgres::url(&site.server.fresh(), site.server.port());
    let unprepared = database(site.data[0].path(), &empty, &["check"]);
    assert!(unprepared.contains("perilune database init"), "{unprepared}");
    let migrated = database(site.data[0].path(), &empty, &["migrate"]);
    assert!(migrated.contains("perilune database init"), "{migrated}");
    let none = perilune(
        site.data[0].path(),
        &["database", "check", "--data-dir", &site.data[0].path().display().to_string()],
    );
    assert!(said(&none).contains("no PostgreSQL database is named"), "{}", said(&none));
}

#[test]
fn a_site_moves_to_postgresql_and_back_with_everything() {
    let Some(site) = Site::new(1) else { return };
    let data = site.data[0].path();
    // A controller of its own first; the database that was prepared for it stays empty.
    let daemon = Daemon::start(data);
    assert_eq!(daemon.config("group", "moved", &json!({ "comment": "before" })), Some(201));
    drop(daemon);
    // Nobody begins anew beside a cluster that was forgotten.
    let data_dir = data.display().to_string();
    let forgotten =
        ["serve", "--listen", "127.0.0.1:0", "--database", &site.url, "--data-dir", &data_dir];
    let forgotten = said(&crate::Shell::new().run(&forgotten));
    assert!(forgotten.contains("perilune database move"), "{forgotten}");
    let moved = database(data, &site.url, &["move", "--from", "sqlite", "--to", "postgres"]);
    assert!(moved.contains("has everything as of revision"), "{moved}");
    let daemon = site.start(0);
    assert!(groups(&daemon).contains("moved"));
    assert_eq!(daemon.config("group", "there", &json!({})), Some(201));
    drop(daemon);
    let back = tempfile::tempdir().unwrap();
    for file in ["luna.key", "luna.ini"] {
        std::fs::copy(data.join(file), back.path().join(file)).unwrap();
    }
    let moved = database(back.path(), &site.url, &["move", "--from", "postgres", "--to", "sqlite"]);
    assert!(moved.contains("has everything as of revision"), "{moved}");
    let daemon = Daemon::start(back.path());
    let there = groups(&daemon);
    assert!(there.contains("moved") && there.contains("there"), "{there:?}");
}
