//! Secrets of nodes, groups and the cluster, as clients read and ask for them.

use perilune_model::secret::{
    Request, Secret, check_mode, check_owner, check_path, needs_no_escape,
};
use perilune_model::{Name, Patch};
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
    /// Whose file it is, `user` or `user:group`; absent: root's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its mode in octal digits; absent: 600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

impl SecretKeys {
    /// The secret.
    pub fn new(secret: &Secret) -> Self {
        Self {
            name: secret.name.to_string(),
            content: secret.content.clone(),
            path: secret.path.clone(),
            owner: secret.owner.clone(),
            mode: secret.mode.clone(),
        }
    }
}

/// A secret of a request: its content as it was sent.
pub fn request(fields: &mut Fields<'_>) -> Request {
    fields.require("name", "say which secret this is about");
    Request {
        name: fields.new_name("name", Name::general).unwrap_or_default(),
        content: text(fields.help("What the file holds").encoded(), "content"),
        path: path(fields),
        owner: owner(fields),
        mode: mode(fields),
    }
}

/// The request of a copy: the new name, and what differs from the source.
pub fn copy_request(fields: &mut Fields<'_>) -> (Name, Request) {
    fields.require("newsecretname", "say what the new secret is called");
    let new_name = fields.new_name("newsecretname", Name::general).unwrap_or_default();
    (new_name, request(fields))
}

/// Installers take these texts out of the answer without decoding JSON, so nothing in them may need an escape.
fn text(fields: &mut Fields<'_>, field: &str) -> Option<String> {
    // What some clients send for an option that was not given.
    let given = fields.or_false().raw(field);
    if matches!(given, Some(Value::Bool(false) | Value::Null)) {
        return None;
    }
    let given = fields.text(field);
    let text = given.value().cloned();
    match &text {
        None if given == Patch::Clear => {
            fields.refuse(field, "it is empty; leave it out or give one");
        }
        Some(text) if !needs_no_escape(text) => {
            fields.refuse(
                field,
                "it contains a quote, a backslash or a line end; encode contents as base64",
            );
        }
        Some(_) | None => {}
    }
    text
}

/// Whose file it is.
pub(crate) fn owner(fields: &mut Fields<'_>) -> Patch<String> {
    let help = "Whose file it is: USER or USER:GROUP, names of the image or numbers (root)";
    fields.help(help).converted("owner", |text| check_owner(text).map(|()| text.to_owned()))
}

/// Who may do what with it.
pub(crate) fn mode(fields: &mut Fields<'_>) -> Patch<String> {
    let help = "Its mode, in octal digits (600)";
    fields.help(help).converted("mode", |text| check_mode(text).map(|()| text.to_owned()))
}

/// Where a secret is written: a whole path, without a way up.
pub(crate) fn path(fields: &mut Fields<'_>) -> Option<String> {
    let path = text(fields.help("Where the installer writes it"), "path")?;
    // The other half of the rule was asked with the text.
    if needs_no_escape(&path)
        && let Err(reason) = check_path(&path)
    {
        fields.refuse("path", reason);
    }
    Some(path)
}
