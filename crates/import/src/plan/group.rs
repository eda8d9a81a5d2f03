//! Groups, and what nodes inherit from them.

use std::collections::BTreeSet;

use perilune_model::effective::Effective;
use perilune_model::group::Group;
use perilune_model::interface::{GroupInterface, Numbering, impossible};
use perilune_model::provisioning::{
    KERNEL_ARGUMENTS, Provisioning, Request, SCRIPTS, SETTINGS, Wipe,
};
use perilune_model::{Name, Violation};
use perilune_plan::DiskLayout;
use perilune_wire::fields::Fields;
use serde_json::{Map, Value};

use super::planner::Planner;
use crate::cell::shown;
use crate::link::link;
use crate::names::Names;
use crate::reading::Reading;
use crate::report::Verdict;
use crate::schema::INSTALL_MODE;
use crate::source::Row;

/// Whether zero is a word of its own, or says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    No,
    Inherits,
}

impl Planner<'_> {
    pub(super) fn groups(&mut self) {
        let interfaces = super::planner::grouped(self.source, "groupinterface", "groupid");
        let mut replaceable = Vec::new();
        for row in parents_first(self.source.rows("group")) {
            let mut reading = Reading::new("group", row, &mut self.report);
            let Some(name) = reading.own_name("name", Name::general) else {
                self.names.refused("group", row.id);
                continue;
            };
            let mut provisioning = provisioning(&mut reading, &self.names, Zero::No);
            // One that comes later is above itself.
            let parent = reading.reference(&self.names, "group", "parentid");
            let above = parent.as_ref().and_then(|parent| self.draft.groups().get(parent));
            let above =
                above.and_then(|above| Effective::of_group(&self.draft, above).osimage().value);
            let image = provisioning.osimage.clone().or_else(|| above.cloned());
            let choice = self.tags.choice(&mut reading, &self.names, image.as_ref());
            // Beside an image, nothing said is the same.
            provisioning.osimagetag =
                choice.filter(|choice| provisioning.osimage.is_none() || choice.named().is_some());
            // A database of the old daemon: what it has installed may be replaced, as it did itself.
            if !reading.row.has("wipe") {
                provisioning.wipe = Some(Wipe::Provisioned);
                replaceable.push(name.to_string());
            }
            let domain = reading.text("domain");
            let comment = reading.text("comment");
            let labels = reading.labels();
            provisioning.routes = self.coupled("group", row);
            let rows = interfaces.get(&row.id).map(Vec::as_slice).unwrap_or_default();
            let interfaces = self.group_interfaces(&name, rows);
            let group = Group { name, parent, provisioning, domain, comment, labels, interfaces };
            self.take("group", row, group);
        }
        if !replaceable.is_empty() {
            let message = format!(
                "these begin with wipe: provisioned, so that nodes are installed over the systems that they have (docs/disk-layout.md): {}",
                replaceable.join(", ")
            );
            self.report.table(Verdict::Odd, "group", message);
        }
    }

    fn group_interfaces(&mut self, group: &Name, rows: &[&Row]) -> Vec<GroupInterface> {
        let mut interfaces: Vec<GroupInterface> = Vec::new();
        for row in rows {
            let mut reading = Reading::of("groupinterface", row, group, &mut self.report);
            let Some(name) = reading.own_name("interface", Name::interface) else { continue };
            reading.name = Some(format!("{group}:{name}"));
            if interfaces.iter().any(|other| other.name == name) {
                reading.refuse(
                    "interface",
                    "the group has another interface of this name, which is taken",
                );
                continue;
            }
            let Some(network) = reading.reference(&self.names, "network", "networkid") else {
                reading.refuse("networkid", "an interface of a group must be in a network");
                continue;
            };
            let dhcp = reading.boolean("dhcp");
            let numbering = reading.parsed("addressing", "a way to make addresses");
            let numbering = numbering.unwrap_or_default();
            interfaces.push(GroupInterface {
                name,
                network,
                dhcp,
                numbering,
                link: link(&mut reading),
            });
        }
        // Each round takes one away.
        while let Some((place, reason)) = impossible(&interfaces) {
            self.report.table(
                Verdict::Odd,
                "groupinterface",
                format!("group {group}: {reason}; read as unset"),
            );
            if let Some(interface) = interfaces.get_mut(place) {
                interface.numbering = Numbering::default();
            }
        }
        interfaces
    }
}

/// The rows in an order in which each comes after the one that it inherits from. Those that inherit in a circle come last.
fn parents_first(rows: &[Row]) -> Vec<&Row> {
    let parent = |row: &Row| -> Option<i64> { row.cell("parentid").text()?.parse().ok() };
    let mut ordered: Vec<&Row> = Vec::with_capacity(rows.len());
    let mut waiting: Vec<&Row> = rows.iter().collect();
    loop {
        let unready: BTreeSet<i64> = waiting.iter().map(|row| row.id).collect();
        let (ready, others): (Vec<&Row>, Vec<&Row>) = waiting
            .into_iter()
            .partition(|row| parent(row).is_none_or(|id| !unready.contains(&id)));
        if ready.is_empty() {
            ordered.extend(others);
            return ordered;
        }
        ordered.extend(ready);
        waiting = others;
    }
}

/// What nodes and groups have alike, but for the tag.
pub(super) fn provisioning(reading: &mut Reading<'_>, names: &Names, zero: Zero) -> Provisioning {
    let asked = asked(reading);
    let mut switch = |column: &str| match zero {
        Zero::No => reading.boolean(column),
        Zero::Inherits => reading.boolean_or_inherited(column),
    };
    let (setupbmc, netboot, bootmenu) = (switch("setupbmc"), switch("netboot"), switch("bootmenu"));
    let mut own = Provisioning {
        osimage: reading.reference(names, "osimage", "osimageid"),
        bmcsetup: reading.reference(names, "bmcsetup", "bmcsetupid"),
        setupbmc,
        netboot,
        bootmenu,
        disklayout: disk_layout(reading),
        ..asked.alone()
    };
    *own.kernel_arguments_mut() = reading.kernel_arguments();
    for (script, column) in own.scripts_mut().into_iter().zip(SCRIPTS) {
        *script = reading.script(column);
    }
    own
}

/// What is read otherwise than requests are: what refers to rows, what the old daemon has other words for, and what is taken although it is
/// wrong, so that it can be put right here.
const OTHERWISE: [&str; 8] = [
    "osimage",
    "osimagetag",
    "bmcsetup",
    "setupbmc",
    "netboot",
    "bootmenu",
    KERNEL_ARGUMENTS,
    "disklayout",
];

/// Every other setting, by the rules of requests. What they refuse is unset.
fn asked(reading: &mut Reading<'_>) -> Request {
    let is_otherwise = |column: &str| OTHERWISE.contains(&column) || SCRIPTS.contains(&column);
    let columns = SETTINGS.iter().map(|setting| setting.name).chain([INSTALL_MODE]);
    let mut said = Map::new();
    for column in columns.filter(|column| !is_otherwise(column)) {
        if let Some(text) = reading.text(column) {
            said.insert(column.to_owned(), text.trim().into());
        }
    }
    let mut fields = Fields::new(&said);
    let request = perilune_wire::provisioning::read(&mut fields, "bmcsetup");
    for Violation { field, reason } in fields.finish().err().unwrap_or_default() {
        let text = said.get(&field).and_then(Value::as_str).unwrap_or_default();
        reading.odd(&field, format!("'{}': {reason}; read as unset", shown(text)));
    }
    request
}

/// A wrong one is taken, so that it can be mended here; its nodes do not install before.
fn disk_layout(reading: &mut Reading<'_>) -> Option<String> {
    let column = "disklayout";
    let text = reading.text(column)?;
    if let Err(fault) = DiskLayout::read(&text) {
        reading.odd(column, format!("{fault}; taken as it is, but its nodes do not install"));
    }
    Some(text)
}
