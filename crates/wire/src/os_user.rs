//! Users and groups of the cluster's operating systems, as clients ask for them.

use perilune_model::{Name, Patch};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::definition::Kind;
use crate::fields::Fields;

/// A user, as directories usually show one. A directory may show more attributes, and lists where there are several values.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OsUserKeys)]
pub struct UserKeys {
    /// The name.
    pub uid: String,
    /// The number.
    pub uid_number: String,
    /// The number of the first group.
    pub gid_number: String,
    /// The full name.
    pub cn: String,
    /// The family name.
    pub sn: Option<String>,
    /// The given name.
    pub given_name: Option<String>,
    /// Where letters go.
    pub mail: Option<String>,
    /// The shell.
    pub login_shell: String,
    /// The home directory.
    pub home_directory: String,
    /// The groups that the user is a member of.
    pub member_of: Vec<String>,
}

/// A group, as directories usually show one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OsGroupKeys)]
pub struct GroupKeys {
    /// The name.
    pub cn: String,
    /// The number.
    pub gid_number: String,
    /// The names of its members.
    pub member: Vec<String>,
}

/// What a client asks of a user; `None` says nothing, an empty text unsets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserRequest {
    /// `userPassword`
    pub password: Option<String>,
    /// `sn`
    pub surname: Option<String>,
    /// `givenName`
    pub given_name: Option<String>,
    /// `uidNumber`
    pub uid: Option<u32>,
    /// `gidNumber`
    pub gid: Option<u32>,
    /// `mail`
    pub mail: Option<String>,
    /// `telephoneNumber`
    pub telephone: Option<String>,
    /// `loginShell`
    pub shell: Option<String>,
    /// `memberOf`
    pub groups: Option<Vec<String>>,
    /// `shadowExpire`
    pub expire: Option<i64>,
    /// `homeDirectory`
    pub home: Option<String>,
}

/// What a client asks of a group; `None` says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupRequest {
    /// `gidNumber`
    pub gid: Option<u32>,
    /// `member`
    pub members: Option<Vec<String>>,
}

/// Reads a user's fields. Null says nothing, as everywhere in these two resources.
pub fn user(fields: &mut Fields<'_>) -> UserRequest {
    fields.ignore(&["cn", "groupname", "name", "uid"]);
    let home = text(fields, "homeDirectory");
    if home.as_ref().is_some_and(|home| !home.is_empty() && !home.starts_with('/')) {
        fields.refuse("homeDirectory", "it must be an absolute path");
    }
    UserRequest {
        password: text(fields, "userPassword"),
        surname: text(fields, "sn"),
        given_name: text(fields, "givenName"),
        uid: number(fields, "uidNumber"),
        gid: number(fields, "gidNumber"),
        mail: text(fields, "mail"),
        telephone: text(fields, "telephoneNumber"),
        shell: text(fields, "loginShell"),
        groups: names(fields, "memberOf"),
        expire: number(fields, "shadowExpire"),
        home,
    }
}

/// Reads a group's fields.
pub fn group(fields: &mut Fields<'_>) -> GroupRequest {
    fields.ignore(&["cn", "name"]);
    GroupRequest { gid: number(fields, "gidNumber"), members: names(fields, "member") }
}

fn is_null(fields: &mut Fields<'_>, field: &str) -> bool {
    fields.raw(field).is_some_and(Value::is_null)
}

fn text(fields: &mut Fields<'_>, field: &str) -> Option<String> {
    if is_null(fields, field) {
        return None;
    }
    let text = match fields.text(field) {
        Patch::Keep => return None,
        Patch::Clear => return Some(String::new()),
        Patch::Set(text) => text,
    };
    if text.contains(char::is_control) {
        fields.refuse(field, "it must be one line");
        return None;
    }
    Some(text)
}

fn number<T: std::str::FromStr>(fields: &mut Fields<'_>, field: &str) -> Option<T> {
    match fields.number(field) {
        Patch::Keep | Patch::Clear => None,
        Patch::Set(number) => Some(number),
    }
}

/// A list of names; an empty list is one.
fn names(fields: &mut Fields<'_>, field: &str) -> Option<Vec<String>> {
    let items = match fields.raw_as(field, || Kind::List)? {
        Value::Null => return None,
        Value::Array(items) => items,
        _ => {
            fields.refuse(field, "it must be a list of names");
            return None;
        }
    };
    let mut names: Vec<String> = Vec::new();
    for item in items {
        match item.as_str().map(Name::general) {
            Some(Ok(name)) if names.iter().any(|other| name == other.as_str()) => {}
            Some(Ok(name)) => names.push(name.to_string()),
            Some(Err(error)) => fields.refuse(field, error.to_string()),
            None => fields.refuse(field, "it must be a list of names"),
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T>(value: &Value, read: fn(&mut Fields<'_>) -> T) -> (T, Vec<String>) {
        let mut fields = Fields::new(value.as_object().unwrap());
        let request = read(&mut fields);
        let violations = fields.finish().err().unwrap_or_default();
        (request, violations.into_iter().map(|violation| violation.field).collect())
    }

    #[test]
    fn null_says_nothing_and_an_empty_list_is_a_list() {
        let body = json!({ "userPassword": "p'a\"ss", "sn": null, "mail": "", "uidNumber": "1050", "memberOf": [], "cn": 7 });
        let (request, wrong) = read(&body, user);
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(request.password.as_deref(), Some("p'a\"ss"));
        assert_eq!(
            (request.surname, request.mail.as_deref(), request.uid),
            (None, Some(""), Some(1050))
        );
        assert_eq!(request.groups, Some(Vec::new()));
    }

    #[test]
    fn what_cannot_be_is_refused_field_by_field() {
        let body = json!({ "loginShell": ["x"], "memberOf": "users", "uidNumber": -1, "homeDirectory": "home", "sn": "a\nb", "shell": "x" });
        let (_, wrong) = read(&body, user);
        assert_eq!(wrong, ["homeDirectory", "sn", "uidNumber", "loginShell", "memberOf", "shell"]);
        let (_, wrong) = read(&json!({ "member": ["--help", "a,b", 7] }), group);
        assert_eq!(wrong, ["member", "member", "member"]);
    }
}
