//! See ARCHITECTURE.md.

pub mod tftp;
