//! Which object refers to which, so that nothing refers to what does not exist.

use std::sync::Arc;

use crate::node::Node;
use crate::object::{GroupSecrets, NodeSecrets, Object};
use crate::rack::{DeviceType, Placement};
use crate::{Cluster, Error, Kind, Name};

/// A reference to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) kind: Kind,
    pub(crate) name: Name,
}

/// Refuses an object that refers to what does not exist. A reference that its former self had is not looked at again.
pub(crate) fn check(cluster: &Cluster, old: Option<&Object>, new: &Object) -> Result<(), Error> {
    let former = old.map(of).unwrap_or_default();
    for (field, reference) in of(new) {
        let known = former.iter().any(|(_, formerly)| *formerly == reference);
        if !known && cluster.object(reference.kind, reference.name.as_str()).is_none() {
            return Err(Error::invalid(
                field,
                format!("there is no {} '{}'", reference.kind, reference.name),
            ));
        }
    }
    Ok(())
}

/// Whether the object does not keep what it refers to, which is of this kind, from being removed.
pub(crate) fn goes_with_its_owner(object: &Object, kind: Kind) -> bool {
    // Routes are taken away from whom they are coupled to before they go.
    kind != Kind::Route
        && matches!(
            object,
            Object::DnsHosts(_)
                | Object::NodeSecrets(_)
                | Object::NodeIdentity(_)
                | Object::GroupSecrets(_)
                | Object::Placement(_)
                | Object::Network(_)
                | Object::ClaimRule(_)
                | Object::ApiToken(_)
        )
}

/// What is left of an object when the object of this kind that it refers to goes; `None` when it goes, too.
pub(crate) fn without(object: &Object, kind: Kind) -> Option<Object> {
    let mut object = object.clone();
    match (&mut object, kind) {
        (Object::Placement(placement), Kind::Rack) => {
            let placement = Arc::make_mut(placement);
            placement.rack = None;
            placement.position = None;
        }
        (Object::Network(network), _) => {
            let network = Arc::make_mut(network);
            network.shared = None;
            // Relays are for networks that share a wire.
            network.dhcp_relay.clear();
            network.dhcp_link_subnet.clear();
        }
        _ => return None,
    }
    Some(object)
}

/// The objects that refer to this one.
pub(crate) fn referring(cluster: &Cluster, kind: Kind, name: &str) -> Vec<Object> {
    if kind == Kind::Group {
        let nodes = cluster.members(name).map(|node| Object::Node(Arc::clone(node)));
        let secrets = cluster.object(Kind::GroupSecrets, name);
        let rules = cluster.claim_rules().values();
        let rules = rules.filter(|rule| rule.group.as_ref().is_some_and(|group| *group == *name));
        let rules = rules.map(|rule| Object::ClaimRule(Arc::clone(rule)));
        let children = cluster.children(name).map(|child| Object::Group(Arc::clone(child)));
        // Children first: who wants to remove it is told of them, not of hundreds of nodes.
        return children.chain(nodes).chain(secrets).chain(rules).collect();
    }
    // What stands under a device's own name is found by it; many may go at once, and to look through all would take long.
    let placed = |device_type| {
        let key = Placement::key(device_type, name);
        cluster.object(Kind::Placement, key.as_str())
    };
    let of_name = |kind| cluster.object(kind, name);
    let own = match kind {
        Kind::Node => {
            vec![of_name(Kind::NodeSecrets), of_name(Kind::NodeIdentity), placed(DeviceType::Node)]
        }
        Kind::OtherDevice => vec![placed(DeviceType::OtherDevices)],
        Kind::Controller => vec![placed(DeviceType::Controller)],
        Kind::Settings
        | Kind::Route
        | Kind::Network
        | Kind::Image
        | Kind::BmcSetup
        | Kind::Switch
        | Kind::Cloud
        | Kind::Group
        | Kind::DnsHosts
        | Kind::NodeSecrets
        | Kind::NodeIdentity
        | Kind::GroupSecrets
        | Kind::ClusterSecrets
        | Kind::Rack
        | Kind::Placement
        | Kind::Reservation
        | Kind::ClaimRule
        | Kind::User
        | Kind::ApiToken => Vec::new(),
    };
    let refers = |object: &Object| {
        of(object).iter().any(|(_, reference)| reference.kind == kind && reference.name == name)
    };
    let others = may_refer_to(kind).iter().flat_map(|user| objects_of(cluster, *user));
    own.into_iter().flatten().chain(others.filter(refers)).collect()
}

/// The object with one of its references changed to a new name.
pub(crate) fn redirect(object: &Object, from: &Reference, to: &Name) -> Object {
    let mut object = object.clone();
    for (kind, name) in references_mut(&mut object) {
        if kind == from.kind && *name == from.name {
            *name = to.clone();
        }
    }
    if let Object::Placement(placement) = &mut object {
        let placement = Arc::make_mut(placement);
        placement.name = Placement::key(placement.device_type, placement.device.as_str());
    }
    object
}

/// The kinds of objects that can refer to one of this kind.
fn may_refer_to(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Network => &[
            Kind::Network,
            Kind::Controller,
            Kind::Switch,
            Kind::OtherDevice,
            Kind::Group,
            Kind::Node,
            Kind::DnsHosts,
            Kind::ClaimRule,
        ],
        Kind::Route => &[Kind::Network, Kind::Group, Kind::Node],
        Kind::Image | Kind::BmcSetup => &[Kind::Group, Kind::Node],
        Kind::Switch => &[Kind::Node, Kind::Placement],
        Kind::Cloud => &[Kind::Node],
        Kind::Rack => &[Kind::Placement],
        Kind::Settings
        | Kind::Group
        | Kind::Node
        | Kind::OtherDevice
        | Kind::Controller
        | Kind::DnsHosts
        | Kind::NodeSecrets
        | Kind::NodeIdentity
        | Kind::GroupSecrets
        | Kind::ClusterSecrets
        | Kind::Placement
        | Kind::Reservation
        | Kind::ClaimRule
        | Kind::ApiToken => &[],
        Kind::User => &[Kind::ApiToken],
    }
}

fn objects_of(cluster: &Cluster, kind: Kind) -> Vec<Object> {
    macro_rules! all {
        ($table:ident, $variant:ident) => {
            cluster.$table().values().map(|object| Object::$variant(Arc::clone(object))).collect()
        };
    }
    match kind {
        Kind::Network => all!(networks, Network),
        Kind::Controller => all!(controllers, Controller),
        Kind::Switch => all!(switches, Switch),
        Kind::OtherDevice => all!(other_devices, OtherDevice),
        Kind::Group => all!(groups, Group),
        Kind::Node => all!(nodes, Node),
        Kind::DnsHosts => all!(dns_hosts, DnsHosts),
        Kind::Placement => all!(placements, Placement),
        Kind::ClaimRule => all!(claim_rules, ClaimRule),
        Kind::ApiToken => all!(api_tokens, ApiToken),
        Kind::NodeSecrets
        | Kind::NodeIdentity
        | Kind::GroupSecrets
        | Kind::ClusterSecrets
        | Kind::Reservation
        | Kind::Settings
        | Kind::Route
        | Kind::Image
        | Kind::BmcSetup
        | Kind::Cloud
        | Kind::Rack
        | Kind::User => Vec::new(),
    }
}

/// What the object refers to, each with the name of the field.
fn of(object: &Object) -> Vec<(&'static str, Reference)> {
    let mut copy = object.clone();
    let is_network = matches!(object, Object::Network(_));
    let is_group = matches!(object, Object::Group(_));
    let field = |kind: Kind| match kind {
        Kind::Network if is_network => "shared",
        Kind::Group if is_group => "parent",
        Kind::Image => "osimage",
        Kind::BmcSetup => "bmcsetup",
        Kind::Route => "routes",
        Kind::Settings
        | Kind::Network
        | Kind::Controller
        | Kind::Switch
        | Kind::OtherDevice
        | Kind::Cloud
        | Kind::Group
        | Kind::Node
        | Kind::DnsHosts
        | Kind::NodeSecrets
        | Kind::NodeIdentity
        | Kind::GroupSecrets
        | Kind::ClusterSecrets
        | Kind::Rack
        | Kind::Placement
        | Kind::Reservation
        | Kind::ClaimRule
        | Kind::User
        | Kind::ApiToken => kind.word(),
    };
    references_mut(&mut copy)
        .into_iter()
        .map(|(kind, name)| (field(kind), Reference { kind, name: name.clone() }))
        .collect()
}

/// Every reference of an object. The one list of them: checks, renames and removals all read it.
fn references_mut(object: &mut Object) -> Vec<(Kind, &mut Name)> {
    let mut references = Vec::new();
    match object {
        Object::Network(network) => {
            let network = Arc::make_mut(network);
            references.extend(network.shared.as_mut().map(|name| (Kind::Network, name)));
            references.extend(network.routes.iter_mut().map(|name| (Kind::Route, name)));
        }
        Object::Controller(controller) => {
            references.extend(
                Arc::make_mut(controller).network.as_mut().map(|name| (Kind::Network, name)),
            );
        }
        Object::Switch(switch) => {
            let switch = Arc::make_mut(switch);
            references.extend(switch.network.as_mut().map(|name| (Kind::Network, name)));
            let interfaces = switch.interfaces.iter_mut();
            let networks = interfaces.filter_map(|interface| interface.network.as_mut());
            references.extend(networks.map(|name| (Kind::Network, name)));
        }
        Object::OtherDevice(device) => {
            references
                .extend(Arc::make_mut(device).network.as_mut().map(|name| (Kind::Network, name)));
        }
        Object::Group(group) => {
            let group = Arc::make_mut(group);
            references.extend(group.parent.as_mut().map(|name| (Kind::Group, name)));
            references.extend(group.provisioning.osimage.as_mut().map(|name| (Kind::Image, name)));
            references
                .extend(group.provisioning.bmcsetup.as_mut().map(|name| (Kind::BmcSetup, name)));
            references.extend(group.provisioning.routes.iter_mut().map(|name| (Kind::Route, name)));
            references.extend(
                group
                    .interfaces
                    .iter_mut()
                    .map(|interface| (Kind::Network, &mut interface.network)),
            );
        }
        Object::Node(node) => references.extend(of_node(Arc::make_mut(node))),
        Object::DnsHosts(hosts) => references.push((Kind::Network, &mut Arc::make_mut(hosts).name)),
        Object::NodeSecrets(secrets) => {
            let NodeSecrets(secrets) = Arc::make_mut(secrets);
            references.push((Kind::Node, &mut secrets.name));
        }
        Object::NodeIdentity(identity) => {
            references.push((Kind::Node, &mut Arc::make_mut(identity).name));
        }
        Object::GroupSecrets(secrets) => {
            let GroupSecrets(secrets) = Arc::make_mut(secrets);
            references.push((Kind::Group, &mut secrets.name));
        }
        Object::Placement(placement) => references.extend(of_placement(Arc::make_mut(placement))),
        Object::ClaimRule(rule) => {
            let rule = Arc::make_mut(rule);
            references.extend(rule.group.as_mut().map(|name| (Kind::Group, name)));
            references.extend(rule.network.as_mut().map(|name| (Kind::Network, name)));
        }
        Object::ApiToken(token) => {
            references.extend(Arc::make_mut(token).user.as_mut().map(|name| (Kind::User, name)));
        }
        Object::Settings(_)
        | Object::ClusterSecrets(_)
        | Object::Route(_)
        | Object::Image(_)
        | Object::BmcSetup(_)
        | Object::Cloud(_)
        | Object::Rack(_)
        | Object::Reservation(_)
        | Object::User(_) => {}
    }
    references
}

fn of_placement(placement: &mut Placement) -> impl Iterator<Item = (Kind, &mut Name)> {
    let kind = match placement.device_type {
        DeviceType::Node => Kind::Node,
        DeviceType::Switch => Kind::Switch,
        DeviceType::OtherDevices => Kind::OtherDevice,
        DeviceType::Controller => Kind::Controller,
    };
    let rack = placement.rack.as_mut().map(|name| (Kind::Rack, name));
    std::iter::once((kind, &mut placement.device)).chain(rack)
}

fn of_node(node: &mut Node) -> Vec<(Kind, &mut Name)> {
    let mut references = vec![(Kind::Group, &mut node.group)];
    if let Some(own) = node.provisioning.said() {
        references.extend(own.osimage.as_mut().map(|name| (Kind::Image, name)));
        references.extend(own.bmcsetup.as_mut().map(|name| (Kind::BmcSetup, name)));
        references.extend(own.routes.iter_mut().map(|name| (Kind::Route, name)));
    }
    references.extend(node.switch.as_mut().map(|name| (Kind::Switch, name)));
    references.extend(node.cloud.as_mut().map(|name| (Kind::Cloud, name)));
    let networks = node.interfaces.iter_mut().filter_map(|interface| interface.network.as_mut());
    references.extend(networks.map(|name| (Kind::Network, name)));
    references
}
