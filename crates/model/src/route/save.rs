//! Creating and changing routes, and coupling them to nodes, groups and networks.

use std::net::IpAddr;
use std::sync::Arc;

use crate::group::Group;
use crate::network::Network;
use crate::node::Node;
use crate::route::{Destination, MOST, Route};
use crate::{Draft, Error, Family, Kind, Name, Patch, Saved, Violation};

/// What a client asks of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The new name.
    pub new_name: Option<Name>,
    /// Where it leads; a new route needs it.
    pub destination: Option<Destination>,
    /// The router.
    pub gateway: Patch<IpAddr>,
    /// How much it is avoided.
    pub metric: Patch<u32>,
    /// The interface.
    pub device: Patch<Name>,
    /// Free text.
    pub comment: Patch<String>,
}

/// Changes a route; makes it where there is none of this name.
pub fn save(draft: &mut Draft, name: &Name, request: &Request) -> Result<Saved, Error> {
    let known = draft.routes().get(name).map(|route| Route::clone(route));
    let saved = Saved::foreseen(known.is_some(), request.new_name.is_some()).ok_or_else(|| {
        Error::invalid("newname", format!("there is no {} '{name}' to rename", Kind::Route))
    })?;
    let destination = request.destination.or(known.as_ref().map(|route| route.destination));
    let destination = destination.ok_or_else(|| {
        Error::invalid("destination", "a route needs to lead somewhere; give a range")
    })?;
    let mut route = known.unwrap_or_else(|| Route {
        name: name.clone(),
        destination,
        gateway: None,
        metric: None,
        device: None,
        comment: None,
    });
    route.destination = destination;
    request.gateway.apply(&mut route.gateway);
    request.metric.apply(&mut route.metric);
    request.device.apply(&mut route.device);
    request.comment.apply(&mut route.comment);
    route.name = request.new_name.as_ref().unwrap_or(name).clone();
    let violations = route.violations();
    if !violations.is_empty() {
        return Err(Error::Invalid(violations));
    }
    draft.rename(route, name.as_str())?;
    Ok(saved)
}

impl Route {
    /// What of it cannot be.
    pub fn violations(&self) -> Vec<Violation> {
        let refuse = |field: &str, reason: String| Violation { field: field.to_owned(), reason };
        let mut violations = Vec::new();
        if let Some(gateway) = self.gateway {
            if Family::of(gateway) != self.destination.family() {
                let reason = format!(
                    "{gateway} is of another family than {}; give a router of the same",
                    self.destination
                );
                violations.push(refuse("gateway", reason));
            }
            if gateway.is_unspecified() || gateway.is_multicast() || gateway.is_loopback() {
                violations.push(refuse("gateway", format!("{gateway} is not a router's address")));
            }
        } else if self.device.is_none() {
            let reason = "a route needs a gateway, or a device, or both".to_owned();
            violations.push(refuse("gateway", reason));
        }
        violations
    }
}

/// What routes are coupled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// All nodes that have an interface in a network.
    Network,
    /// All nodes of a group.
    Group,
    /// One node.
    Node,
}

impl Target {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Network, Self::Group, Self::Node];

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Group => "group",
            Self::Node => "node",
        }
    }

    /// The target that is called so.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.word() == word)
    }
}

/// Which route, and whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Couple {
    /// The route.
    pub route: String,
    /// What it is coupled to.
    pub target: Target,
    /// The name of that.
    pub name: String,
}

/// Couples a route; nothing changes where it is coupled already.
pub fn couple(draft: &mut Draft, couple: &Couple) -> Result<(), Error> {
    let route = draft.route(&couple.route)?.name.clone();
    edit(draft, couple, |routes| {
        if routes.contains(&route) {
            return Ok(());
        }
        if routes.len() >= MOST {
            let reason = format!(
                "{} '{}' has {MOST} routes, and no more are allowed",
                couple.target.word(),
                couple.name
            );
            return Err(Error::invalid("routes", reason));
        }
        routes.push(route);
        Ok(())
    })
}

/// Takes a route away from whom it is coupled to.
pub fn decouple(draft: &mut Draft, couple: &Couple) -> Result<(), Error> {
    let route = draft.route(&couple.route)?.name.clone();
    let kind = match couple.target {
        Target::Network => Kind::Network,
        Target::Group => Kind::Group,
        Target::Node => Kind::Node,
    };
    edit(draft, couple, |routes| {
        let before = routes.len();
        routes.retain(|other| *other != route);
        if routes.len() == before {
            let (name, wanted) = (couple.name.clone(), route.to_string());
            return Err(Error::NoPart { kind, name, part: "route", wanted });
        }
        Ok(())
    })
}

fn edit(
    draft: &mut Draft,
    couple: &Couple,
    change: impl FnOnce(&mut Vec<Name>) -> Result<(), Error>,
) -> Result<(), Error> {
    let name = couple.name.as_str();
    match couple.target {
        Target::Network => {
            let mut network = Network::clone(Arc::as_ref(draft.network(name)?));
            change(&mut network.routes)?;
            draft.put(network)
        }
        Target::Group => {
            let mut group = Group::clone(Arc::as_ref(draft.group(name)?));
            change(&mut group.provisioning.routes)?;
            draft.put(group)
        }
        Target::Node => {
            let mut node = Node::clone(Arc::as_ref(draft.node(name)?));
            change(&mut node.provisioning.routes)?;
            draft.put(node)
        }
    }
}
