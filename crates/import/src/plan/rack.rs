//! Racks and what stands in them.

use perilune_model::Name;
use perilune_model::rack::{DeviceType, Placement, Rack};

use super::planner::Planner;
use crate::cell::shown;
use crate::reading::Reading;

/// The type of devices by the table that they are in.
const TYPES: [(&str, DeviceType); 4] = [
    ("node", DeviceType::Node),
    ("switch", DeviceType::Switch),
    ("otherdevices", DeviceType::OtherDevices),
    ("controller", DeviceType::Controller),
];
/// Height units of what says nothing else.
const HEIGHT: u32 = 1;

impl Planner<'_> {
    pub(super) fn racks(&mut self) {
        for row in self.source.rows("rack") {
            let mut reading = Reading::new("rack", row, &mut self.report);
            let Some(name) = reading.own_name("name", Name::general) else {
                self.names.refused("rack", row.id);
                continue;
            };
            let rack = Rack {
                name,
                size: reading.number("size"),
                order: reading.word("order", |word| {
                    ["ascending", "descending"].contains(&word).then(|| word.to_owned())
                }),
                room: reading.text("room"),
                site: reading.text("site"),
                labels: reading.labels(),
            };
            self.take("rack", row, rack);
        }
        self.placements();
    }

    fn placements(&mut self) {
        for row in self.source.rows("rackinventory") {
            let mut reading = Reading::new("rackinventory", row, &mut self.report);
            let word = reading.text("tableref").unwrap_or_default();
            let word = if word == "otherdev" { "otherdevices" } else { word.as_str() };
            let Some((table, device_type)) = TYPES.into_iter().find(|(table, _)| *table == word)
            else {
                reading.refuse("tableref", format!("'{}' is not a table of devices", shown(word)));
                continue;
            };
            let Some(device) = reading.owner(&self.names, table, "tablerefid") else { continue };
            reading.name = Some(device.to_string());
            let rack = reading.reference(&self.names, "rack", "rackid");
            let orientation = reading.word("orientation", |word| {
                ["front", "back"].contains(&word).then(|| word.to_owned())
            });
            let placement = Placement {
                name: Placement::key(device_type, device.as_str()),
                device_type,
                device,
                position: rack.as_ref().and_then(|_| reading.number("position")),
                rack,
                height: reading.number("height").unwrap_or(HEIGHT),
                orientation: orientation.unwrap_or_else(|| "front".to_owned()),
            };
            self.take("rackinventory", row, placement);
        }
    }
}
