//! Racks and what stands in them.

use serde::{Deserialize, Serialize};

use crate::Name;

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

impl Placement {
    /// The key of a device's placement.
    pub fn key(device_type: DeviceType, device: &str) -> Name {
        Name::trusted(&format!("{}/{device}", device_type.word()))
    }
}
