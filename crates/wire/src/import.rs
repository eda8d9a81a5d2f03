//! What is said about the import of an old site.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// What is taken of a database, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportKeys {
    /// Whether it was done; else this is what would be.
    pub committed: bool,
    /// Why it cannot be done as it was asked; empty when it can.
    pub obstacles: Vec<String>,
    /// How many of each kind are taken.
    pub taken: BTreeMap<String, usize>,
    /// Objects of the cluster that go.
    pub removed: Vec<ObjectKeys>,
    /// Objects of the cluster that become those of the database.
    pub replaced: Vec<ObjectKeys>,
    /// Whether the cluster's own settings stay.
    pub keeps_settings: bool,
    /// What is refused, odd or left out.
    pub findings: Vec<FindingKeys>,
    /// Findings beyond those.
    pub more_findings: usize,
}

/// An object of the cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct ObjectKeys {
    /// Such as `node`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// Something in the database that the administrator should know.
#[derive(Debug, Serialize, ToSchema)]
pub struct FindingKeys {
    /// `refused`: the row is not taken. `odd`: it is, and the message says how it was read. `left`: it has no place here.
    pub verdict: &'static str,
    /// The table.
    pub table: String,
    /// The row's id.
    pub row: Option<i64>,
    /// The name of what the row describes.
    pub name: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// What was found.
    pub message: String,
}
