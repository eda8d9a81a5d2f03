//! From rows to objects: what is taken, decided on a draft of an empty cluster, so that what is planned can be committed.

mod address;
mod device;
mod group;
mod image;
mod network;
mod node;
mod planner;
mod rack;
mod reservation;
mod route;
mod secret;
mod settings;
mod state;
mod tag;

use perilune_model::network::Network;
use perilune_model::{Cluster, Draft, Edit, Kind, Object};
use planner::Planner;
pub use secret::Opener;
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

impl Planner<'_> {
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
