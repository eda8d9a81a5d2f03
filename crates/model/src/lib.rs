//! See ARCHITECTURE.md.

pub mod hostlist;
