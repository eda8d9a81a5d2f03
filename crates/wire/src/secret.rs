//! Secrets of nodes and groups, as clients read and ask for them.

use perilune_model::Name;
use perilune_model::secret::Request;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::Fields;

/// One secret. Shell clients read these keys in this order.
#[derive(Serialize, ToSchema)]
pub struct SecretKeys {
    /// The name.
    pub name: String,
    /// The content as it was sent, base64 by convention.
    pub content: String,
    /// Where the installer writes it.
    pub path: Option<String>,
}

/// A secret of a request: its content as it was sent.
pub fn request(fields: &mut Fields<'_>) -> Request {
    if !fields.has("name") {
        fields.refuse("name", "say which secret this is about");
    }
    Request {
        name: fields.new_name("name", Name::general).unwrap_or_default(),
        content: text(fields, "content"),
        path: path(fields),
    }
}

/// The request of a copy: the new name, and what differs from the source.
pub fn copy_request(fields: &mut Fields<'_>) -> (Name, Request) {
    if !fields.has("newsecretname") {
        fields.refuse("newsecretname", "say what the new secret is called");
    }
    let new_name = fields.new_name("newsecretname", Name::general).unwrap_or_default();
    (new_name, request(fields))
}

/// Installers take these texts out of the answer without decoding JSON, so nothing in them may need an escape.
fn text(fields: &mut Fields<'_>, field: &str) -> Option<String> {
    // What some clients send for an option that was not given.
    if matches!(fields.raw(field), Some(Value::Bool(false) | Value::Null)) {
        return None;
    }
    let text = fields.text(field).value().cloned();
    match &text {
        None if fields.has(field) => fields.refuse(field, "it is empty; leave it out or give one"),
        Some(text) if text.chars().any(|c| c.is_control() || matches!(c, '"' | '\'' | '\\')) => {
            fields.refuse(
                field,
                "it contains a quote, a backslash or a line end; encode contents as base64",
            );
        }
        Some(_) | None => {}
    }
    text
}

fn path(fields: &mut Fields<'_>) -> Option<String> {
    let path = text(fields, "path")?;
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        let reason = format!("'{path}' must be the whole path of a file, without '..'");
        fields.refuse("path", reason);
    }
    Some(path)
}
