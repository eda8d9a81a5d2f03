//! Every kind of object that a cluster is made of, and how one is stored.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bmc_setup::BmcSetup;
use crate::controller::Controller;
use crate::device::{Cloud, OtherDevice, Switch};
use crate::discovery::ClaimRule;
use crate::dns::DnsHosts;
use crate::group::Group;
use crate::identity::NodeIdentity;
use crate::image::Image;
use crate::network::Network;
use crate::node::Node;
use crate::rack::{Placement, Rack};
use crate::reservation::Reservation;
use crate::route::Route;
use crate::secret::Secrets;
use crate::settings::Settings;
use crate::user::{ApiToken, User};
use crate::{MacAddress, Name};

macro_rules! objects {
    ($($variant:ident($type:ty), $word:literal, $shown:literal;)*) => {
        /// The kinds of objects.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[doc = $shown] $variant,)* }

        impl Kind {
            /// All kinds, in an order in which what is referred to comes first.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that the store knows the kind by.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The kind that the store knows by this word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for Kind {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(match self { $(Self::$variant => $shown,)* })
            }
        }

        /// One object of the cluster, shared and immutable.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Object { $(#[doc = $shown] $variant(Arc<$type>),)* }

        impl Object {
            /// The kind of the object.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => Kind::$variant,)* }
            }

            /// The key of the object among its kind.
            pub fn name(&self) -> &Name {
                match self { $(Self::$variant(object) => &object.name,)* }
            }

            /// The object as JSON text, for the store.
            pub fn to_json(&self) -> Result<String, serde_json::Error> {
                match self { $(Self::$variant(object) => serde_json::to_string(&**object),)* }
            }

            /// The object that was stored as this JSON text.
            pub fn from_json(kind: Kind, json: &str) -> Result<Self, serde_json::Error> {
                match kind { $(Kind::$variant => serde_json::from_str(json).map(|object| Self::$variant(Arc::new(object))),)* }
            }
        }

        $(impl From<$type> for Object {
            fn from(object: $type) -> Self {
                Self::$variant(Arc::new(object))
            }
        })*
    };
}

objects! {
    Settings(Settings), "cluster", "cluster";
    Route(Route), "route", "route";
    Network(Network), "network", "network";
    Controller(Controller), "controller", "controller";
    Image(Image), "osimage", "OS image";
    BmcSetup(BmcSetup), "bmcsetup", "BMC setup";
    Switch(Switch), "switch", "switch";
    OtherDevice(OtherDevice), "otherdev", "other device";
    Cloud(Cloud), "cloud", "cloud";
    Group(Group), "group", "group";
    Node(Node), "node", "node";
    DnsHosts(DnsHosts), "dns", "list of DNS hosts of network";
    NodeSecrets(NodeSecrets), "nodesecrets", "list of secrets of node";
    NodeIdentity(NodeIdentity), "nodeidentity", "identity of node";
    GroupSecrets(GroupSecrets), "groupsecrets", "list of secrets of group";
    ClusterSecrets(ClusterSecrets), "clustersecrets", "list of secrets of";
    Rack(Rack), "rack", "rack";
    Placement(Placement), "rackinventory", "rack inventory entry";
    Reservation(Reservation), "reservation", "reservation";
    ClaimRule(ClaimRule), "claimrule", "rule for claims";
    User(User), "user", "user";
    ApiToken(ApiToken), "apitoken", "API token";
}

/// The secrets of one node, under the node's name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeSecrets(pub Secrets);

/// The secrets of one group, under the group's name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupSecrets(pub Secrets);

/// The secrets of the whole cluster, under one name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterSecrets(pub Secrets);

impl std::ops::Deref for ClusterSecrets {
    type Target = Secrets;

    fn deref(&self) -> &Secrets {
        &self.0
    }
}

impl std::ops::Deref for NodeSecrets {
    type Target = Secrets;

    fn deref(&self) -> &Secrets {
        &self.0
    }
}

impl std::ops::Deref for GroupSecrets {
    type Target = Secrets;

    fn deref(&self) -> &Secrets {
        &self.0
    }
}

/// Whose address or hardware address something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A controller.
    Controller(Name),
    /// An interface of a node.
    Interface {
        /// The node.
        node: Name,
        /// Its interface.
        interface: Name,
    },
    /// A switch.
    Switch(Name),
    /// Another device.
    OtherDevice(Name),
    /// A machine about which nobody has decided yet.
    Reservation(Name),
}

impl Holder {
    /// The kind of the device that holds it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Controller(_) => Kind::Controller,
            Self::Interface { .. } => Kind::Node,
            Self::Switch(_) => Kind::Switch,
            Self::OtherDevice(_) => Kind::OtherDevice,
            Self::Reservation(_) => Kind::Reservation,
        }
    }

    /// The name of the device that holds it.
    pub fn device(&self) -> &Name {
        match self {
            Self::Controller(name)
            | Self::Switch(name)
            | Self::OtherDevice(name)
            | Self::Reservation(name) => name,
            Self::Interface { node, .. } => node,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller(name) => write!(formatter, "controller {name}"),
            Self::Interface { node, interface } => {
                write!(formatter, "interface {interface} of node {node}")
            }
            Self::Switch(name) => write!(formatter, "switch {name}"),
            Self::OtherDevice(name) => write!(formatter, "other device {name}"),
            Self::Reservation(name) => write!(
                formatter,
                "reservation {name}, about which nobody has decided yet; see perilune reservation show '{name}'"
            ),
        }
    }
}

/// An address that an object holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) address: std::net::IpAddr,
    pub(crate) network: Option<Name>,
    pub(crate) holder: Holder,
}

impl Object {
    /// The addresses that the object holds.
    pub(crate) fn held(&self) -> Vec<Held> {
        match self {
            Self::Controller(controller) => {
                let holder = Holder::Controller(controller.name.clone());
                controller.addresses.held(controller.network.as_ref(), &holder)
            }
            Self::Node(node) => node
                .interfaces
                .iter()
                .flat_map(|interface| {
                    let holder = Holder::Interface {
                        node: node.name.clone(),
                        interface: interface.name.clone(),
                    };
                    interface.addresses.held(interface.network.as_ref(), &holder)
                })
                .collect(),
            Self::Switch(switch) => {
                let holder = Holder::Switch(switch.name.clone());
                let own = switch.addresses.held(switch.network.as_ref(), &holder);
                let interfaces = switch.interfaces.iter().flat_map(|interface| {
                    interface.addresses.held(interface.network.as_ref(), &holder)
                });
                own.into_iter().chain(interfaces).collect()
            }
            Self::OtherDevice(device) => device
                .addresses
                .held(device.network.as_ref(), &Holder::OtherDevice(device.name.clone())),
            Self::Reservation(reservation) => {
                let holder = Holder::Reservation(reservation.name.clone());
                let held = reservation.addresses.iter();
                held.map(|address| Held {
                    address: *address,
                    network: None,
                    holder: holder.clone(),
                })
                .collect()
            }
            Self::Settings(_)
            | Self::Route(_)
            | Self::Network(_)
            | Self::Image(_)
            | Self::BmcSetup(_)
            | Self::Cloud(_)
            | Self::Group(_)
            | Self::DnsHosts(_)
            | Self::NodeSecrets(_)
            | Self::NodeIdentity(_)
            | Self::GroupSecrets(_)
            | Self::ClusterSecrets(_)
            | Self::Rack(_)
            | Self::Placement(_)
            | Self::ClaimRule(_)
            | Self::User(_)
            | Self::ApiToken(_) => Vec::new(),
        }
    }

    /// The hardware addresses of a node's interfaces, as far as they tell one port from another.
    pub(crate) fn hardware(&self) -> Vec<(MacAddress, Name)> {
        let Self::Node(node) = self else { return Vec::new() };
        node.interfaces
            .iter()
            .filter_map(|interface| {
                interface.macaddress.map(|mac| (mac.port(), interface.name.clone()))
            })
            .collect()
    }

    /// The hardware addresses of a switch or another device.
    pub(crate) fn device_hardware(&self) -> Vec<MacAddress> {
        let port = |text: &str| text.parse().ok().map(MacAddress::port);
        match self {
            Self::Switch(switch) => switch.hardware().filter_map(|(mac, ..)| port(mac)).collect(),
            Self::OtherDevice(device) => {
                device.macaddress.as_deref().and_then(port).into_iter().collect()
            }
            Self::Settings(_)
            | Self::Route(_)
            | Self::Network(_)
            | Self::Controller(_)
            | Self::Image(_)
            | Self::BmcSetup(_)
            | Self::Cloud(_)
            | Self::Group(_)
            | Self::Node(_)
            | Self::DnsHosts(_)
            | Self::NodeSecrets(_)
            | Self::NodeIdentity(_)
            | Self::GroupSecrets(_)
            | Self::ClusterSecrets(_)
            | Self::Rack(_)
            | Self::Placement(_)
            | Self::Reservation(_)
            | Self::ClaimRule(_)
            | Self::User(_)
            | Self::ApiToken(_) => Vec::new(),
        }
    }

    /// The hardware addresses that a reservation keeps from becoming a node's.
    pub(crate) fn reserved_hardware(&self) -> &[MacAddress] {
        if let Self::Reservation(reservation) = self { &reservation.macaddresses } else { &[] }
    }
}
