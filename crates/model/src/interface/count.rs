//! How many interfaces a node or a group may have.

use super::MOST_INTERFACES;
use crate::{Error, Object};

/// Refuses a device that would have too many. One that has, from before, can have fewer.
pub(crate) fn check(old: Option<&Object>, new: &Object) -> Result<(), Error> {
    let count = |object: &Object| {
        if let Object::Node(node) = object {
            node.interfaces.len()
        } else if let Object::Group(group) = object {
            group.interfaces.len()
        } else {
            0
        }
    };
    let (before, now) = (old.map_or(0, count), count(new));
    if now <= MOST_INTERFACES || now <= before {
        return Ok(());
    }
    let (kind, name) = (new.kind().word(), new.name());
    let reason = format!(
        "{kind} '{name}' would have more than {MOST_INTERFACES} interfaces, the most that there can be"
    );
    Err(Error::invalid("interfaces", reason))
}
