//! The recipe with Patroni, as docs/controllers.md has it: machines of the database are lost, stand still, and cannot vote, and nothing that was acknowledged
//! is lost. It takes minutes, and is done by `cargo xtask recipes patroni`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use perilune_testkit::Patroni;

use crate::changes::Changes;
use crate::controllers::{pause, prepared};
use crate::kill::Daemon;

const DOCUMENT: &str = include_str!("../../../../docs/controllers.md");
/// Somebody wants it.
const VARIABLE: &str = "PERILUNE_RECIPES";
const CONTROLLERS: usize = 3;
/// Longer than Patroni leaves a leader that is not heard of.
const WITHOUT_VOTES: Duration = Duration::from_secs(40);
/// How long changes are made between two faults.
const BETWEEN: Duration = Duration::from_secs(5);

/// The settings that the document wants.
fn recipe() -> &'static str {
    let (_, rest) = DOCUMENT.split_once("With Patroni").expect("it is in the document");
    let (_, rest) = rest.split_once("```yaml\n").unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
fn nothing_is_lost_when_patroni_changes_the_leader_as_the_document_configures_it() {
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    let Some(mut database) = Patroni::start(recipe()) else { return };
    println!("{}, with:\n{}", database.versions(), recipe());
    let url = database.url();
    let data = prepared(&url, CONTROLLERS);
    let start = |data: &tempfile::TempDir| {
        Arc::new(Daemon::start_with(data.path(), &[("PERILUNE_DATABASE", Path::new(&url))]))
    };
    let daemons: Vec<Arc<Daemon>> = data.iter().map(start).collect();
    let changes = Changes::at(CONTROLLERS);
    changes.make_while(&|controller| Arc::clone(&daemons[controller]), || {
        pause(BETWEEN);
        changes.longest_pause();
        for _ in 0..3 {
            let leader = database.leader().unwrap();
            let begun = Instant::now();
            database.cut_power(leader);
            database.until_another_leads(leader);
            changes.until_recovered("the power of the leader is cut", begun);
            pause(BETWEEN);
            database.switch_on(leader);
            database.until_all_run();
            database.until_synchronous();
        }
        let leader = database.leader().unwrap();
        let begun = Instant::now();
        database.stop(leader);
        database.until_another_leads(leader);
        changes.until_recovered("the leader stands still", begun);
        pause(BETWEEN);
        // Whoever finds it so restarts it.
        database.cut_power(leader);
        database.switch_on(leader);
        database.until_all_run();
        database.until_synchronous();

        let standby = (database.leader().unwrap() + 1) % CONTROLLERS;
        let begun = Instant::now();
        database.cut_power(standby);
        changes.until_recovered("the power of another is cut", begun);
        database.switch_on(standby);
        database.until_all_run();
        database.until_synchronous();

        let (first, second) = (0, 1);
        let begun = Instant::now();
        database.end_etcd(first);
        changes.until_recovered("one of three etcd is gone", begun);
        database.end_etcd(second);
        pause(WITHOUT_VOTES);
        database.start_etcd(first);
        database.start_etcd(second);
        changes.until_recovered("two of three etcd were gone", begun);
    });
    changes.check(&daemons);
}
