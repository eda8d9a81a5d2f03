//! The cluster as one document that people keep and edit: kind, name, and what the object itself says, in the words of the API.
//! What is not written is unset, or what a new object has; what is inherited is not written. Scripts are plain text here.

mod devices;
mod machines;
mod merge;
mod site;

pub use merge::merge;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perilune_model::plugins::Installed;
use perilune_model::{Cluster, Desired, Interfaces, Kind, Name, NameError, Object, Violation};
use serde_json::{Map, Value, json};

use crate::fields::{self, Fields};

/// The kinds of objects in documents, in the order of references.
pub const KINDS: [Kind; 18] = [
    Kind::Settings,
    Kind::Route,
    Kind::Network,
    Kind::Controller,
    Kind::Image,
    Kind::BmcSetup,
    Kind::Switch,
    Kind::OtherDevice,
    Kind::Cloud,
    Kind::Group,
    Kind::Node,
    Kind::DnsHosts,
    Kind::NodeSecrets,
    Kind::GroupSecrets,
    Kind::ClusterSecrets,
    Kind::Rack,
    Kind::Placement,
    Kind::Reservation,
];
/// Before a script that stands as it is stored, for it is no base64 of a text.
const STORED: &str = "stored:";

/// The document of a cluster. Passwords of BMCs and secrets, as they are stored, are in it when they are wanted; users never.
pub fn write(cluster: &Cluster, with_secrets: bool) -> Value {
    let mut document = Map::new();
    for object in cluster.objects() {
        let kind = object.kind();
        let is_secret =
            matches!(kind, Kind::NodeSecrets | Kind::GroupSecrets | Kind::ClusterSecrets);
        if !KINDS.contains(&kind) || (is_secret && !with_secrets) {
            continue;
        }
        let shown = shown(&object, with_secrets);
        if kind == Kind::Settings {
            document.insert(kind.word().to_owned(), shown);
            continue;
        }
        let objects = document.entry(kind.word()).or_insert_with(|| json!({}));
        if let Value::Object(objects) = objects {
            objects.insert(object.name().to_string(), shown);
        }
    }
    Value::Object(document)
}

/// What a document says.
#[derive(Debug, Default)]
pub struct Document {
    /// The objects as they are to be.
    pub desired: Vec<Desired>,
    /// The kinds that it speaks of.
    pub kinds: Vec<Kind>,
}

/// Reads a document. What it does not speak of and nobody configures (the files of images, states of nodes, passwords that are left
/// out) is taken from the cluster. Everything that is wrong is told, each with its object.
pub fn read(
    document: &Map<String, Value>,
    cluster: &Cluster,
    installed: &Installed,
) -> Result<Document, Vec<Violation>> {
    let mut result = Document::default();
    let mut violations = Vec::new();
    for kind in KINDS {
        let Some(objects) = document.get(kind.word()) else { continue };
        result.kinds.push(kind);
        let Value::Object(objects) = objects else {
            let reason = "it must be an object of names and what each says".to_owned();
            violations.push(Violation { field: kind.word().to_owned(), reason });
            continue;
        };
        let one = Map::from_iter([(perilune_model::settings::KEY.to_owned(), json!(objects))]);
        let objects = if kind == Kind::Settings { &one } else { objects };
        for (name, said) in objects {
            match object(kind, name, said, cluster, installed) {
                Ok(desired) => result.desired.push(desired),
                Err(wrong) => violations.extend(wrong.into_iter().map(|violation| Violation {
                    field: place(kind, name, &violation.field),
                    reason: violation.reason,
                })),
            }
        }
    }
    violations.extend(unknown_kinds(document));
    if violations.is_empty() { Ok(result) } else { Err(violations) }
}

fn place(kind: Kind, name: &str, field: &str) -> String {
    let name = shortened(name);
    let object = if kind == Kind::Settings {
        kind.word().to_owned()
    } else {
        format!("{} {name}", kind.word())
    };
    if field.is_empty() { object } else { format!("{object}: {field}") }
}

fn unknown_kinds(document: &Map<String, Value>) -> impl Iterator<Item = Violation> {
    let known = KINDS.map(|kind| kind.word().to_owned());
    let unknown = document
        .keys()
        .filter(|kind| Kind::from_word(kind).is_none_or(|kind| !KINDS.contains(&kind)));
    unknown.map(move |kind| Violation {
        field: shortened(kind),
        reason: fields::unknown("kind of objects", kind, &known),
    })
}

/// A name from a document as a message shows it.
fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// Reads one object with the reader of its kind.
fn object(
    kind: Kind,
    name: &str,
    said: &Value,
    cluster: &Cluster,
    installed: &Installed,
) -> Result<Desired, Vec<Violation>> {
    let empty = Map::new();
    let list = matches!(
        kind,
        Kind::DnsHosts | Kind::NodeSecrets | Kind::GroupSecrets | Kind::ClusterSecrets
    );
    // A list is read like the only field of an object.
    let wrapped = list.then(|| Map::from_iter([(site::LIST.to_owned(), said.clone())]));
    let said = match (&wrapped, said) {
        (Some(wrapped), _) => wrapped,
        (None, Value::Object(said)) => said,
        (None, Value::Null) => &empty,
        (None, Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err(vec![wrong("it must be an object of fields")]);
        }
    };
    let own = cluster.object(kind, name);
    let name =
        name_of(kind, name).map_err(|error| vec![wrong(format!("invalid name: {error}"))])?;
    let mut fields = Fields::new(said);
    let mut interfaces = Interfaces::Own;
    let object = match kind {
        Kind::Settings => site::settings(&mut fields, installed),
        Kind::Route => site::route(&mut fields, name),
        Kind::Network => site::network(&mut fields, name),
        Kind::Controller => devices::controller(&mut fields, name, own.as_ref()),
        Kind::Image => machines::image(&mut fields, name, own.as_ref()),
        Kind::BmcSetup => machines::bmc_setup(&mut fields, name, own.as_ref()),
        Kind::Switch => devices::switch(&mut fields, name, own.as_ref()),
        Kind::OtherDevice => devices::other(&mut fields, name),
        Kind::Cloud => devices::cloud(&mut fields, name),
        Kind::Group => machines::group(&mut fields, name, installed),
        Kind::Node => {
            if !fields.has("interfaces") {
                interfaces = Interfaces::OfGroup;
            }
            machines::node(&mut fields, name, own.as_ref(), installed)
        }
        Kind::DnsHosts => site::dns_hosts(&mut fields, name),
        Kind::NodeSecrets | Kind::GroupSecrets | Kind::ClusterSecrets => {
            site::secrets(&mut fields, kind, name)
        }
        Kind::Rack => devices::rack(&mut fields, name),
        Kind::Placement => devices::placement(&mut fields, &name),
        Kind::Reservation => devices::reservation(&mut fields, name),
        Kind::User | Kind::NodeIdentity | Kind::ApiToken | Kind::ClaimRule => {
            return Err(vec![wrong(format!("a {kind} is in no document"))]);
        }
    };
    fields.finish()?;
    Ok(Desired { object, interfaces })
}

fn shown(object: &Object, with_secrets: bool) -> Value {
    let said = match object {
        Object::Settings(settings) => site::show_settings(settings),
        Object::Route(route) => site::show_route(route),
        Object::Network(network) => site::show_network(network),
        Object::Controller(controller) => devices::show_controller(controller),
        Object::Image(image) => machines::show_image(image),
        Object::BmcSetup(setup) => machines::show_bmc_setup(setup, with_secrets),
        Object::Switch(switch) => devices::show_switch(switch, with_secrets),
        Object::OtherDevice(device) => devices::show_other(device),
        Object::Cloud(cloud) => devices::show_cloud(cloud),
        Object::Group(group) => machines::show_group(group),
        Object::Node(node) => machines::show_node(node),
        Object::DnsHosts(hosts) => return site::show_dns_hosts(hosts),
        Object::NodeSecrets(secrets) => return site::show_secrets(secrets),
        Object::GroupSecrets(secrets) => return site::show_secrets(secrets),
        Object::ClusterSecrets(secrets) => return site::show_secrets(secrets),
        Object::Rack(rack) => devices::show_rack(rack),
        Object::Placement(placement) => devices::show_placement(placement),
        Object::Reservation(reservation) => devices::show_reservation(reservation),
        Object::User(_) | Object::NodeIdentity(_) | Object::ApiToken(_) | Object::ClaimRule(_) => {
            Said::default()
        }
    };
    Value::Object(said.0)
}

fn name_of(kind: Kind, name: &str) -> Result<Name, NameError> {
    match kind {
        Kind::Network | Kind::DnsHosts => Name::domain(name),
        Kind::Controller
        | Kind::Switch
        | Kind::OtherDevice
        | Kind::Node
        | Kind::NodeSecrets
        | Kind::NodeIdentity => Name::host(name),
        // The key of a placement is made anew from its parts when they are read.
        Kind::Placement => Ok(Name::trusted(name)),
        Kind::Settings
        | Kind::Route
        | Kind::Image
        | Kind::BmcSetup
        | Kind::Cloud
        | Kind::Group
        | Kind::GroupSecrets
        | Kind::ClusterSecrets
        | Kind::Rack
        | Kind::Reservation
        | Kind::ClaimRule
        | Kind::User
        | Kind::ApiToken => Name::general(name),
    }
}

/// A text that is set.
fn text(fields: &mut Fields<'_>, field: &str) -> Option<String> {
    fields.text(field).value().cloned()
}

fn wrong(reason: impl Into<String>) -> Violation {
    Violation { field: String::new(), reason: reason.into() }
}

/// What an object says: fields that are set.
#[derive(Default)]
struct Said(Map<String, Value>);

impl Said {
    fn put(mut self, field: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(field.to_owned(), value.into());
        }
        self
    }

    /// A value that is written as a text.
    fn text(self, field: &str, value: Option<impl ToString>) -> Self {
        self.put(field, value.map(|value| value.to_string()))
    }

    /// A switch that is written when it is not as usual.
    fn flag(self, field: &str, value: bool, usual: bool) -> Self {
        self.put(field, (value != usual).then_some(value))
    }

    fn list(self, field: &str, values: &[impl ToString]) -> Self {
        let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
        self.put(field, (!texts.is_empty()).then_some(texts))
    }
}

/// A script for people: the text that its base64 stands for.
fn script(stored: &str) -> String {
    let plain = STANDARD.decode(stored).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let is_plain = |text: &String| {
        let clean = !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'));
        clean && !text.is_empty() && !text.starts_with(STORED) && STANDARD.encode(text) == stored
    };
    plain.filter(is_plain).unwrap_or_else(|| format!("{STORED}{stored}"))
}

/// A script as it is stored.
fn stored(script: &str) -> String {
    script.strip_prefix(STORED).map_or_else(|| STANDARD.encode(script), str::to_owned)
}
