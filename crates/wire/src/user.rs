//! Users of the API, as clients read and ask for them.

use perilune_model::user::{Role, User};
use perilune_model::{Name, Patch};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;

/// The fewest characters of a password.
const SHORTEST_PASSWORD: usize = 8;
/// The most; hashing takes its time for each.
const LONGEST_PASSWORD: usize = 1024;

/// A user. Passwords are never shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserKeys<'a> {
    name: &'a str,
    /// `installer`, `viewer`, `operator` or `admin`.
    role: &'static str,
    comment: Option<&'a str>,
}

impl<'a> UserKeys<'a> {
    /// The user.
    pub fn new(user: &'a User) -> Self {
        Self { name: user.name.as_str(), role: user.role.word(), comment: user.comment.as_deref() }
    }
}

/// What a request asks of a user; the password is in the clear.
#[derive(Clone, Default)]
pub struct Request {
    /// The new name.
    pub new_name: Option<Name>,
    /// The password.
    pub password: Option<String>,
    /// What the user may do.
    pub role: Option<Role>,
    /// Free text.
    pub comment: Patch<String>,
}

const ROLES: [&str; 4] = ["viewer", "operator", "admin", "installer"];

/// The request of a user.
pub fn request(fields: &mut Fields<'_>) -> Request {
    fields.ignore(&["name"]);
    let role = fields.help("What the user may do").words(&ROLES).converted("role", |text| {
        Role::from_word(text)
            .ok_or_else(|| "it must be viewer, operator, admin or installer".to_owned())
    });
    if role == Patch::Clear {
        fields.refuse("role", "it is empty; give viewer, operator, admin or installer");
    }
    Request {
        new_name: fields.new_name("newusername", Name::general),
        password: password(fields.help("The password"), "password"),
        role: role.value().copied(),
        comment: fields.help("A note").text("comment"),
    }
}

/// The request of another password: the present one, where it is given, and the new one.
pub fn password_request(fields: &mut Fields<'_>) -> (Option<String>, String) {
    let present = fields.help("The present password").password().text("present").value().cloned();
    fields.require("password", "say what the new password is");
    (present, password(fields.help("The new password"), "password").unwrap_or_default())
}

/// A password that can be one.
pub fn password(fields: &mut Fields<'_>, field: &str) -> Option<String> {
    let given = fields.password().text(field);
    if given == Patch::Keep {
        return None;
    }
    let password = given.value().cloned().unwrap_or_default();
    let length = password.chars().count();
    if !(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length) {
        let reason = format!("it must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters");
        fields.refuse(field, reason);
    }
    Some(password)
}
