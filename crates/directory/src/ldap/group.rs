//! Groups.

use std::collections::{BTreeMap, BTreeSet};

use ldap3::{dn_escape, ldap_escape};
use perilune_model::Saved;
use serde_json::{Value, json};

use super::connection::Connection;
use super::entry::{Entry, next_number};
use crate::{Entries, Error, GroupRequest, Kind};

const ALL: &str = "(objectClass=posixGroup)";

/// A group as it is needed here.
pub(super) struct Group {
    pub(super) dn: String,
    pub(super) name: String,
    pub(super) number: Option<u32>,
    pub(super) members: Vec<String>,
    /// Whether members are named; other schemas list their entries.
    names_members: bool,
}

impl Group {
    fn of(entry: &Entry) -> Option<Self> {
        let mut members = entry.values("memberUid").to_vec();
        let others = entry.values("member").iter().chain(entry.values("uniqueMember"));
        members.extend(others.filter_map(|dn| name_of(dn)));
        members.sort();
        members.dedup();
        let entry_lists = ["groupOfMembers", "groupOfNames", "groupOfUniqueNames"];
        let lists =
            |class: &String| entry_lists.iter().any(|list| class.eq_ignore_ascii_case(list));
        Some(Self {
            dn: entry.dn.clone(),
            name: entry.first("cn")?.to_owned(),
            number: entry.number("gidNumber"),
            members,
            names_members: !entry.values("objectClass").iter().any(lists),
        })
    }

    /// Lets a user in, or out.
    pub(super) async fn set_member(
        &self,
        connection: &mut Connection<'_>,
        user: &str,
        is_member: bool,
    ) -> Result<(), Error> {
        self.check_schema("memberOf")?;
        connection.set_value(&self.dn, "memberUid", user, is_member).await
    }

    fn check_schema(&self, field: &'static str) -> Result<(), Error> {
        if self.names_members {
            return Ok(());
        }
        let reason = format!(
            "the group '{}' lists entries instead of names of members (RFC 2307bis), which is only read here; change it with the tool that made it",
            self.name
        );
        Err(Error::Invalid { field, reason })
    }
}

/// The name in the first part of a place such as `uid=alice,ou=People,dc=cluster`.
fn name_of(dn: &str) -> Option<String> {
    let (_, rest) = dn.split_once('=')?;
    rest.split(',').next().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

async fn entries(connection: &mut Connection<'_>, filter: &str) -> Result<Vec<Entry>, Error> {
    let base = connection.place.groups.clone();
    connection.search(&base, filter).await
}

/// All groups.
pub(super) async fn all(connection: &mut Connection<'_>) -> Result<Vec<Group>, Error> {
    Ok(entries(connection, ALL).await?.iter().filter_map(Group::of).collect())
}

async fn find(connection: &mut Connection<'_>, name: &str) -> Result<Option<Entry>, Error> {
    let filter = format!("(&{ALL}(cn={}))", ldap_escape(name));
    Ok(entries(connection, &filter).await?.into_iter().next())
}

fn shown(entry: &Entry) -> Option<Value> {
    let group = Group::of(entry)?;
    let mut attributes = entry.shown(&["memberuid", "member", "uniquemember"]);
    attributes.insert("member".to_owned(), group.members.into());
    Some(Value::Object(attributes))
}

pub(super) async fn list(connection: &mut Connection<'_>) -> Result<Entries, Error> {
    let found = entries(connection, ALL).await?;
    let named = found.iter().filter_map(|entry| Some((entry.first("cn")?, shown(entry)?)));
    let sorted: BTreeMap<&str, Value> = named.collect();
    Ok(sorted.into_iter().map(|(name, group)| (name.to_owned(), group)).collect())
}

pub(super) async fn show(connection: &mut Connection<'_>, name: &str) -> Result<Value, Error> {
    let entry = find(connection, name).await?;
    entry.as_ref().and_then(shown).ok_or_else(|| missing(name))
}

pub(super) async fn save(
    connection: &mut Connection<'_>,
    name: &str,
    request: &GroupRequest,
) -> Result<Saved, Error> {
    if let Some(members) = &request.members {
        check_members(connection, members).await?;
    }
    let there = find(connection, name).await?;
    let Some(group) = there.as_ref().and_then(Group::of) else {
        let members = request.members.clone().unwrap_or_default();
        create(connection, name, request.gid, members).await?;
        return Ok(Saved::Created);
    };
    let mut attributes = Vec::new();
    if let Some(gid) = request.gid {
        let others = all(connection).await?;
        let others = others.iter().filter(|other| other.dn != group.dn);
        check_number(gid, others)?;
        attributes.push(("gidNumber", vec![gid.to_string()]));
    }
    if let Some(members) = &request.members {
        group.check_schema("member")?;
        attributes.push(("memberUid", members.clone()));
    }
    connection.replace(&group.dn, attributes).await?;
    Ok(Saved::Updated)
}

/// Makes a group; the number of a new one is the next free.
pub(super) async fn create(
    connection: &mut Connection<'_>,
    name: &str,
    gid: Option<u32>,
    members: Vec<String>,
) -> Result<u32, Error> {
    let others = all(connection).await?;
    let gid = match gid {
        Some(gid) => gid,
        None => {
            let taken = others.iter().filter_map(|group| group.number);
            next_number(connection.place.first_number, taken).ok_or(Error::Invalid {
                field: "gidNumber",
                reason: "there is no number left; give one".to_owned(),
            })?
        }
    };
    check_number(gid, others.iter())?;
    let dn = format!("cn={},{}", dn_escape(name), connection.place.groups);
    let attributes = vec![
        ("objectClass", vec!["top".to_owned(), "posixGroup".to_owned()]),
        ("cn", vec![name.to_owned()]),
        ("gidNumber", vec![gid.to_string()]),
        ("memberUid", members),
    ];
    connection.add(&dn, attributes).await?;
    Ok(gid)
}

fn check_number<'g>(gid: u32, mut others: impl Iterator<Item = &'g Group>) -> Result<(), Error> {
    match others.find(|other| other.number == Some(gid)) {
        None => Ok(()),
        Some(other) => {
            let reason = format!("{gid} is the number of the group '{}'", other.name);
            Err(Error::Invalid { field: "gidNumber", reason })
        }
    }
}

/// Members must be users.
async fn check_members(connection: &mut Connection<'_>, members: &[String]) -> Result<(), Error> {
    if members.is_empty() {
        return Ok(());
    }
    let users: BTreeSet<String> = super::user::names(connection).await?.into_iter().collect();
    match members.iter().find(|member| !users.contains(*member)) {
        None => Ok(()),
        Some(member) => {
            let reason = format!("there is no user '{member}'");
            Err(Error::Invalid { field: "member", reason })
        }
    }
}

pub(super) async fn remove(connection: &mut Connection<'_>, name: &str) -> Result<(), Error> {
    let found = find(connection, name).await?;
    let Some(group) = found.as_ref().and_then(Group::of) else { return Err(missing(name)) };
    if let Some(gid) = group.number {
        let users = super::user::with_group(connection, gid).await?;
        if let Some(user) = users.first() {
            let reason = format!(
                "the group '{name}' is the first group of the user '{user}'; give that another first"
            );
            return Err(Error::Invalid { field: "name", reason });
        }
    }
    connection.delete(&group.dn).await
}

fn missing(name: &str) -> Error {
    Error::NotFound { kind: Kind::Group, name: name.to_owned() }
}

/// What clients are shown of a user's memberships.
pub(super) fn memberships(groups: &[Group], user: &str) -> Value {
    let mut names: Vec<&str> = groups
        .iter()
        .filter(|group| group.members.iter().any(|member| member == user))
        .map(|group| group.name.as_str())
        .collect();
    names.sort_unstable();
    json!(names)
}
