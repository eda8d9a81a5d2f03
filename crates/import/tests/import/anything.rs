//! Whatever stands in the rows, a plan is made that can be committed.

use perilune_model::{Cluster, Draft, Object};
use proptest::prelude::*;
use rusqlite::types::Value;

use perilune_testkit::luna::{Database, TABLES};

use crate::database::plan;

/// Values that columns might hold: right ones, wrong ones, and ones that look right.
fn value() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        "None",
        "!!Invalid!!",
        "!!!!",
        "True",
        "False",
        "no",
        "default",
        "a",
        "node001",
        "BOOTIF",
        "BMC",
        "eth0",
        "x y",
        "../x",
        "10.141.0.1",
        "10.141.0.2",
        "10.141.0.0",
        "16",
        "24",
        "255.255.0.0",
        "10.141.0.0/16",
        "fd00::1",
        "fd00::",
        "64",
        "::/0",
        "0.0.0.0",
        "aa:bb:cc:00:00:01",
        "aa-bb-cc-00-00-01",
        "9000",
        "802.3ad",
        "eth0,eth1",
        "internal",
        "nodeinterface",
        "switch",
        "controller",
        "node",
        "otherdevices",
        "compute",
        "cluster",
        "bW91bnQ=",
        "gAAAAAB",
        "alternative",
        "delete",
        "front",
        "kickstart",
        "'; DROP TABLE node; --",
    ];
    prop_oneof![
        1 => Just(Value::Null),
        4 => (0i64..4).prop_map(Value::Integer),
        1 => any::<i64>().prop_map(Value::Integer),
        1 => any::<f64>().prop_map(Value::Real),
        6 => proptest::sample::select(texts.to_vec()).prop_map(|text| Value::Text(text.to_owned())),
        1 => ".{0,12}".prop_map(Value::Text),
        1 => proptest::collection::vec(any::<u8>(), 0..8).prop_map(Value::Blob),
    ]
}

fn columns(definition: &str) -> Vec<String> {
    let columns =
        definition.split(", ").filter(|column| !column.contains('(') && !column.ends_with(')'));
    columns.filter_map(|column| column.split(' ').next().map(str::to_owned)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_rows_make_a_plan_that_can_be_committed_stored_and_read_again(
        rows in proptest::collection::vec((0..21usize, proptest::collection::vec(value(), 32)), 0..60)
    ) {
        let database = Database::empty();
        for (table, values) in rows {
            let (table, definition) = TABLES[table];
            let columns = columns(definition);
            let places = vec!["?"; columns.len()].join(", ");
            let sql = format!("INSERT OR IGNORE INTO \"{table}\" ({}) VALUES ({places})", columns.join(", "));
            let values = values.into_iter().take(columns.len());
            database.connection.execute(&sql, rusqlite::params_from_iter(values)).unwrap();
        }
        let plan = plan(&database);
        let mut draft = Draft::new(&Cluster::default());
        perilune_import::commit(&plan, &mut draft, false).unwrap();
        let (cluster, change) = draft.finish();
        let mut replayed = Cluster::default();
        for edit in &change.edits {
            replayed.apply(edit);
        }
        prop_assert_eq!(&replayed, &cluster);
        for object in cluster.objects() {
            let json = object.to_json().unwrap();
            prop_assert_eq!(&Object::from_json(object.kind(), &json).unwrap(), &object);
        }
        for (address, holder) in cluster.holders() {
            prop_assert!(address.is_ipv4() || address.is_ipv6(), "{holder}");
        }
    }
}
