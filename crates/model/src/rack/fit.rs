//! Whether what stands in a rack has its place there.

use super::{Placement, USUAL_SIZE};
use crate::{Cluster, Error, Name};

/// Refuses a place outside of the rack's units, and one that another device takes on the same side. What stands in a rack without a
/// position is somewhere in it, and what has no height takes no unit.
pub(crate) fn check_place(cluster: &Cluster, placement: &Placement) -> Result<(), Error> {
    let (Some(rack), Some(first)) = (&placement.rack, placement.position) else { return Ok(()) };
    let size = cluster.rack(rack.as_str())?.size.unwrap_or(USUAL_SIZE);
    let device = &placement.device;
    let refused = |reason: String| Err(Error::invalid("position", reason));
    if first == 0 {
        return refused(format!("'{device}' stands at unit 0; units are counted from 1"));
    }
    let last = last_unit(first, placement.height);
    if last > size {
        return refused(format!(
            "'{device}' would take unit {last} of rack '{rack}', which has {size}"
        ));
    }
    let is_in_the_way = |other: &&Placement| {
        let is_beside = other.orientation == placement.orientation && other.name != placement.name;
        let overlaps =
            |of_other: u32| of_other <= last && first <= last_unit(of_other, other.height);
        is_beside && other.height > 0 && other.position.is_some_and(overlaps)
    };
    let mut others = cluster.standing_in(rack.as_str()).map(|other| &**other);
    match others.find(is_in_the_way).filter(|_| placement.height > 0) {
        None => Ok(()),
        Some(other) => {
            let from = other.position.unwrap_or_default();
            let to = last_unit(from, other.height);
            let units =
                if from == to { format!("unit {from}") } else { format!("units {from} to {to}") };
            refused(format!(
                "'{device}' would stand where '{}' does, {units} of rack '{rack}' ({})",
                other.device, other.orientation
            ))
        }
    }
}

/// The same for everything that stands in a rack.
pub(super) fn check_rack(cluster: &Cluster, rack: &Name) -> Result<(), Error> {
    let mut inside = cluster.standing_in(rack.as_str());
    inside.try_for_each(|placement| check_place(cluster, placement))
}

fn last_unit(first: u32, height: u32) -> u32 {
    first.saturating_add(height.max(1) - 1)
}
