//! What can stand in a rack, whether or not it does.

use crate::rack::{DeviceType, Placement, check_place};
use crate::{Cluster, Draft, Error, Name, Patch};

/// What a client asks of a device's entry in the inventory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InventoryRequest {
    /// The device.
    pub device: Name,
    /// What it is; without it, the first device of this name that stands somewhere is meant.
    pub device_type: Option<DeviceType>,
    /// Height units.
    pub height: Patch<u32>,
    /// `front` or `back`.
    pub orientation: Patch<String>,
}

/// A device and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Device<'a> {
    /// Who made it.
    pub vendor: Option<&'a str>,
    /// Its place.
    pub placement: Placement,
}

/// Every device that can stand in a rack: nodes, switches, other devices, controllers.
pub fn devices(cluster: &Cluster) -> Vec<Device<'_>> {
    let nodes = cluster.nodes().values();
    let nodes = nodes.map(|node| (DeviceType::Node, &node.name, node.vendor.as_deref()));
    let switches = cluster.switches().values();
    let switches =
        switches.map(|switch| (DeviceType::Switch, &switch.name, switch.vendor.as_deref()));
    let others = cluster.other_devices().values();
    let others =
        others.map(|device| (DeviceType::OtherDevices, &device.name, device.vendor.as_deref()));
    let controllers = cluster.controllers().values();
    let controllers = controllers
        .map(|controller| (DeviceType::Controller, &controller.name, controller.vendor.as_deref()));
    let all = nodes.chain(switches).chain(others).chain(controllers);
    all.map(|(device_type, name, vendor)| {
        let key = Placement::key(device_type, name.as_str());
        let known = cluster.placements().get(&key).map(|known| Placement::clone(known));
        let placement = known.unwrap_or_else(|| Placement::nowhere(device_type, name));
        Device { vendor, placement }
    })
    .collect()
}

/// Says how large devices are and which way they face.
pub fn save_inventory(draft: &mut Draft, requests: &[InventoryRequest]) -> Result<(), Error> {
    for request in requests {
        let mut placement = find(draft, request.device_type, request.device.as_str())?;
        request.height.apply_or(&mut placement.height, 1);
        request.orientation.apply_or(&mut placement.orientation, "front".to_owned());
        check_height(&placement)?;
        draft.put(placement.clone())?;
        check_place(draft, &placement)?;
    }
    Ok(())
}

/// Takes a device out of its rack; its height and its orientation are kept.
pub fn remove_from_rack(
    draft: &mut Draft,
    device_type: DeviceType,
    device: &str,
) -> Result<(), Error> {
    let key = Placement::key(device_type, device);
    let mut placement = Placement::clone(draft.placement(key.as_str())?);
    placement.rack = None;
    placement.position = None;
    draft.put(placement)
}

/// The place of a device, or what it is before somebody says it.
pub(super) fn find(
    cluster: &Cluster,
    device_type: Option<DeviceType>,
    device: &str,
) -> Result<Placement, Error> {
    let types: Vec<_> = device_type.map_or(DeviceType::ALL.to_vec(), |only| vec![only]);
    let known = types
        .iter()
        .find_map(|device_type| cluster.placements().get(&Placement::key(*device_type, device)));
    if let Some(known) = known {
        return Ok(Placement::clone(known));
    }
    let Some(device_type) = device_type else {
        let reason = format!(
            "'{device}' was never placed; say what it is: node, switch, otherdevices or controller"
        );
        return Err(Error::invalid("type", reason));
    };
    let kind = device_type.kind();
    let object = cluster.object(kind, device);
    let object = object.ok_or_else(|| Error::NotFound { kind, name: device.to_owned() })?;
    Ok(Placement::nowhere(device_type, object.name()))
}

/// Only what is not a computer may take no unit, such as a power strip at the side.
pub(super) fn check_height(placement: &Placement) -> Result<(), Error> {
    if placement.height == 0 && placement.device_type != DeviceType::OtherDevices {
        let reason = format!(
            "'{}' is a {} and takes at least one unit; only other devices may take none",
            placement.device,
            placement.device_type.kind()
        );
        return Err(Error::invalid("height", reason));
    }
    Ok(())
}
