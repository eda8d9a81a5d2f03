//! Plain records: a key and a text in a table, with a number that grows with every change of the table.

use std::sync::Arc;

use crate::Error;

/// Removals are remembered for this many changes of their table; who was away longer reads the whole table.
pub(crate) const REMEMBERED: u64 = 10_000;
/// Records that could not be read are kept up to this number; the oldest go first.
pub(crate) const KEPT_ASIDE: u32 = 1000;

/// The tables of plain records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// DHCP leases, by address.
    Leases,
    /// What nodes last reported, by node.
    NodeStates,
    /// Long operations, by number.
    Jobs,
    /// Certificates that BMCs showed first, by BMC.
    BmcCertificates,
    /// Which boots are expected, by node.
    BootWindows,
    /// Whom a node's secrets were given to, by node.
    Boots,
    /// What installers last said, by node.
    InstallLogs,
    /// Where nodes start from by themselves, by node.
    Installations,
    /// What machines are made of, by node.
    Inventories,
    /// What people and programs did, by number.
    Audit,
    /// What nodes and machines did, by number.
    AuditNodes,
    /// What was refused, by number.
    AuditRefusals,
    /// When API tokens were last used, by token.
    TokenUses,
    /// What controllers have and where they are reached, by controller.
    Holdings,
    /// Jobs of controllers that are gone, by request.
    TakenOver,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Leases,
        Self::NodeStates,
        Self::Jobs,
        Self::BmcCertificates,
        Self::BootWindows,
        Self::Boots,
        Self::InstallLogs,
        Self::Installations,
        Self::Inventories,
        Self::Audit,
        Self::AuditNodes,
        Self::AuditRefusals,
        Self::TokenUses,
        Self::Holdings,
        Self::TakenOver,
    ];

    /// The name of the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Leases => "lease",
            Self::NodeStates => "node_state",
            Self::Jobs => "job",
            Self::BmcCertificates => "bmc_certificate",
            Self::BootWindows => "boot_window",
            Self::Boots => "boot",
            Self::InstallLogs => "install_log",
            Self::Installations => "installation",
            Self::Inventories => "inventory",
            Self::Audit => "audit",
            Self::AuditNodes => "audit_node",
            Self::AuditRefusals => "audit_refusal",
            Self::TokenUses => "token_use",
            Self::Holdings => "holding",
            Self::TakenOver => "taken_over",
        }
    }

    /// Whether each controller has its own: what it is doing itself, and what it alone has seen.
    pub fn is_private(self) -> bool {
        matches!(self, Self::Jobs | Self::Audit | Self::AuditNodes | Self::AuditRefusals)
    }

    /// Where the last change is noted whose removal is forgotten.
    pub(crate) fn horizon(self) -> String {
        format!("horizon.{}", self.word())
    }
}

/// A key and the text that is stored under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key, unique in its table.
    pub key: String,
    /// The text, JSON by convention. `None` tells that the record was removed.
    pub body: Option<String>,
    /// The number of the change that made it so; later changes of the table have larger ones.
    pub sequence: u64,
}

/// A record of a controller that does not run, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeOver {
    /// Whose it is.
    pub controller: String,
    /// For how many seconds that one must have been silent, by the database's clock.
    pub seconds: u32,
    /// The record, as it must still be.
    pub record: Record,
    /// Its table, of which each controller has its own.
    pub from: Table,
    /// The table that it goes to.
    pub to: Table,
    /// Its key there.
    pub key: String,
    /// What it says there.
    pub body: String,
    /// No commit of one of these keys can be stored from then on.
    pub commits: Vec<String>,
}

/// What is to be written under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: String,
    /// The new text; `None` removes the record.
    pub body: Option<String>,
    /// Only if the record still is what it was.
    pub expected: Expected,
}

impl Write {
    /// A record in place of whatever is there.
    pub fn put(key: String, body: String) -> Self {
        Self { key, body: Some(body), expected: Expected::Anything }
    }

    /// Removes whatever is there.
    pub fn remove(key: String) -> Self {
        Self { key, body: None, expected: Expected::Anything }
    }
}

/// What a writer takes a record to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing is assumed.
    Anything,
    /// There is none.
    Nothing,
    /// It was last changed by this change.
    Sequence(u64),
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is stored, as this change of the table.
    At(u64),
    /// Somebody else changed the record before; nothing is stored of this write.
    Stale,
}

/// The changes of a table after a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// The records in the order of their changes; only the last change of each key.
    pub records: Vec<Record>,
    /// The number was too old to tell what was removed since: `records` is the whole table.
    pub is_whole: bool,
}

/// A record that could not be read, and was kept out of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The table that it was in.
    pub table: String,
    /// Its key.
    pub key: String,
    /// Its text.
    pub body: String,
    /// Why it could not be read.
    pub reason: String,
}

pub(crate) fn corrupt(table: &'static str, key: &str, source: serde_json::Error) -> Error {
    Error::Corrupt { table, key: key.to_owned(), source: Arc::new(source) }
}

/// Integers of databases are signed; revisions and times never come near the end.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
