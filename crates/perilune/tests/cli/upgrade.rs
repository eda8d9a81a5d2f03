//! Controllers are brought to a later version one after the other, while all of them are used.
//!
//! The later version is this program with one thing more that it may store: comments of networks, which are taken for something that
//! this version does not know. It is a process of its own, which is killed as any other. `PERILUNE_LATER` names a program that really is
//! another version, and `PERILUNE_LATER_FIELD` a text of networks that it alone knows.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, RwLock};

use perilune_api::Limits;
use perilune_daemon::config::{Options, Program};
use perilune_model::Kind;
use perilune_store::Newer;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::changes::Changes;
use crate::controllers::{Site, wait};
use crate::kill::{Daemon, serve};

const CONTROLLERS: usize = 3;
const LATER: Program = Program {
    version: "later",
    format: Program::THIS.format + 1,
    newer: &[(
        Program::THIS.format + 1,
        Newer::Field { kind: Kind::Network, place: "comment", usual: "null" },
    )],
};
/// Where the later version listens, has its data, and finds the database.
const TOLD: [&str; 3] = ["PERILUNE_TEST_LISTEN", "PERILUNE_TEST_DATA", "PERILUNE_TEST_DATABASE"];

/// What is run as the later version; for nobody else it does nothing.
#[test]
fn the_later_version() {
    let [Some(listen), Some(data), Some(database)] = TOLD.map(|name| std::env::var(name).ok())
    else {
        return;
    };
    let options = Options {
        config: None,
        data_dir: PathBuf::from(data),
        listen: vec![listen.parse().unwrap()],
        dhcp_interfaces: Vec::new(),
        address: Some("10.141.255.254/16".parse().unwrap()),
        bootstrap: None,
        agent: None,
        worker: None,
        database: Some(database.parse().unwrap()),
        proxies: Vec::new(),
        program: LATER,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let served = perilune_api::serve(options, Limits::default(), CancellationToken::new(), |_| {});
    runtime.block_on(served).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test may block")]
fn later(site: &Site, number: usize) -> Daemon {
    let data = site.data[number].path();
    Daemon::start_as(data, |url| {
        if let Some(program) = std::env::var_os("PERILUNE_LATER") {
            let mut command = serve(Path::new(&program), data, url);
            command.env("PERILUNE_DATABASE", site.url());
            return command;
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "upgrade::the_later_version", "--nocapture"]);
        command.envs(TOLD.into_iter().zip([url, data.to_str().unwrap(), site.url()]));
        command
    })
}

/// What the later version alone knows of a network.
fn field() -> String {
    std::env::var("PERILUNE_LATER_FIELD").unwrap_or_else(|_| "comment".to_owned())
}

/// Changes what all of them change.
fn change(daemon: &Daemon, fields: &Value) -> (u16, Value) {
    let body = json!({ "config": { "network": { "shared": fields } } });
    daemon.post("/config/network/shared", &body).unwrap()
}

fn shown(daemon: &Daemon) -> Value {
    daemon.get("/config/network/shared").unwrap().1["config"]["network"]["shared"].clone()
}

/// What a controller that is too old says as it ends.
fn refusal(site: &Site) -> String {
    let data = site.data[0].path();
    let mut command = serve(Path::new(env!("CARGO_BIN_EXE_perilune")), data, "127.0.0.1:0");
    let output = command.env("PERILUNE_DATABASE", site.url()).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn controllers_are_replaced_by_a_later_version_one_by_one_and_nothing_is_lost() {
    let Some(site) = Site::new(CONTROLLERS) else { return };
    let daemons: Vec<RwLock<Arc<Daemon>>> =
        (0..CONTROLLERS).map(|number| RwLock::new(Arc::new(site.start(number)))).collect();
    let daemon = |number: usize| Arc::clone(&daemons[number].read().unwrap());
    let (changes, field) = (Changes::at(CONTROLLERS), field());
    assert_eq!(change(&daemon(0), &json!({ "network": "10.99.0.0/16" })).0, 201);
    // As the later version's `perilune database migrate`, which only adds, while all of before run.
    let more = "ALTER TABLE head ADD COLUMN later text; ALTER TABLE object ADD COLUMN later text;
        UPDATE meta SET value = value + 1 WHERE key = 'layout'";
    site.server.sql(site.database(), more);
    changes.make_while(&daemon, || {
        for (number, place) in daemons.iter().enumerate() {
            daemon(number).signal("KILL");
            *place.write().unwrap() = Arc::new(later(&site, number));
            changes.until_all_make();
            // All change one object in turn, also what of it the others changed a moment ago.
            for (turn, other) in (0..CONTROLLERS).rev().enumerate() {
                let gateway = format!("10.99.{number}.{}", turn + 1);
                let (code, answer) = change(&daemon(other), &json!({ "gateway": gateway }));
                assert_eq!(code, 204, "{answer}");
            }
            if number + 1 < CONTROLLERS {
                let (code, answer) = change(&daemon(number), &json!({ &field: "blue" }));
                assert_eq!((code, &answer["code"]), (409, &json!("not_known_to_all")), "{answer}");
                let told = answer.to_string();
                assert!(told.contains(&format!("controller{}", number + 1)), "{told}");
                let (_, warned) = daemon(number).get("/monitor/warnings").unwrap();
                assert!(warned.to_string().contains("does not know everything"), "{warned}");
            }
        }
        // All know it now, and each has heard so within a beat.
        for number in 0..CONTROLLERS {
            let value = format!("blue{number}");
            wait("what is new is still refused", || {
                change(&daemon(number), &json!({ &field: value })).0 == 204
            });
            changes.until_all_make();
        }
        assert_eq!(change(&daemon(0), &json!({ "gateway": "10.99.9.9" })).0, 204);
    });
    let all: Vec<Arc<Daemon>> = (0..CONTROLLERS).map(daemon).collect();
    wait("not all show the last change", || {
        let is_last = |daemon: &Arc<Daemon>| {
            let network = shown(daemon);
            network["gateway"] == "10.99.9.9" && network[&field] == "blue2"
        };
        all.iter().all(is_last)
    });
    changes.check(&all);
    println!("longest without a change: {} ms", changes.longest_pause().as_millis());

    // There is no way back, and who tries is told.
    all[0].signal("KILL");
    let told = refusal(&site);
    let expected = "has format 2 of a newer version";
    assert!(told.contains(expected) && told.contains("perilune controller list"), "{told}");
    site.server.sql(site.database(), "UPDATE meta SET value = 99 WHERE key IN ('layout', 'suits')");
    let told = refusal(&site);
    assert!(told.contains("has layout 99 of a newer version"), "{told}");
}
