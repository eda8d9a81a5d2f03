//! Writing, copying and removing secrets.

use std::collections::BTreeMap;

use crate::object::{ClusterSecrets, GroupSecrets, NodeSecrets};
use crate::secret::{CLUSTER, Secret, Secrets};
use crate::{Draft, Error, Kind, Name, Patch, Saved};

/// Whose secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Those of a node.
    Node,
    /// Those of a group.
    Group,
    /// Those of the whole cluster, whose name is [`CLUSTER`].
    Cluster,
}

impl Owner {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Group => "group",
            Self::Cluster => "cluster",
        }
    }

    /// The kind of the owner.
    pub fn kind(self) -> Kind {
        match self {
            Self::Node => Kind::Node,
            Self::Group => Kind::Group,
            Self::Cluster => Kind::Settings,
        }
    }

    fn lists(self) -> Kind {
        match self {
            Self::Node => Kind::NodeSecrets,
            Self::Group => Kind::GroupSecrets,
            Self::Cluster => Kind::ClusterSecrets,
        }
    }

    /// The owner's secrets, none at all included; [`Error::NotFound`] without the owner.
    pub fn secrets(self, cluster: &crate::Cluster, name: &str) -> Result<Secrets, Error> {
        let (name, known) = match self {
            Self::Node => {
                let known = cluster.node_secrets().get(name).map(|list| Secrets::clone(list));
                (&cluster.node(name)?.name, known)
            }
            Self::Group => {
                let known = cluster.group_secrets().get(name).map(|list| Secrets::clone(list));
                (&cluster.group(name)?.name, known)
            }
            Self::Cluster => {
                let known = cluster.cluster_secrets().get(CLUSTER).map(|list| Secrets::clone(list));
                (&cluster.settings().name, known)
            }
        };
        Ok(known.unwrap_or_else(|| Secrets { name: name.clone(), secrets: Vec::new() }))
    }

    fn put(self, draft: &mut Draft, secrets: Secrets) -> Result<(), Error> {
        if secrets.secrets.is_empty() {
            return draft.remove(self.lists(), secrets.name.as_str());
        }
        match self {
            Self::Node => draft.put(NodeSecrets(secrets)),
            Self::Group => draft.put(GroupSecrets(secrets)),
            Self::Cluster => draft.put(ClusterSecrets(secrets)),
        }
    }
}

/// What a client asks of one secret. The content is in the form in which it is to be stored.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The secret.
    pub name: Name,
    /// Its content; a new secret needs one.
    pub content: Option<String>,
    /// Where the installer writes it.
    pub path: Option<String>,
    /// Whose file it is.
    pub owner: Patch<String>,
    /// Who may do what with it.
    pub mode: Patch<String>,
}

impl Request {
    fn apply(&self, secret: &mut Secret) {
        if let Some(content) = &self.content {
            secret.content.clone_from(content);
        }
        if self.path.is_some() {
            secret.path.clone_from(&self.path);
        }
        self.owner.apply(&mut secret.owner);
        self.mode.apply(&mut secret.mode);
    }
}

/// Writes secrets of an owner; those that are not named stay. [`Saved::Updated`] as soon as one of them was there.
pub fn save(
    draft: &mut Draft,
    owner: Owner,
    name: &str,
    requests: &[Request],
) -> Result<Saved, Error> {
    let mut list = owner.secrets(draft, name)?;
    let mut saved = Saved::Created;
    let names = list.secrets.iter().map(|known| known.name.clone());
    let mut places: BTreeMap<Name, usize> = names.zip(0..).collect();
    for request in requests {
        let place = *places.entry(request.name.clone()).or_insert(list.secrets.len());
        match list.secrets.get_mut(place) {
            Some(known) => {
                saved = Saved::Updated;
                request.apply(known);
            }
            None => {
                if request.content.is_none() {
                    let reason =
                        format!("the secret '{}' is new and needs a content", request.name);
                    return Err(Error::invalid("content", reason));
                }
                let mut secret = Secret { name: request.name.clone(), ..Secret::default() };
                request.apply(&mut secret);
                list.secrets.push(secret);
            }
        }
    }
    owner.put(draft, list)?;
    Ok(saved)
}

/// Makes a secret like another of the same owner; what the request does not have is as in the source.
pub fn clone(
    draft: &mut Draft,
    owner: Owner,
    name: &str,
    new_name: &Name,
    request: &Request,
) -> Result<(), Error> {
    let mut list = owner.secrets(draft, name)?;
    let source = find(&list, owner, request.name.as_str())?.clone();
    if list.secrets.iter().any(|known| known.name == *new_name) {
        let reason = format!("the {} '{name}' already has a secret '{new_name}'", owner.word());
        return Err(Error::invalid("newsecretname", reason));
    }
    let mut copy = Secret { name: new_name.clone(), ..source };
    request.apply(&mut copy);
    list.secrets.push(copy);
    owner.put(draft, list)
}

/// Removes a secret.
pub fn remove(draft: &mut Draft, owner: Owner, name: &str, secret: &str) -> Result<(), Error> {
    let mut list = owner.secrets(draft, name)?;
    find(&list, owner, secret)?;
    list.secrets.retain(|known| known.name != secret);
    owner.put(draft, list)
}

/// A secret of an owner.
pub fn find<'a>(list: &'a Secrets, owner: Owner, secret: &str) -> Result<&'a Secret, Error> {
    list.secrets.iter().find(|known| known.name == secret).ok_or_else(|| Error::NoPart {
        kind: owner.kind(),
        name: list.name.to_string(),
        part: "secret",
        wanted: secret.to_owned(),
    })
}
