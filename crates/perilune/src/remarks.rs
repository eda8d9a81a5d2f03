//! What looks like a slip in what was just saved of an image, and may be meant: a tree can come later. What the description alone tells, the
//! daemon remarks itself.

use serde_json::{Map, Value};

use crate::output::note;
use crate::session::Session;

/// Says what looks wrong in fields that were saved for images. That it cannot be found out is no failure of what was done.
pub(crate) fn of_images(session: &Session, names: &[String], fields: &Map<String, Value>) {
    let given =
        |field: &str| fields.get(field).is_some_and(|value| *value != "" && !value.is_null());
    if session.client.only_tries() || !given("path") {
        return;
    }
    let warnings = session.client.get("/monitor/warnings").unwrap_or_default();
    let warnings = warnings.pointer("/monitor/warnings").and_then(Value::as_array);
    let texts =
        warnings.into_iter().flatten().filter_map(|warning| warning.get("warning")?.as_str());
    for text in texts {
        let is_of = |name: &String| text.starts_with(&format!("the tree of image {name} "));
        if names.iter().any(is_of) {
            note(&format!("warning: {text}"));
        }
    }
}
