//! What nodes last told the old site.

use perilune_import::NodeState;
use perilune_model::Name;
use perilune_testkit::luna::Database;

use crate::database::{lines, plan};

fn state(node: &str, state: &str, status: Option<&str>, said: Option<u64>) -> NodeState {
    let (node, status) = (Name::trusted(node), status.map(str::to_owned));
    NodeState { node, state: state.to_owned(), status, said }
}

#[test]
fn a_node_is_in_the_state_that_it_last_reported_and_nothing_else_is() {
    let database = Database::site();
    database.sql(
        "INSERT INTO monitor (tableref, tablerefid, state, status) VALUES
           ('node', 1, 'install.success', '200'), ('node', 77, 'install.success', '200'),
           ('osimage', 1, NULL, '200'), ('sync', 1, 'image unpack success', 200), ('ha', 1, 'insync ok', '200'),
           ('mother', 2, 'cleanup_mother ok', '200');
         INSERT INTO monitor (tableref, tablerefid, state, status, updated) VALUES
           ('node', 2, 'power on', NULL, '2026-01-02 10:00:00')",
    );
    let plan = plan(&database);
    assert_eq!(
        plan.states,
        [
            state("node001", "install.success", None, None),
            state("node002", "power on", None, Some(1_767_348_000_000)),
        ]
    );
    assert_eq!(plan.report.taken["nodestate"], 2);
    let told: Vec<String> =
        lines(&plan).into_iter().filter(|line| line.contains(" monitor")).collect();
    assert_eq!(
        told,
        [
            "left monitor: 4 rows are left out: states of images, of threads and of controllers come anew",
            "left monitor: 1 rows are left out: they are of nodes that are not there any more",
        ]
    );
}

#[test]
fn what_is_said_beside_a_state_is_kept_unless_it_says_the_same() {
    for (given, status, kept) in [
        ("install.error", Some("500"), None),
        ("install.error", Some("no disk of 8 GiB"), Some("no disk of 8 GiB")),
        ("install.error", Some("404"), Some("404")),
        ("install.unpack", Some("None"), None),
        ("install.unpack", Some(""), None),
        ("Node configuration for node001 is invalid", Some("501"), Some("501")),
        ("os.ready", Some("line\nof two"), Some("lineof two")),
    ] {
        let database = Database::site();
        let insert =
            "INSERT INTO monitor (tableref, tablerefid, state, status) VALUES ('node', 1, ?1, ?2)";
        database.connection.execute(insert, (given, status)).unwrap();
        assert_eq!(
            plan(&database).states,
            [state("node001", given, kept, None)],
            "{given} {status:?}"
        );
    }
}

#[test]
fn states_that_cannot_be_are_none_and_long_ones_are_cut() {
    let long = "x".repeat(70);
    for (given, kept) in [
        (None, None),
        (Some(""), None),
        (Some(" \u{1b}\u{7} "), None),
        (Some("None"), None),
        (Some("\u{1b}[2Jpower on\r\n"), Some("[2Jpower on")),
        (Some(long.as_str()), long.get(..64)),
    ] {
        let database = Database::site();
        let insert = "INSERT INTO monitor (tableref, tablerefid, state, updated) VALUES ('node', 1, ?1, 'soon')";
        database.connection.execute(insert, [given]).unwrap();
        let states = plan(&database).states;
        let wanted: Vec<NodeState> =
            kept.map(|kept| state("node001", kept, None, None)).into_iter().collect();
        assert_eq!(states, wanted, "{given:?}");
    }
}

#[test]
fn the_state_of_a_node_that_is_refused_goes_with_it_and_of_two_the_later_row_counts() {
    let database = Database::site();
    database.sql(
        "UPDATE node SET groupid = 9 WHERE id = 2; DROP TABLE monitor;
         CREATE TABLE monitor (id INTEGER PRIMARY KEY, tableref VARCHAR, tablerefid VARCHAR, state VARCHAR, status VARCHAR);
         INSERT INTO monitor (tableref, tablerefid, state) VALUES ('node', 2, 'power on'), ('node', '1', 'power off'), ('node', 1, 'power reset')",
    );
    let plan = plan(&database);
    assert_eq!(plan.states, [state("node001", "power reset", None, None)]);
    assert!(!lines(&plan).iter().any(|line| line.contains(" monitor")), "{:?}", lines(&plan));
}
