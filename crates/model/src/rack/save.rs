//! Racks, and putting devices into them.

use crate::rack::fit::{check_place, check_rack};
use crate::rack::{Placement, Rack, USUAL_ORDER, USUAL_SIZE, inventory};
use crate::{Draft, Error, Kind, Name, Patch, Saved, label};

use super::DeviceType;

/// What a client asks of a rack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The new name.
    pub new_name: Option<Name>,
    /// Height units.
    pub size: Patch<u32>,
    /// `ascending` or `descending`.
    pub order: Patch<String>,
    /// The room.
    pub room: Patch<String>,
    /// The site.
    pub site: Patch<String>,
    /// Labels; those that are not named stay.
    pub labels: label::Request,
    /// Devices to put into it; those that are not named stay.
    pub devices: Vec<PlacementRequest>,
}

/// What a client asks of a device's place in a rack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlacementRequest {
    /// The device.
    pub device: Name,
    /// What it is; without it, the first device of this name that stands somewhere is meant.
    pub device_type: Option<DeviceType>,
    /// The lowest unit that it takes.
    pub position: Patch<u32>,
    /// Height units.
    pub height: Patch<u32>,
    /// `front` or `back`.
    pub orientation: Patch<String>,
}

/// Changes a rack; makes it where there is none of this name.
pub fn save(draft: &mut Draft, name: &Name, request: &Request) -> Result<Saved, Error> {
    let known = draft.racks().get(name).map(|rack| Rack::clone(rack));
    let saved = Saved::foreseen(known.is_some(), request.new_name.is_some())
        .ok_or_else(|| Error::NotFound { kind: Kind::Rack, name: name.to_string() })?;
    let mut rack = known.unwrap_or_else(|| Rack {
        size: Some(USUAL_SIZE),
        order: Some(USUAL_ORDER.to_owned()),
        ..Rack::default()
    });
    let former_size = rack.size;
    request.size.apply(&mut rack.size);
    if rack.size == Some(0) {
        return Err(Error::invalid("size", "a rack has at least one unit"));
    }
    request.order.apply(&mut rack.order);
    request.room.apply(&mut rack.room);
    request.site.apply(&mut rack.site);
    rack.labels.apply(&request.labels).map_err(|violation| Error::Invalid(vec![violation]))?;
    let has_another_size = rack.size != former_size;
    rack.name = request.new_name.as_ref().unwrap_or(name).clone();
    let rack_name = rack.name.clone();
    draft.rename(rack, name.as_str())?;
    let mut placed = Vec::new();
    for device in &request.devices {
        placed.push(place(draft, &rack_name, device)?);
    }
    // When all of them stand: devices may exchange their places in one request.
    for placement in &placed {
        check_place(draft, placement)?;
    }
    if has_another_size {
        check_rack(draft, &rack_name)?;
    }
    Ok(saved)
}

fn place(draft: &mut Draft, rack: &Name, request: &PlacementRequest) -> Result<Placement, Error> {
    let mut placement: Placement =
        inventory::find(draft, request.device_type, request.device.as_str())?;
    placement.rack = Some(rack.clone());
    request.position.apply(&mut placement.position);
    request.height.apply_or(&mut placement.height, 1);
    request.orientation.apply_or(&mut placement.orientation, "front".to_owned());
    inventory::check_height(&placement)?;
    draft.put(placement.clone())?;
    Ok(placement)
}
