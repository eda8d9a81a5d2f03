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
            std::fs::write(&ini, format!("{text}\n[DATABASE]\nCONTROLLER = controller{number}\n"))
                .unwrap();
        }
        Some(Self { server, url, data })
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
    }
    site.server.run(&[]);
    for (number, daemon) in daemons.iter().enumerate() {
        let name = format!("after{number}");
        wait("changes are still refused", || {
            daemon.config("group", &name, &json!({})).is_some_and(|code| code == 201)
        });
    }
    for daemon in &daemons {
        wait("a change is not seen", || {
            let groups = groups(daemon);
            groups.contains("after0") && groups.contains("after1") && !groups.contains("meanwhile")
        });
    }
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
