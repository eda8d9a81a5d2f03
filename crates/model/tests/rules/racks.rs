//! What stands where in a rack.

use perilune_model::rack::{self, DeviceType, InventoryRequest, PlacementRequest};
use perilune_model::{Cluster, Draft, Error, Patch, node};

use crate::site::{change, cluster, name, refused};

/// Four nodes and the rack `r1` of ten units.
fn site() -> Cluster {
    change(&cluster(), |draft| {
        for number in 1..=4 {
            let request =
                node::Request { group: Some(name("compute")), ..node::Request::default() };
            node::save(draft, &name(&format!("n{number}")), &request)?;
        }
        save(draft, &rack::Request { size: Patch::Set(10), ..rack::Request::default() })
    })
}

fn save(draft: &mut Draft, request: &rack::Request) -> Result<(), Error> {
    rack::save(draft, &name("r1"), request).map(drop)
}

/// A device with its unit, its height and its side.
fn at((device, position, height, side): (&str, u32, u32, &str)) -> PlacementRequest {
    PlacementRequest {
        device: name(device),
        device_type: Some(DeviceType::Node),
        position: Patch::Set(position),
        height: Patch::Set(height),
        orientation: Patch::Set(side.to_owned()),
    }
}

fn place(draft: &mut Draft, devices: &[(&str, u32, u32, &str)]) -> Result<(), Error> {
    let devices = devices.iter().map(|device| at(*device)).collect();
    save(draft, &rack::Request { devices, ..rack::Request::default() })
}

#[test]
fn a_unit_has_one_device_on_each_side_and_all_of_them_are_within_the_rack() {
    let site =
        change(&site(), |draft| place(draft, &[("n1", 1, 2, "front"), ("n2", 3, 1, "front")]));
    for (device, reason) in [
        (("n3", 0, 1, "front"), "units are counted from 1"),
        (("n3", 11, 1, "front"), "unit 11 of rack 'r1', which has 10"),
        (("n3", 10, 2, "front"), "unit 11 of rack 'r1', which has 10"),
        (("n3", u32::MAX, u32::MAX, "back"), "which has 10"),
        (("n3", 2, 1, "front"), "where 'n1' does, units 1 to 2 of rack 'r1' (front)"),
        (("n3", 3, 4, "front"), "where 'n2' does, unit 3"),
        (("n2", 1, 1, "front"), "where 'n1' does"),
    ] {
        let error = refused(&site, |draft| place(draft, &[device]));
        assert!(error.to_string().contains(reason), "{device:?}: {error}");
    }
    change(&site, |draft| place(draft, &[("n3", 2, 9, "back"), ("n4", 10, 1, "front")]));
    let taller = |draft: &mut Draft| {
        let request = InventoryRequest {
            device: name("n1"),
            height: Patch::Set(3),
            ..InventoryRequest::default()
        };
        rack::save_inventory(draft, &[request])
    };
    assert!(refused(&site, taller).to_string().contains("where 'n2' does"));
    let lower = |size| rack::Request { size: Patch::Set(size), ..rack::Request::default() };
    assert!(refused(&site, |draft| save(draft, &lower(2))).to_string().contains("which has 2"));
    change(&site, |draft| save(draft, &lower(3)));
}

#[test]
fn devices_exchange_their_places_in_one_request() {
    let site =
        change(&site(), |draft| place(draft, &[("n1", 1, 1, "front"), ("n2", 2, 1, "front")]));
    let swapped =
        change(&site, |draft| place(draft, &[("n1", 2, 1, "front"), ("n2", 1, 1, "front")]));
    let key = rack::Placement::key(DeviceType::Node, "n1");
    assert_eq!(swapped.placements()[&key].position, Some(2));
    refused(&site, |draft| place(draft, &[("n3", 5, 1, "front"), ("n4", 5, 1, "front")]));
}

#[test]
fn what_overlapped_before_is_left_until_it_is_touched() {
    let site = change(&site(), |draft| {
        for node in ["n1", "n2"] {
            let nowhere = rack::Placement::nowhere(DeviceType::Node, &name(node));
            draft.put(rack::Placement { rack: Some(name("r1")), position: Some(4), ..nowhere })?;
        }
        Ok(())
    });
    change(&site, |draft| place(draft, &[("n3", 5, 1, "front")]));
    let room = rack::Request { room: Patch::Set("a".to_owned()), ..rack::Request::default() };
    change(&site, |draft| save(draft, &room));
    refused(&site, |draft| place(draft, &[("n2", 4, 1, "front")]));
    change(&site, |draft| place(draft, &[("n2", 6, 1, "front")]));
}
