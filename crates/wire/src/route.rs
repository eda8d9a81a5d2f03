//! Static routes, as clients read and ask for them.

use std::collections::BTreeMap;

use perilune_model::effective::{Source, Sourced};
use perilune_model::route::{MOST, NotADestination, Request, Route, Target};
use perilune_model::{Cluster, Name, Patch};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::definition::Kind;
use crate::fields::Fields;
use crate::requests::comment;

/// A route, with whom it is coupled to. What is unset is an empty text, as clients expect it.
#[derive(Debug, Serialize, ToSchema)]
pub struct RouteKeys<'a> {
    name: &'a str,
    destination: String,
    gateway: String,
    metric: Option<u32>,
    device: &'a str,
    comment: Option<&'a str>,
    /// Such as `group/compute,node/node001`.
    assigned: String,
}

impl<'a> RouteKeys<'a> {
    /// The route.
    pub fn new(route: &'a Route, assigned: &Assigned) -> Self {
        Self {
            name: route.name.as_str(),
            destination: route.destination.to_string(),
            gateway: route.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
            metric: route.metric,
            device: route.device.as_ref().map(Name::as_str).unwrap_or_default(),
            comment: route.comment.as_deref(),
            assigned: assigned.0.get(&route.name).map(|all| all.join(",")).unwrap_or_default(),
        }
    }
}

/// Whom routes are coupled to: looked up once for all of them.
#[derive(Debug, Default)]
pub struct Assigned(BTreeMap<Name, Vec<String>>);

impl Assigned {
    /// Of the whole cluster.
    pub fn of(cluster: &Cluster) -> Self {
        let mut assigned = Self::default();
        if cluster.routes().is_empty() {
            return assigned;
        }
        for group in cluster.groups().values() {
            assigned.add(Target::Group, &group.name, &group.provisioning.routes);
        }
        for network in cluster.networks().values() {
            assigned.add(Target::Network, &network.name, &network.routes);
        }
        for node in cluster.nodes().values() {
            assigned.add(Target::Node, &node.name, &node.provisioning.routes);
        }
        assigned
    }

    fn add(&mut self, target: Target, name: &Name, routes: &[Name]) {
        for route in routes {
            let entry = self.0.entry(route.clone()).or_default();
            entry.push(format!("{}/{name}", target.word()));
        }
    }
}

/// The request of a route.
pub fn request(fields: &mut Fields<'_>) -> Request {
    fields.ignore(&["name", "assigned"]);
    let destination = fields
        .help("Where it leads: a range such as 10.0.0.0/8, or one address")
        .converted("destination", |text| {
            text.parse().map_err(|error: NotADestination| error.to_string())
        });
    if destination == Patch::Clear {
        fields.refuse("destination", "it is empty; give a range such as 10.0.0.0/8");
    }
    Request {
        new_name: fields.new_name("newname", Name::general),
        destination: destination.value().copied(),
        gateway: fields.help("The router that it leads through").address("gateway"),
        device: fields
            .help("The interface that it leads through; BOOTIF is the one that a node boots from")
            .name("device", Name::interface),
        metric: fields
            .help("How much it is avoided: of two ways the lower counts")
            .number("metric"),
        comment: comment(fields),
    }
}

/// Names of routes, in a comma text; each once. `""` clears.
pub(crate) fn names(fields: &mut Fields<'_>) -> Patch<Vec<Name>> {
    const FIELD: &str = "routes";
    let is_list = matches!(fields.raw_as(FIELD, || Kind::List), Some(Value::Array(_)));
    // Names may have blanks in them.
    let words = if is_list {
        fields.list(FIELD)
    } else {
        fields.text(FIELD).map(|text| text.split(',').map(str::to_owned).collect())
    };
    let Patch::Set(words) = words else { return words.map(|_| Vec::new()) };
    let mut names: Vec<Name> = Vec::new();
    for word in words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()) {
        match Name::general(word) {
            Ok(name) if names.contains(&name) => {}
            Ok(name) => names.push(name),
            Err(error) => {
                fields.refuse(FIELD, format!("invalid name in it: {error}"));
                return Patch::Keep;
            }
        }
    }
    if names.len() > MOST {
        let count = names.len();
        fields.refuse(FIELD, format!("{count} routes are too many; there may be {MOST}"));
    }
    if names.is_empty() { Patch::Clear } else { Patch::Set(names) }
}

/// Names of routes in an answer; null without any.
pub(crate) fn shown<'a>(names: impl IntoIterator<Item = &'a Name>) -> Option<String> {
    let names: Vec<&str> = names.into_iter().map(Name::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Routes that somebody has or inherits, and from whom.
pub(crate) struct Shown {
    pub(crate) value: Option<String>,
    source: Source,
}

impl Shown {
    pub(crate) fn new(routes: Sourced<Vec<&Name>>) -> Self {
        Self { value: shown(routes.value), source: routes.source }
    }

    /// Clients take a source for a value that is there.
    pub(crate) fn source(&self) -> Option<&'static str> {
        self.value.is_some().then(|| self.source.word())
    }
}

/// Names of routes in a document.
pub(crate) fn in_document(names: &[Name]) -> Option<String> {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    (!names.is_empty()).then(|| names.join(","))
}
