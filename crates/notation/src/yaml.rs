//! YAML: one document of objects, lists and texts, as configuration is written.

mod read;
mod write;

pub use read::read;
pub use write::write;
