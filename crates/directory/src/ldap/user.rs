//! Users.

use std::collections::BTreeMap;

use ldap3::{dn_escape, ldap_escape};
use perilune_model::Saved;
use serde_json::Value;

use super::connection::Connection;
use super::entry::{Entry, next_number};
use super::group::{self, Group};
use crate::{Entries, Error, Kind, UserRequest};

const ALL: &str = "(objectClass=posixAccount)";
const SHELL: &str = "/bin/bash";
const HOME: &str = "/home";

async fn entries(connection: &mut Connection<'_>, filter: &str) -> Result<Vec<Entry>, Error> {
    let base = connection.place.users.clone();
    connection.search(&base, filter).await
}

async fn find(connection: &mut Connection<'_>, name: &str) -> Result<Option<Entry>, Error> {
    let filter = format!("(&{ALL}(uid={}))", ldap_escape(name));
    Ok(entries(connection, &filter).await?.into_iter().next())
}

/// The names of all users.
pub(super) async fn names(connection: &mut Connection<'_>) -> Result<Vec<String>, Error> {
    let found = entries(connection, ALL).await?;
    Ok(found.iter().filter_map(|entry| entry.first("uid").map(str::to_owned)).collect())
}

/// The names of the users whose first group has this number.
pub(super) async fn with_group(
    connection: &mut Connection<'_>,
    gid: u32,
) -> Result<Vec<String>, Error> {
    let found = entries(connection, &format!("(&{ALL}(gidNumber={gid}))")).await?;
    Ok(found.iter().filter_map(|entry| entry.first("uid").map(str::to_owned)).collect())
}

fn shown(entry: &Entry, groups: &[Group]) -> Option<(String, Value)> {
    let name = entry.first("uid")?;
    let mut attributes = entry.shown(&["memberof"]);
    attributes.insert("memberOf".to_owned(), group::memberships(groups, name));
    Some((name.to_owned(), Value::Object(attributes)))
}

pub(super) async fn list(connection: &mut Connection<'_>) -> Result<Entries, Error> {
    let found = entries(connection, ALL).await?;
    let groups = group::all(connection).await?;
    let users: BTreeMap<String, Value> =
        found.iter().filter_map(|entry| shown(entry, &groups)).collect();
    Ok(users.into_iter().collect())
}

pub(super) async fn show(connection: &mut Connection<'_>, name: &str) -> Result<Value, Error> {
    let found = find(connection, name).await?;
    let groups = group::all(connection).await?;
    let shown = found.as_ref().and_then(|entry| shown(entry, &groups));
    shown.map(|(_, user)| user).ok_or_else(|| missing(name))
}

pub(super) async fn save(
    connection: &mut Connection<'_>,
    name: &str,
    request: &UserRequest,
) -> Result<Saved, Error> {
    // What can be refused is looked at before anything is changed.
    let groups = group::all(connection).await?;
    let wanted = request.groups.as_ref().map(|names| known(&groups, names)).transpose()?;
    let there = find(connection, name).await?;
    check_number(connection, name, request.uid).await?;
    let (dn, saved) = match there {
        Some(entry) => {
            connection.replace(&entry.dn, changes(&entry, name, request)).await?;
            if let Some(password) = &request.password {
                set_password(connection, &entry.dn, password).await?;
            }
            (entry.dn, Saved::Updated)
        }
        None => (create(connection, name, request).await?, Saved::Created),
    };
    tracing::debug!(%dn, "a user was saved");
    if let Some(wanted) = wanted {
        for group in &groups {
            let is_member = group.members.iter().any(|member| member == name);
            let is_wanted = wanted.contains(&group.name.as_str());
            if is_member != is_wanted {
                group.set_member(connection, name, is_wanted).await?;
            }
        }
    }
    Ok(saved)
}

fn known<'n>(groups: &[Group], names: &'n [String]) -> Result<Vec<&'n str>, Error> {
    match names.iter().find(|name| !groups.iter().any(|group| group.name == **name)) {
        None => Ok(names.iter().map(String::as_str).collect()),
        Some(name) => {
            let reason = format!("there is no group '{name}'");
            Err(Error::Invalid { field: "memberOf", reason })
        }
    }
}

async fn check_number(
    connection: &mut Connection<'_>,
    name: &str,
    uid: Option<u32>,
) -> Result<(), Error> {
    let Some(uid) = uid else { return Ok(()) };
    let others = entries(connection, &format!("(&{ALL}(uidNumber={uid}))")).await?;
    match others.iter().filter_map(|entry| entry.first("uid")).find(|other| *other != name) {
        None => Ok(()),
        Some(other) => {
            let reason = format!("{uid} is the number of the user '{other}'");
            Err(Error::Invalid { field: "uidNumber", reason })
        }
    }
}

/// A text that is given: nothing when it is empty.
fn optional(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { vec![text.to_owned()] }
}

fn full_name(given_name: Option<&str>, surname: Option<&str>, name: &str) -> String {
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let words: Vec<String> = [given(given_name), given(surname)].into_iter().flatten().collect();
    if words.is_empty() { name.to_owned() } else { words.join(" ") }
}

/// What becomes different about a user that is there.
fn changes<'f>(entry: &Entry, name: &str, request: &UserRequest) -> Vec<(&'f str, Vec<String>)> {
    let mut changes = Vec::new();
    let required = |text: &str, usual: &str| {
        vec![if text.is_empty() { usual.to_owned() } else { text.to_owned() }]
    };
    if let Some(surname) = &request.surname {
        changes.push(("sn", required(surname, name)));
    }
    for (attribute, given) in [
        ("givenName", &request.given_name),
        ("mail", &request.mail),
        ("telephoneNumber", &request.telephone),
    ] {
        if let Some(text) = given {
            changes.push((attribute, optional(text)));
        }
    }
    if request.surname.is_some() || request.given_name.is_some() {
        let given_name = request.given_name.as_deref().or(entry.first("givenName"));
        let surname = request.surname.as_deref().or(entry.first("sn").filter(|sn| *sn != name));
        changes.push(("cn", vec![full_name(given_name, surname, name)]));
    }
    if let Some(shell) = &request.shell {
        changes.push(("loginShell", required(shell, SHELL)));
    }
    if let Some(home) = &request.home {
        changes.push(("homeDirectory", required(home, &format!("{HOME}/{name}"))));
    }
    for (attribute, number) in [("uidNumber", request.uid), ("gidNumber", request.gid)] {
        changes.extend(number.map(|number| (attribute, vec![number.to_string()])));
    }
    if let Some(day) = request.expire {
        changes.push(("shadowExpire", vec![day.to_string()]));
    }
    changes
}

/// Makes a user. Without a number of a group, the user gets a group of the same name and, where it is free, of the same number.
async fn create(
    connection: &mut Connection<'_>,
    name: &str,
    request: &UserRequest,
) -> Result<String, Error> {
    let uid = match request.uid {
        Some(uid) => uid,
        None => {
            let taken = entries(connection, ALL).await?;
            let taken = taken.iter().filter_map(|entry| entry.number("uidNumber"));
            next_number(connection.place.first_number, taken).ok_or(Error::Invalid {
                field: "uidNumber",
                reason: "there is no number left; give one".to_owned(),
            })?
        }
    };
    let (gid, own_group) = match request.gid {
        Some(gid) => (gid, false),
        None => first_group(connection, name, uid).await?,
    };
    let dn = format!("uid={},{}", dn_escape(name), connection.place.users);
    let added = add(connection, &dn, name, request, (uid, gid)).await;
    if let Err(error) = added {
        if own_group {
            group::remove(connection, name).await.ok();
        }
        return Err(error);
    }
    if let Some(password) = &request.password
        && let Err(error) = set_password(connection, &dn, password).await
    {
        // A user whose password is not the one that was asked for is better not there.
        connection.delete(&dn).await.ok();
        if own_group {
            group::remove(connection, name).await.ok();
        }
        return Err(error);
    }
    Ok(dn)
}

/// The number of the user's own group, and whether it was made just now.
async fn first_group(
    connection: &mut Connection<'_>,
    name: &str,
    uid: u32,
) -> Result<(u32, bool), Error> {
    let groups = group::all(connection).await?;
    if let Some(gid) = groups.iter().find(|group| group.name == name).and_then(|group| group.number)
    {
        return Ok((gid, false));
    }
    let is_free = !groups.iter().any(|group| group.number == Some(uid));
    let gid = group::create(connection, name, is_free.then_some(uid), Vec::new()).await?;
    Ok((gid, true))
}

async fn add(
    connection: &mut Connection<'_>,
    dn: &str,
    name: &str,
    request: &UserRequest,
    (uid, gid): (u32, u32),
) -> Result<(), Error> {
    let or = |text: &Option<String>, usual: &str| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        vec![text.unwrap_or(usual).to_owned()]
    };
    let given = |text: &Option<String>| optional(text.as_deref().unwrap_or_default());
    let classes = ["top", "inetOrgPerson", "posixAccount", "shadowAccount"];
    let full_name = full_name(request.given_name.as_deref(), request.surname.as_deref(), name);
    let attributes = vec![
        ("objectClass", classes.map(str::to_owned).to_vec()),
        ("uid", vec![name.to_owned()]),
        ("cn", vec![full_name]),
        ("sn", or(&request.surname, name)),
        ("givenName", given(&request.given_name)),
        ("mail", given(&request.mail)),
        ("telephoneNumber", given(&request.telephone)),
        ("uidNumber", vec![uid.to_string()]),
        ("gidNumber", vec![gid.to_string()]),
        ("loginShell", or(&request.shell, SHELL)),
        ("homeDirectory", or(&request.home, &format!("{HOME}/{name}"))),
        ("shadowExpire", request.expire.map(|day| day.to_string()).into_iter().collect()),
    ];
    connection.add(dn, attributes).await
}

/// An empty password takes it away: nobody can log in with one.
async fn set_password(
    connection: &mut Connection<'_>,
    dn: &str,
    password: &str,
) -> Result<(), Error> {
    if password.is_empty() {
        return connection.replace(dn, vec![("userPassword", Vec::new())]).await;
    }
    connection.set_password(dn, password).await
}

/// Removes a user, its memberships, and the group that was its alone.
pub(super) async fn remove(connection: &mut Connection<'_>, name: &str) -> Result<(), Error> {
    let Some(entry) = find(connection, name).await? else { return Err(missing(name)) };
    let groups = group::all(connection).await?;
    connection.delete(&entry.dn).await?;
    for group in groups.iter().filter(|group| group.members.iter().any(|member| member == name)) {
        group.set_member(connection, name, false).await?;
    }
    let gid = entry.number("gidNumber");
    let own = groups.iter().find(|group| group.name == name && group.number == gid);
    let Some(own) = own.filter(|own| own.members.iter().all(|member| member == name)) else {
        return Ok(());
    };
    let users = match gid {
        Some(gid) => with_group(connection, gid).await?,
        None => Vec::new(),
    };
    if users.is_empty() { connection.delete(&own.dn).await } else { Ok(()) }
}

fn missing(name: &str) -> Error {
    Error::NotFound { kind: Kind::User, name: name.to_owned() }
}
