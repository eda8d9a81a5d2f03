//! What a database of the test kit becomes.

use perilune_import::{Finding, Plan, Source};
use perilune_model::{Cluster, Draft};
use perilune_testkit::luna::Database;

pub(crate) fn plan(database: &Database) -> Plan {
    perilune_import::plan(&Source::read(&database.file()).unwrap())
}

/// The cluster that a plan makes of nothing.
pub(crate) fn cluster(plan: &Plan) -> Cluster {
    let mut draft = Draft::new(&Cluster::default());
    perilune_import::commit(plan, &mut draft, false).unwrap();
    draft.finish().0
}

/// A finding on one line.
pub(crate) fn line(finding: &Finding) -> String {
    let row = finding.row.map(|row| format!(" {row}")).unwrap_or_default();
    let name = finding.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let column = finding.column.as_ref().map(|column| format!(" {column}")).unwrap_or_default();
    format!("{} {}{row}{name}{column}: {}", finding.verdict.word(), finding.table, finding.message)
}

pub(crate) fn lines(plan: &Plan) -> Vec<String> {
    plan.report.findings.iter().map(line).collect()
}
