//! One object of a cluster, of whatever kind: how it is stored, and what it holds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bmc_setup::BmcSetup;
use crate::controller::Controller;
use crate::device::{Cloud, OtherDevice, Switch};
use crate::discovery::ClaimRule;
use crate::dns::DnsHosts;
use crate::group::Group;
use crate::holder::{Held, Holder};
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
use crate::{Kind, MacAddress, Name};

macro_rules! objects {
    ($($variant:ident($type:ty);)*) => {
        /// One object of the cluster, shared and immutable.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "they are those of `Kind`")]
        pub enum Object { $($variant(Arc<$type>),)* }

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
    Settings(Settings);
    Route(Route);
    Network(Network);
    Controller(Controller);
    Image(Image);
    BmcSetup(BmcSetup);
    Switch(Switch);
    OtherDevice(OtherDevice);
    Cloud(Cloud);
    Group(Group);
    Node(Node);
    DnsHosts(DnsHosts);
    NodeSecrets(NodeSecrets);
    NodeIdentity(NodeIdentity);
    GroupSecrets(GroupSecrets);
    ClusterSecrets(ClusterSecrets);
    Rack(Rack);
    Placement(Placement);
    Reservation(Reservation);
    ClaimRule(ClaimRule);
    User(User);
    ApiToken(ApiToken);
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

impl Object {
    /// The addresses that the object holds.
    pub(crate) fn held(&self) -> Vec<Held> {
        match self {
            Self::Controller(controller) => {
                let holder = Holder::Controller(controller.name.clone());
                Held::all(controller.addresses, controller.network.as_ref(), &holder)
            }
            Self::Node(node) => node
                .interfaces
                .iter()
                .flat_map(|interface| {
                    let holder = Holder::Interface {
                        node: node.name.clone(),
                        interface: interface.name.clone(),
                    };
                    Held::all(interface.addresses, interface.network.as_ref(), &holder)
                })
                .collect(),
            Self::Switch(switch) => {
                let holder = Holder::Switch(switch.name.clone());
                let own = Held::all(switch.addresses, switch.network.as_ref(), &holder);
                let interfaces = switch.interfaces.iter().flat_map(|interface| {
                    Held::all(interface.addresses, interface.network.as_ref(), &holder)
                });
                own.into_iter().chain(interfaces).collect()
            }
            Self::OtherDevice(device) => {
                let holder = Holder::OtherDevice(device.name.clone());
                Held::all(device.addresses, device.network.as_ref(), &holder)
            }
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
