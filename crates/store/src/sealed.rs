//! Passwords of BMCs, configurations of switches, contents of secrets and private keys of nodes are sealed where they are stored, in the history too, and nowhere else: the
//! cluster in memory has them as they are used. A sealed text is an object with the one field `sealed`, so that no text that
//! somebody gives is ever taken for one.

use perilune_model::Kind;
use serde_json::{Value, json};

use crate::Error;
use crate::key::{Keys, looks_sealed};
use crate::record::corrupt;

const SEALED: &str = "sealed";
/// The kinds of objects that have secrets.
pub(crate) const KINDS: [Kind; 6] = [
    Kind::BmcSetup,
    Kind::Switch,
    Kind::NodeSecrets,
    Kind::NodeIdentity,
    Kind::GroupSecrets,
    Kind::ClusterSecrets,
];

/// Does something with each text of an object that is secret.
fn each(
    kind: Kind,
    body: &mut Value,
    work: &mut dyn FnMut(&mut Value) -> Result<(), Error>,
) -> Result<(), Error> {
    match kind {
        Kind::BmcSetup => body.get_mut("password").map_or(Ok(()), work),
        Kind::Switch => body.pointer_mut("/ztp/ztpconfig").map_or(Ok(()), work),
        Kind::NodeSecrets | Kind::GroupSecrets | Kind::ClusterSecrets => {
            let secrets = body.get_mut("secrets").and_then(Value::as_array_mut);
            let contents = secrets.into_iter().flatten().filter_map(|one| one.get_mut("content"));
            contents.into_iter().try_for_each(work)
        }
        Kind::NodeIdentity => {
            body.get_mut("machine_id").map_or(Ok(()), &mut *work)?;
            let keys = body.get_mut("ssh_host_keys").and_then(Value::as_array_mut);
            let contents = keys.into_iter().flatten().filter_map(|one| one.get_mut("content"));
            contents.into_iter().try_for_each(work)
        }
        _ => Ok(()),
    }
}

fn seal_text(keys: &Keys, text: &mut Value) -> Result<(), Error> {
    if let Value::String(content) = text
        && !content.is_empty()
    {
        *text = json!({ SEALED: keys.seal(content)? });
    }
    Ok(())
}

/// A body as it is stored.
pub(crate) fn seal(keys: &Keys, kind: Kind, name: &str, body: String) -> Result<String, Error> {
    if !KINDS.contains(&kind) {
        return Ok(body);
    }
    let mut value = parsed(kind, name, &body)?;
    each(kind, &mut value, &mut |text| seal_text(keys, text))?;
    Ok(value.to_string())
}

/// A body as it is used.
pub(crate) fn open(
    keys: &Keys,
    kind: Kind,
    name: &str,
    body: &str,
) -> Result<Option<String>, Error> {
    if !KINDS.contains(&kind) {
        return Ok(None);
    }
    let mut value = parsed(kind, name, body)?;
    each(kind, &mut value, &mut |text| open_text(keys, kind, name, text))?;
    Ok(Some(value.to_string()))
}

fn open_text(keys: &Keys, kind: Kind, name: &str, text: &mut Value) -> Result<(), Error> {
    if let Some(token) = text.get(SEALED).and_then(Value::as_str) {
        *text = Value::String(keys.open(token).ok_or_else(|| foreign(keys, kind, name))?);
    }
    Ok(())
}

fn foreign(keys: &Keys, kind: Kind, name: &str) -> Error {
    let (kind, name) = (kind.word(), name.to_owned());
    Error::ForeignSecret { kind, name, file: keys.file().to_owned(), found: keys.id() }
}

fn parsed(kind: Kind, name: &str, body: &str) -> Result<Value, Error> {
    serde_json::from_str(body).map_err(|source| corrupt(kind.word(), name, source))
}

/// Whether some key has sealed a text of this object.
pub(crate) fn has_token(kind: Kind, name: &str, body: &str) -> Result<bool, Error> {
    let mut found = false;
    let mut value = parsed(kind, name, body)?;
    each(kind, &mut value, &mut |text| {
        found |= text.is_object() || text.as_str().is_some_and(looks_sealed);
        Ok(())
    })?;
    Ok(found)
}

/// How an object is sealed anew.
pub(crate) struct Resealing<'a> {
    pub(crate) from: &'a Keys,
    pub(crate) to: &'a Keys,
    /// The store is one of before: its texts are as somebody gave them, or tokens.
    pub(crate) legacy: bool,
}

impl Resealing<'_> {
    /// The body of an object, or of an edit of the past, sealed with the other key.
    pub(crate) fn body(
        &self,
        kind: Kind,
        name: &str,
        body: &str,
        is_past: bool,
    ) -> Result<String, Error> {
        let mut value = parsed(kind, name, body)?;
        each(kind, &mut value, &mut |text| {
            if let Some(token) = text.as_str().filter(|text| self.legacy && looks_sealed(text)) {
                match self.from.open(token) {
                    Some(content) => *text = Value::String(content),
                    // The key of a secret of the past may be gone; what it has sealed is nothing to anybody.
                    None if is_past => *text = Value::String(String::new()),
                    None => return Err(foreign(self.from, kind, name)),
                }
            }
            open_text(self.from, kind, name, text)?;
            seal_text(self.to, text)
        })?;
        Ok(value.to_string())
    }
}
