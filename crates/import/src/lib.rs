//! Reads the database of a Luna 2 site, or its export, into objects of the model, and writes the model as such an export. Pure but
//! for reading the file: what is decided is a plan, and the plan is committed by whoever owns the cluster.
#![warn(missing_docs)]

mod cell;
mod commit;
mod error;
mod link;
mod names;
mod plan;
mod reading;
mod report;
mod schema;
mod source;
mod tables;

pub use commit::{Outcome, commit};
pub use error::Error;
pub use plan::{NodeState, Opener, Plan, plan};
pub use report::{Finding, Report, Verdict};
pub use source::Source;
pub use tables::{Error as TablesError, export, plan as plan_tables};
