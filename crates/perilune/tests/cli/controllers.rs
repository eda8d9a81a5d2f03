//! Several daemons on one PostgreSQL.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use perilune_testkit::{Postgres, WallClock};
use serde_json::json;

use crate::kill::Daemon;
use crate::{perilune, said};

const DEADLINE: Duration = Duration::from_mins(1);
const WRITERS: usize = 4;
const EACH: usize = 10;

/// A database, and a data directory for each controller.
pub(crate) struct Site {
    pub(crate) server: Postgres,
    database: String,
    url: String,
    /// How each controller finds the database, where that is not the usual way.
    pub(crate) ways: Vec<String>,
    /// What each controller takes for the time, where that is not the machine's.
    pub(crate) clocks: Vec<WallClock>,
    pub(crate) data: Vec<tempfile::TempDir>,
}

impl Site {
    pub(crate) fn new(controllers: usize) -> Option<Self> {
        Some(Self::on(Postgres::start()?, controllers))
    }

    /// The same on a database server that was made for it.
    pub(crate) fn on(mut server: Postgres, controllers: usize) -> Self {
        let database = server.fresh();
        let url = Postgres::url(&database, server.port());
        let data = prepared(&url, controllers);
        Self { server, database, url, ways: Vec::new(), clocks: Vec::new(), data }
    }

    /// Adds a key to a section of every controller's configuration.
    pub(crate) fn configure(&self, section: &str, key: &str) {
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

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// How controllers find the database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn start(&self, number: usize) -> Daemon {
        let url = self.ways.get(number).unwrap_or(&self.url);
        // A program that can be /init, where one was made.
        let agent = self.data[number].path().join("agent");
        let mut variables = vec![("PERILUNE_DATABASE", Path::new(url))];
        if agent.exists() {
            variables.push(("PERILUNE_AGENT", &agent));
        }
        let clock = self.clocks.get(number).map(WallClock::variables);
        variables.extend(clock.iter().flatten().map(|(name, value)| (*name, value.as_path())));
        Daemon::start_with(self.data[number].path(), &variables)
    }
}

/// The data directories of so many controllers on a database that is empty.
pub(crate) fn prepared(url: &str, controllers: usize) -> Vec<tempfile::TempDir> {
    let data: Vec<_> = (0..controllers).map(|_| tempfile::tempdir().unwrap()).collect();
    for (number, directory) in data.iter().enumerate() {
        // As an administrator copies it.
        if number > 0 {
            std::fs::copy(data[0].path().join("luna.key"), directory.path().join("luna.key"))
                .unwrap();
        }
        let prepared = database(directory.path(), url, &["init"]);
        assert!(prepared.contains("is prepared"), "{prepared}");
        let ini = directory.path().join("luna.ini");
        let mut text = std::fs::read_to_string(&ini).unwrap();
        // Who is logged in at one controller is at all.
        let first = std::fs::read_to_string(data[0].path().join("luna.ini")).unwrap();
        for key in ["SECRET_KEY = ", "PASSWORD = "] {
            let line =
                |text: &str| text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
            text = text.replace(&line(&text), &line(&first));
        }
        std::fs::write(&ini, format!("{text}\n[DATABASE]\nCONTROLLER = controller{number}\n"))
            .unwrap();
    }
    data
}

/// Runs `perilune database` for a controller.
fn database(data: &Path, url: &str, arguments: &[&str]) -> String {
    let data_dir = data.display().to_string();
    let place = ["--data-dir", &data_dir, "--database", url];
    // The configuration of the data directory is made by it.
    let output = crate::Shell::new().run(&[&["database"], arguments, &place].concat());
    said(&output)
}

pub(crate) fn groups(daemon: &Daemon) -> BTreeSet<String> {
    let (code, answer) = daemon.get("/config/group").unwrap();
    // Where there is none yet, there is no list either.
    if code == 404 {
        return BTreeSet::new();
    }
    assert_eq!(code, 200, "{answer}");
    answer["config"]["group"].as_object().unwrap().keys().cloned().collect()
}

#[expect(clippy::disallowed_methods, reason = "it waits for a condition with a deadline")]
pub(crate) fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing is to happen meanwhile")]
pub(crate) fn pause(time: Duration) {
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
    describe_image(&daemons[0]);
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
        let address = address_of(one, &name);
        // Nothing is expected yet, and nothing is given.
        let search = format!("/boot/search/mac/{mac}?again=9");
        assert!(!other.text_from(&search, &address).contains("perilune.ticket="));
        assert_eq!(one.post("/boot/window", &json!({ "nodes": name })).unwrap().0, 200);
        let script = other.text_from(&search, &address);
        assert!(script.contains("perilune.ticket="), "{script}");
        // An exchange there is known here at once, too.
        let token = token_of(other, &name, &address);
        let (code, plan) = one.get_from(&format!("/boot/plan/{name}"), &token, &address);
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

#[test]
fn where_a_standby_is_required_changes_wait_for_one_and_it_is_said_why() {
    let Some(mut site) = Site::new(1) else { return };
    site.ways = vec![format!("{}?synchronous=require", site.url)];
    let wait_for = |site: &Site, names: &str| {
        let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
        site.server.sql("postgres", &sql);
        site.server.sql("postgres", "SELECT pg_reload_conf()");
    };
    let _standby = site.server.standby();
    // The first start stores the first cluster. One that starts later may find what it finds.
    drop(site.start(0));
    wait_for(&site, "");
    let daemon = site.start(0);
    let body = json!({ "config": { "group": { "meanwhile": {} } } });
    let (code, answer) = daemon.post("/config/group/meanwhile", &body).unwrap();
    assert_eq!((code, answer["code"].as_str()), (503, Some("no_standby")), "{answer}");
    let (_, warned) = daemon.get("/monitor/warnings").unwrap();
    assert!(warned.to_string().contains("waits for no standby"), "{warned}");
    assert_eq!(daemon.get("/controller").unwrap().1["standby"], false);
    assert_eq!(daemon.get("/config/network/cluster").unwrap().0, 200, "reads go on");
    wait_for(&site, "*");
    wait("changes are still refused", || daemon.config("group", "after", &json!({})) == Some(201));
    wait("it is still said", || daemon.get("/controller").unwrap().1["standby"] == true);
    assert_eq!(groups(&daemon), BTreeSet::from(["after".to_owned()]));
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

pub(crate) fn make_node(daemon: &Daemon, name: &str, mac: &str) {
    let interfaces = json!([{ "interface": "BOOTIF", "network": "cluster", "macaddress": mac }]);
    let fields = json!({ "group": "compute", "interfaces": interfaces });
    assert_eq!(daemon.config("node", name, &fields), Some(201), "{name}");
}

/// An image, and a group of nodes with it.
fn describe_image(daemon: &Daemon) {
    let files = json!({ "kernelfile": "k", "initrdfile": "i", "imagefile": "a.tar.zst" });
    assert_eq!(daemon.config("osimage", "compute", &files), Some(201));
    let interfaces = json!([{ "interface": "BOOTIF", "network": "cluster" }]);
    let group = json!({ "osimage": "compute", "interfaces": interfaces });
    assert_eq!(daemon.config("group", "compute", &group), Some(201));
}

pub(crate) fn address_of(daemon: &Daemon, node: &str) -> String {
    let shown = daemon.get(&format!("/config/node/{node}")).unwrap().1;
    let address = &shown["config"]["node"][node]["interfaces"][0]["ipaddress"];
    address.as_str().unwrap().to_owned()
}

/// The token of a boot that is expected, for the machine at this address.
fn token_of(daemon: &Daemon, node: &str, address: &str) -> String {
    let login = json!({ "username": "admin", "password": daemon.password });
    let (code, answer) = daemon.post_from(&format!("/tpm/{node}"), &login, address);
    assert_eq!(code, 200, "{answer}");
    answer["token"].as_str().unwrap().to_owned()
}

pub(crate) fn is_master(daemon: &Daemon) -> bool {
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
fn a_boot_that_begins_and_ends_while_the_database_is_away_is_stored_when_it_is_back() {
    let Some(mut site) = Site::new(2) else { return };
    site.configure("API", "PROXIES = 127.0.0.1");
    site.configure("BOOT", "EVIDENCE = arm");
    let [first, second] = [site.start(0), site.start(1)];
    describe_image(&first);
    make_node(&first, "node1", "52:54:00:00:00:01");
    let address = address_of(&first, "node1");
    wait("the node is not known", || second.get("/config/node/node1").unwrap().0 == 200);
    site.server.crash();
    wait("nobody sees that it is away", || first.get("/ha/ready").unwrap().0 == 503);
    assert_eq!(first.post("/boot/window", &json!({ "nodes": "node1" })).unwrap().0, 200);
    let token = token_of(&first, "node1", &address);
    let (code, plan) = first.get_from("/boot/plan/node1", &token, &address);
    assert_eq!(code, 200, "{plan}");
    let said = |state: &str| json!({ "monitor": { "status": { "node1": { "state": state, "status": "x" } } } });
    for state in ["install.unpack", "install.error", "install.success"] {
        let (code, answer) = first.post("/monitor/node/node1", &said(state)).unwrap();
        assert_eq!(code, 204, "{state}: {answer}");
    }
    let spool = site.data[0].path().join("spool");
    assert_eq!(
        std::fs::read_dir(&spool).unwrap().count(),
        2,
        "the use of the ticket and the last state"
    );
    // It is lost with all that it has in memory.
    drop(first);
    site.server.run(&[]);
    let first = site.start(0);
    let state_at = |daemon: &Daemon| {
        let (_, answer) = daemon.get("/monitor/node/node1").unwrap();
        answer["monitor"]["status"]["node1"]["state"].as_str().unwrap_or_default().to_owned()
    };
    wait("it is not stored", || state_at(&first) == "install.success");
    wait("the other is not told", || state_at(&second) == "install.success");
    wait("it is kept for ever", || std::fs::read_dir(&spool).unwrap().count() == 0);
}

/// A request that is sent again with its name is done once, whoever of these is asked.
fn repeats(one: &Daemon, other: &Daemon) {
    let revision = |daemon: &Daemon| {
        let (_, answer) = daemon.get("/history?limit=1").unwrap();
        answer["history"][0]["revision"].as_u64().unwrap()
    };
    let group = |name: &str| json!({ "config": { "group": { name: {} } } });
    let (code, answer) = one.post_as("a", "/config/group/named", &group("named"));
    assert_eq!(code, 201, "{answer}");
    let made = revision(one);
    for daemon in [one, other] {
        let (code, answer) = daemon.post_as("a", "/config/group/named", &group("named"));
        assert_eq!((code, answer["revision"].as_u64()), (200, Some(made)), "{answer}");
        assert_eq!(answer["repeated"], true);
    }
    // Another's request of the same name is another request: nobody uses names up for others.
    let ann = json!({ "password": "correct horse", "role": "operator" });
    one.post("/config/user/ann", &json!({ "config": { "user": { "ann": ann } } })).unwrap();
    let login = json!({ "username": "ann", "password": "correct horse" });
    let token = one.post("/token", &login).unwrap().1["token"].as_str().unwrap().to_owned();
    let (code, answer) = one.post_with(&token, "a", "/config/group/named", &group("named"));
    assert_eq!(code, 204, "{answer}");
    // The name is one of a request to this place.
    assert_eq!(one.post_as("a", "/config/group/other", &group("other")).0, 201);
    // What was refused was not done.
    let refused = json!({ "config": { "group": { "bad": { "osimage": "none" } } } });
    assert!(one.post_as("b", "/config/group/bad", &refused).0 >= 400);
    assert_eq!(one.post_as("b", "/config/group/bad", &group("bad")).0, 201);
    // Several in one, which would be refused by themselves since what they make is there.
    let bulk = json!({ "edits": [
        { "path": "/config/group/first", "body": group("first"), "expect": "new" },
        { "path": "/config/group/second", "body": group("second"), "expect": "new" },
    ] });
    assert_eq!(one.post_as("c", "/bulk", &bulk).0, 201);
    let before = revision(one);
    assert_eq!(other.post_as("c", "/bulk", &bulk).0, 200);
    assert_eq!(other.post_as("d", "/bulk", &bulk).0, 409);
    // Many at once, at both.
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let ask = |number: usize| {
            let daemon = if number.is_multiple_of(2) { one } else { other };
            let body = group("once");
            scope.spawn(move || daemon.post_as("e", "/config/group/once", &body).0)
        };
        let asked: Vec<_> = (0..8).map(ask).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 201).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 200).count(), 7, "{codes:?}");
    wait("the change is not seen", || revision(other) == before + 1 && revision(one) == before + 1);
    let long = "x".repeat(201);
    assert_eq!(one.post_as(&long, "/config/group/long", &group("long")).0, 400);
}

#[test]
fn a_request_that_is_sent_again_with_its_name_is_done_once_by_one_controller_or_several() {
    let directory = tempfile::tempdir().unwrap();
    let alone = Daemon::start(directory.path());
    repeats(&alone, &alone);
    let Some(site) = Site::new(2) else { return };
    repeats(&site.start(0), &site.start(1));
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
