//! The recipe with `pg_auto_failover`, as docs/controllers.md has it: machines of the database are lost and stand still, the monitor is gone, and nothing
//! that was acknowledged is lost. It takes minutes, and is done by `cargo xtask recipes auto-failover`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use perilune_testkit::AutoFailover;

use crate::changes::Changes;
use crate::controllers::{pause, prepared};
use crate::kill::Daemon;

/// Somebody wants it.
const VARIABLE: &str = "PERILUNE_RECIPES";
const CONTROLLERS: usize = 3;
/// How long changes are made between two faults.
const BETWEEN: Duration = Duration::from_secs(5);
/// How long the monitor is gone.
const UNWATCHED: Duration = Duration::from_secs(30);

#[test]
fn nothing_is_lost_when_pg_auto_failover_changes_the_primary() {
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    let Some(mut database) = AutoFailover::start() else { return };
    println!("{}; commits wait for {}", database.versions(), database.waits_for());
    assert_eq!(database.number_sync_standbys(), "1");
    let url = format!("{}?synchronous=require", database.url());
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
            changes.until_recovered("the power of the primary is cut", begun);
            println!("commits wait for {} meanwhile", database.waits_for());
            pause(BETWEEN);
            database.switch_on(leader);
            database.until_synchronous();
        }
        let leader = database.leader().unwrap();
        let begun = Instant::now();
        database.stop(leader);
        database.until_another_leads(leader);
        changes.until_recovered("the primary stands still", begun);
        pause(BETWEEN);
        database.go_on(leader);
        database.until_synchronous();
        changes.until_recovered("it goes on", begun);

        let standby = 1 + database.leader().unwrap() % CONTROLLERS;
        let begun = Instant::now();
        database.cut_power(standby);
        changes.until_recovered("the power of a standby is cut", begun);
        database.switch_on(standby);
        database.until_synchronous();

        let begun = Instant::now();
        database.cut_power(AutoFailover::MONITOR);
        pause(UNWATCHED);
        changes.until_recovered("the monitor is gone", begun);
        database.switch_on(AutoFailover::MONITOR);
        database.until_synchronous();
        changes.until_recovered("the monitor is back", begun);
    });
    changes.check(&daemons);
}
