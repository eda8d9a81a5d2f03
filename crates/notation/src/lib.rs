//! JSON and YAML as people write them: no key twice, and every text as it was written.
//!
//! Libraries that read into values keep the last of two keys, and make `100000.0` of `1e5`: what a person wrote is gone before
//! anybody can ask. Here the first is refused, with both places, and the second stays a text.

mod error;
mod json;
mod yaml;

pub use error::{Error, Place};
use serde::de::IgnoredAny;
use serde_json::Value;

pub use json::read as read_json;
pub use yaml::read as read_yaml;
pub use yaml::write as write_yaml;

/// As deep as lists and objects may be nested.
const DEEPEST: usize = 127;

/// Reads a document, JSON or YAML.
pub fn read(text: &str) -> Result<Value, Error> {
    // YAML takes most of JSON, but neither its escapes beyond 16 bits nor tabs before keys.
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    if is_json { read_json(text.as_bytes()) } else { read_yaml(text) }
}
