//! Racks and what stands in them.

mod fit;
mod inventory;
mod save;

pub(crate) use fit::check_place;
pub use inventory::{Device, InventoryRequest, devices, remove_from_rack, save_inventory};
pub use save::{PlacementRequest, Request, save};
use serde::{Deserialize, Serialize};

use crate::label::Labels;
use crate::{Kind, Name};

/// A rack.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rack {
    /// The name.
    pub name: Name,
    /// Height units.
    pub size: Option<u32>,
    /// Whether units are counted from the top or from the bottom.
    pub order: Option<String>,
    /// The room.
    pub room: Option<String>,
    /// The site.
    pub site: Option<String>,
    /// What the site says of it.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// What can stand in a rack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceType {
    /// A node.
    Node,
    /// A switch.
    Switch,
    /// Another device.
    OtherDevices,
    /// A controller.
    Controller,
}

impl DeviceType {
    /// All of them, in the order in which racks list them.
    pub const ALL: [Self; 4] = [Self::Node, Self::Switch, Self::OtherDevices, Self::Controller];

    /// The type that the API knows by this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|device_type| device_type.word() == word)
    }

    /// The kind of the device.
    pub fn kind(self) -> Kind {
        match self {
            Self::Node => Kind::Node,
            Self::Switch => Kind::Switch,
            Self::OtherDevices => Kind::OtherDevice,
            Self::Controller => Kind::Controller,
        }
    }

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Switch => "switch",
            Self::OtherDevices => "otherdevices",
            Self::Controller => "controller",
        }
    }
}

/// Where a device stands, and how large it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The key: type and name of the device, as [`Placement::key`] makes it.
    pub name: Name,
    /// What the device is.
    pub device_type: DeviceType,
    /// Its name.
    pub device: Name,
    /// The rack it stands in.
    pub rack: Option<Name>,
    /// The unit that it begins at.
    pub position: Option<u32>,
    /// Height units.
    pub height: u32,
    /// `front` or `back`.
    pub orientation: String,
}

/// Height units of a rack of which nobody said the size.
pub const USUAL_SIZE: u32 = 42;
/// The order of a rack of which nobody said one.
pub const USUAL_ORDER: &str = "ascending";

impl Placement {
    /// Where a device that nobody placed is: in no rack.
    pub fn nowhere(device_type: DeviceType, device: &Name) -> Self {
        Self {
            name: Self::key(device_type, device.as_str()),
            device_type,
            device: device.clone(),
            rack: None,
            position: None,
            height: 1,
            orientation: "front".to_owned(),
        }
    }

    /// The key of a device's placement.
    pub fn key(device_type: DeviceType, device: &str) -> Name {
        Name::trusted(&format!("{}/{device}", device_type.word()))
    }
}
