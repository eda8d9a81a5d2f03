//! DNS hosts that are not devices of the cluster, and records beside addresses.

mod check;
mod list;
mod record;
mod save;

pub(crate) use check::check;
pub use list::{DnsHost, DnsHosts};
pub use record::{APEX, DnsRecord, RecordData, RecordError, RecordType, Target, host};
pub use save::{Entry, remove, save};
