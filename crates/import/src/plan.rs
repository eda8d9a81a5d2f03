//! From rows to objects: what is taken, decided on a draft of an empty cluster, so that what is planned can be committed.

mod address;
mod device;
mod group;
mod image;
mod network;
mod node;
mod rack;
mod reservation;
mod route;
mod secret;
mod settings;
mod state;
mod tag;

use std::collections::BTreeMap;

use perilune_model::network::Network;
use perilune_model::{Cluster, Draft, Edit, Kind, Object};
pub use state::NodeState;

use crate::names::Names;
use crate::reading::Reading;
use crate::report::{Finding, Report, Verdict};
use crate::schema::{KNOWN, LEFT, NEWER};
use crate::source::{Row, Source};

/// What a database becomes.
#[derive(Debug, Default)]
pub struct Plan {
    cluster: Cluster,
    /// Whether it replaces tables of a cluster that goes on.
    pub(crate) is_of_tables: bool,
    /// What its nodes last reported; no part of the cluster.
    pub states: Vec<NodeState>,
    /// What is said about it.
    pub report: Report,
}

/// Opens a secret's content, which may be encrypted with the key of the old site; None when it is with another one.
pub type Opener<'a> = dyn Fn(&str) -> Option<String> + 'a;

impl Plan {
    /// The cluster that it becomes.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Opens the secrets. Names those that are encrypted with another key: such a site cannot be taken over whole.
    pub fn open_secrets(&mut self, opener: &Opener<'_>) -> Result<(), Vec<String>> {
        let mut foreign = Vec::new();
        for object in self.cluster.clone().objects() {
            match secret::open(&object, opener) {
                Ok(None) => {}
                Ok(Some(opened)) => self.cluster.apply(&Edit::Put(opened)),
                Err(name) => foreign.push(name),
            }
        }
        if foreign.is_empty() { Ok(()) } else { Err(foreign) }
    }

    /// What is imported. The settings are among them, as everywhere.
    pub fn objects(&self) -> impl Iterator<Item = Object> {
        self.cluster.objects()
    }

    /// The steps that make the objects, in an order in which each is possible: networks refer to each other.
    pub(crate) fn puts(&self) -> impl Iterator<Item = Object> {
        let networks = self.cluster.networks().values();
        let bare = networks.map(|network| {
            let (dhcp_relay, dhcp_link_subnet, routes) = Default::default();
            let bare = Network {
                shared: None,
                dhcp_relay,
                dhcp_link_subnet,
                routes,
                ..Network::clone(network)
            };
            bare.into()
        });
        // Groups come after those that they inherit from.
        let level = |object: &Object| match object {
            Object::Group(group) => self.cluster.lineage(group).count(),
            _ => 0,
        };
        let mut objects: Vec<Object> = self.objects().collect();
        objects.sort_by_key(|object| (object.kind(), level(object)));
        bare.chain(objects)
    }
}

/// Plans the import of a database.
pub fn plan(source: &Source) -> Plan {
    let mut plan = of_tables(source);
    plan.report.sort();
    plan
}

/// Plans the import of tables, wherever they are from.
pub(crate) fn of_tables(source: &Source) -> Plan {
    let mut planner = Planner {
        source,
        draft: Draft::new(&Cluster::default()),
        names: Names::default(),
        addresses: address::rows(source),
        couplings: route::couplings(source),
        tags: tag::Tags::of(source),
        report: Report::default(),
    };
    planner.schema();
    planner.settings();
    planner.routes();
    planner.networks();
    planner.controllers();
    planner.images();
    planner.bmc_setups();
    planner.switches();
    planner.other_devices();
    planner.clouds();
    planner.groups();
    planner.nodes();
    planner.reservations();
    planner.orphans();
    planner.dns_hosts();
    planner.secrets();
    planner.racks();
    planner.users();
    let states = planner.states();
    let Planner { draft, mut report, .. } = planner;
    let (cluster, _) = draft.finish();
    count(&cluster, &mut report);
    network::report_taken(&cluster, &mut report);
    report.sort();
    Plan { cluster, is_of_tables: false, states, report }
}

struct Planner<'a> {
    source: &'a Source,
    draft: Draft,
    names: Names,
    /// Rows of addresses by the table and the row of the device that they are of.
    addresses: BTreeMap<(&'static str, i64), &'a Row>,
    /// Rows that couple routes, by the table and the row of whom they are for.
    couplings: BTreeMap<(String, i64), Vec<&'a Row>>,
    tags: tag::Tags<'a>,
    report: Report,
}

impl Planner<'_> {
    /// Takes an object that a row describes, under the row's id; refused where its name is taken, or the model refuses it.
    fn take(&mut self, table: &'static str, row: &Row, object: impl Into<Object>) {
        let object = object.into();
        let name = object.name().clone();
        let refusal = if self.draft.object(object.kind(), name.as_str()).is_some() {
            Some(
                "another row has this name already, and is taken; rename one in the old site"
                    .to_owned(),
            )
        } else {
            self.draft.put(object).err().map(|error| error.to_string())
        };
        match refusal {
            None => self.names.taken(table, row.id, name),
            Some(message) => {
                self.names.refused(table, row.id);
                self.report.add(Finding {
                    verdict: Verdict::Refused,
                    table: table.to_owned(),
                    row: Some(row.id),
                    name: Some(name.to_string()),
                    column: None,
                    message,
                });
            }
        }
    }

    /// Says what the database has that nothing is made of, and what it should have and has not.
    fn schema(&mut self) {
        for known in KNOWN {
            let Some(columns) = self.source.columns(known.name) else {
                if NEWER.contains(&known.name) {
                    continue;
                }
                let message = "there is no such table; nothing of it is taken".to_owned();
                self.report.table(Verdict::Left, known.name, message);
                continue;
            };
            let rows = self.source.rows(known.name);
            for column in columns.iter().filter(|column| !known.mentions(column)) {
                let is_set =
                    |row: &&Row| row.cell(column).text().is_some_and(|text| !text.is_empty());
                let set = rows.iter().filter(is_set).count();
                if set > 0 {
                    self.report.add(Finding {
                        verdict: Verdict::Left,
                        table: known.name.to_owned(),
                        row: None,
                        name: None,
                        column: Some(crate::cell::shown(column)),
                        message: format!(
                            "the column is not known; values of {set} rows are left out"
                        ),
                    });
                }
            }
        }
        for (table, rows) in self.source.others().filter(|(_, rows)| *rows > 0) {
            let reason = LEFT.iter().find(|(name, _)| *name == table).map(|(_, reason)| *reason);
            let reason = reason.unwrap_or("the table is not known");
            let message = format!("{rows} rows are left out: {reason}");
            self.report.table(Verdict::Left, &crate::cell::shown(table), message);
        }
    }

    /// Rows that nothing was made of because the row that they belong to is not there.
    fn orphans(&mut self) {
        self.orphans_of("nodeinterface", "node", "nodeid");
        self.orphans_of("groupinterface", "group", "groupid");
        address::report_orphans(self);
        image::report_orphans(self);
    }

    fn orphans_of(&mut self, table: &'static str, owner: &'static str, column: &'static str) {
        for row in self.source.rows(table) {
            Reading::new(table, row, &mut self.report).owner(&self.names, owner, column);
            self.names.refused(table, row.id);
        }
    }

    fn users(&mut self) {
        for row in self.source.rows("user") {
            let mut reading = Reading::new("user", row, &mut self.report);
            reading.name = reading.text("username").map(|name| crate::cell::shown(&name));
            reading.refuse(
                "password",
                "its password is kept as an MD5 hash, which nobody may log in with here; add the user anew",
            );
        }
    }
}

/// Counts what is taken: objects, and what belongs to them.
fn count(cluster: &Cluster, report: &mut Report) {
    for object in cluster.objects().filter(|object| object.kind() != Kind::Settings) {
        report.count(object.kind().word(), 1);
        match &object {
            Object::Image(image) => report.count("osimagetag", image.tags.len()),
            Object::Node(node) => report.count("nodeinterface", node.interfaces.len()),
            Object::Group(group) => report.count("groupinterface", group.interfaces.len()),
            Object::DnsHosts(hosts) => report.count("dnshosts", hosts.hosts.len()),
            Object::NodeSecrets(list) => report.count("secrets", list.secrets.len()),
            Object::GroupSecrets(list) => report.count("secrets", list.secrets.len()),
            _ => {}
        }
    }
}

/// Rows by the id that a column holds.
fn grouped<'a>(source: &'a Source, table: &str, column: &str) -> BTreeMap<i64, Vec<&'a Row>> {
    let mut groups: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    for row in source.rows(table) {
        // What is no number is told of when the row is looked at as one of no owner.
        if let Some(id) = row.cell(column).text().and_then(|text| text.parse().ok()) {
            groups.entry(id).or_default().push(row);
        }
    }
    groups
}
