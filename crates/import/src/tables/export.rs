//! Tables as the JSON that old clients write to a file and send back.

use perilune_model::Cluster;
use perilune_wire::described::is_encoded;
use serde_json::{Map, Value, json};

use super::{Ids, UNIQUE, columns, tables};
use crate::cell::Cell;
use crate::source::Row;

/// The tables of an export, in its order. Users, their roles and how controllers stand for each other are not among them: we have no
/// hashes of passwords that an old daemon reads, and a table that is taken back there replaces the one that it has.
pub(super) const EXPORTED: [&str; 17] = [
    "osimage",
    "osimagetag",
    "nodesecrets",
    "nodeinterface",
    "bmcsetup",
    "ipaddress",
    "groupinterface",
    "group",
    "network",
    "switch",
    "otherdevices",
    "groupsecrets",
    "node",
    "cluster",
    "dns",
    "controller",
    "cloud",
];
/// Columns that hold whole numbers; so do those whose name ends in `id`.
const NUMBERS: [&str; 36] = [
    "beacon",
    "bind_legacy",
    "bootmenu",
    "createnode_macashost",
    "createnode_ondemand",
    "debug",
    "dhcp",
    "dhcp_nodes_in_pool",
    "dhcp_nodes_only",
    "dnssec_enable",
    "dnssec_validation",
    "enabled",
    "files_size",
    "files_unpacked_size",
    "gateway_metric",
    "height",
    "insync",
    "master",
    "mgmtchannel",
    "mtu",
    "netboot",
    "netchannel",
    "nextnode_discover",
    "non_authoritative",
    "overrule",
    "packing_bootpause",
    "port",
    "position",
    "security",
    "serverport",
    "service",
    "setupbmc",
    "shadow",
    "sharedip",
    "size",
    "syncimages",
];
/// Columns of long texts, beside those that are base64 by convention.
const LONG: [&str; 2] = ["content", "tpm_pubkey"];

/// The cluster as tables: `{table: [{"SQLITE_SEQUENCE": n}, {"STRUCTURE": […]}, row, …]}`. Passwords of BMCs are in it, users are not.
pub fn export(cluster: &Cluster) -> Value {
    let source = tables(cluster, Ids::default());
    let exported = EXPORTED.into_iter().map(|table| {
        let rows = source.rows(table);
        let mut list = Vec::with_capacity(rows.len() + 2);
        if let Some(last) = rows.iter().map(|row| row.id).max() {
            list.push(json!({ "SQLITE_SEQUENCE": last }));
        }
        list.push(json!({ "STRUCTURE": structure(table) }));
        list.extend(rows.iter().map(object));
        (table.to_owned(), Value::Array(list))
    });
    Value::Object(exported.collect())
}

fn object(row: &Row) -> Value {
    let cells = row.cells().map(|(column, cell)| (column.to_owned(), value(cell)));
    Value::Object(cells.collect())
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null | Cell::Bytes => Value::Null,
        Cell::Integer(number) => json!(number),
        Cell::Real(number) => json!(number),
        Cell::Text(text) => json!(text),
    }
}

fn structure(table: &str) -> Vec<Value> {
    let is_unique =
        |column: &str| UNIQUE.iter().any(|(name, columns)| *name == table && *columns == [column]);
    let describe = |column: String| {
        let mut said = Map::new();
        let name = column.as_str();
        let is_id = name == "id";
        let (datatype, length) = if name.ends_with("id") || NUMBERS.contains(&name) {
            ("INTEGER", Some("10"))
        } else if is_encoded(name) || LONG.contains(&name) {
            ("TEXT", None)
        } else {
            ("VARCHAR", Some("200"))
        };
        let key = if is_id { Some("PRIMARY") } else { is_unique(name).then_some("UNIQUE") };
        said.insert("column".to_owned(), json!(name));
        said.insert("datatype".to_owned(), json!(datatype));
        let rest = [("length", length), ("key", key), ("keyadd", is_id.then_some("autoincrement"))];
        said.extend(
            rest.into_iter().filter_map(|(name, word)| Some((name.to_owned(), json!(word?)))),
        );
        Value::Object(said)
    };
    columns(table).into_iter().map(describe).collect()
}
