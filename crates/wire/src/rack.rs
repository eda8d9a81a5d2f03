//! Racks and what stands in them, as clients read and ask for them.

use perilune_model::rack::{
    Device, DeviceType, InventoryRequest, PlacementRequest, Rack, Request, USUAL_ORDER, USUAL_SIZE,
};
use perilune_model::{Name, Patch};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;
use crate::label;

/// A rack and what stands in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct RackKeys<'a> {
    size: u32,
    order: &'a str,
    room: Option<&'a str>,
    site: Option<&'a str>,
    name: &'a str,
    /// `key=value`, separated by commas; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<String>,
    devices: Vec<PlacedKeys<'a>>,
}

/// A device in a rack.
#[derive(Debug, Serialize, ToSchema)]
struct PlacedKeys<'a> {
    #[serde(flatten)]
    device: DeviceKeys<'a>,
    position: Option<u32>,
}

/// A device that can stand in a rack.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceKeys<'a> {
    name: &'a str,
    r#type: &'static str,
    vendor: Option<&'a str>,
    orientation: &'a str,
    height: u32,
}

impl<'a> RackKeys<'a> {
    /// The rack, with those of all `devices` that stand in it.
    pub fn new(rack: &'a Rack, devices: &'a [Device<'a>]) -> Self {
        let in_rack =
            devices.iter().filter(|device| device.placement.rack.as_ref() == Some(&rack.name));
        Self {
            size: rack.size.unwrap_or(USUAL_SIZE),
            order: rack.order.as_deref().unwrap_or(USUAL_ORDER),
            room: rack.room.as_deref(),
            site: rack.site.as_deref(),
            name: rack.name.as_str(),
            labels: label::shown(&rack.labels),
            devices: in_rack
                .map(|device| PlacedKeys {
                    device: DeviceKeys::new(device),
                    position: device.placement.position,
                })
                .collect(),
        }
    }
}

impl<'a> DeviceKeys<'a> {
    /// The device.
    pub fn new(device: &'a Device<'a>) -> Self {
        let placement = &device.placement;
        Self {
            name: placement.device.as_str(),
            r#type: placement.device_type.word(),
            vendor: device.vendor,
            orientation: &placement.orientation,
            height: placement.height,
        }
    }
}

/// The request of a rack.
pub fn request(fields: &mut Fields<'_>) -> Request {
    fields.ignore(&["name"]);
    Request {
        new_name: fields.new_name("newrackname", Name::general),
        size: fields.help("Height units (42)").number("size"),
        order: word(fields.help("ascending or descending"), "order", &["ascending", "descending"]),
        room: fields.help("The room").text("room"),
        site: fields.help("The site").text("site"),
        labels: label::request(fields),
        devices: fields.objects("devices", placement).unwrap_or_default(),
    }
}

fn placement(fields: &mut Fields<'_>) -> PlacementRequest {
    fields.ignore(&["vendor"]);
    PlacementRequest {
        device: device(fields),
        device_type: device_type(fields),
        position: fields.number("position"),
        height: fields.number("height"),
        orientation: word(fields, "orientation", &["front", "back"]),
    }
}

/// One entry of an inventory request.
pub fn inventory_request(fields: &mut Fields<'_>) -> InventoryRequest {
    fields.ignore(&["vendor"]);
    InventoryRequest {
        device: device(fields),
        device_type: device_type(fields),
        height: fields.number("height"),
        orientation: word(fields, "orientation", &["front", "back"]),
    }
}

fn device(fields: &mut Fields<'_>) -> Name {
    fields.require("name", "say which device this is about");
    fields.new_name("name", Name::host).unwrap_or_default()
}

fn device_type(fields: &mut Fields<'_>) -> Option<DeviceType> {
    let read = |text: &str| {
        DeviceType::from_word(text).ok_or_else(|| {
            format!("'{text}' must be 'node', 'switch', 'otherdevices' or 'controller'")
        })
    };
    fields
        .words(&["node", "switch", "otherdevices", "controller"])
        .converted("type", read)
        .value()
        .copied()
}

fn word(fields: &mut Fields<'_>, field: &str, words: &'static [&'static str]) -> Patch<String> {
    fields.words(words).converted(field, |text| {
        if words.contains(&text) {
            Ok(text.to_owned())
        } else {
            Err(format!("'{text}' must be '{}'", words.join("' or '")))
        }
    })
}
