//! Every commit, with its author, what it did and what takes it back.

use perilune_model::{Edit, Kind, Name, Object};
use serde::{Deserialize, Serialize};

use crate::key::Keys;
use crate::record::corrupt;
use crate::{Error, sealed};

/// Who changed the cluster, when, from where, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// Milliseconds since 1970, UTC.
    pub at: u64,
    /// The user.
    pub author: String,
    /// The address that the request came from, or the part of the program that asked.
    pub origin: String,
    /// What was asked, such as `POST /config/node/node001`.
    pub action: String,
}

/// One commit of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its number.
    pub revision: u64,
    /// Who made it.
    pub meta: Meta,
    /// What it did.
    pub edits: Vec<Edit>,
    /// What takes it back.
    pub inverse: Vec<Edit>,
}

/// An edit as it is stored: no body means that the object goes.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredEdit<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
}

impl StoredEdit<'static> {
    /// Each of these edits; an object is turned into text once, for the history and for its own row.
    pub(crate) fn all(keys: &Keys, edits: &[Edit]) -> Result<Vec<Self>, Error> {
        let stored = |edit: &Edit| {
            let (kind, name, body) = match edit {
                Edit::Put(object) => {
                    let (kind, name) = (object.kind().word(), object.name());
                    let body = object.to_json();
                    let body = body.map_err(|source| corrupt(kind, name.as_str(), source))?;
                    let body = sealed::seal(keys, object.kind(), name.as_str(), body)?;
                    (kind, name, Some(body))
                }
                Edit::Remove(kind, name) => (kind.word(), name, None),
            };
            Ok(Self { kind, name: name.to_string(), body })
        };
        edits.iter().map(stored).collect()
    }
}

pub(crate) fn encode(edits: &[StoredEdit<'_>]) -> Result<String, Error> {
    serde_json::to_string(edits).map_err(|source| corrupt("history", "edits", source))
}

pub(crate) fn decode(revision: u64, keys: &Keys, text: &str) -> Result<Vec<Edit>, Error> {
    let unreadable = |source| corrupt("history", &revision.to_string(), source);
    let stored: Vec<StoredEdit<'_>> = serde_json::from_str(text).map_err(unreadable)?;
    let mut edits = Vec::with_capacity(stored.len());
    for edit in stored {
        let unknown =
            || unreadable(serde::de::Error::custom(format!("unknown kind '{}'", edit.kind)));
        let kind = Kind::from_word(edit.kind).ok_or_else(unknown)?;
        edits.push(match edit.body {
            Some(body) => {
                let body = sealed::open(keys, kind, &edit.name, &body)?.unwrap_or(body);
                Edit::Put(Object::from_json(kind, &body).map_err(unreadable)?)
            }
            None => Edit::Remove(kind, Name::trusted(&edit.name)),
        });
    }
    Ok(edits)
}
