//! Groups that inherit from other groups.

use std::sync::Arc;

use crate::group::Group;
use crate::label::Labels;
use crate::object::Object;
use crate::{Cluster, Error, Name};

/// As many groups stand above one at most: whoever looks for a value looks at all of them.
pub const MOST_ANCESTORS: usize = 8;

impl Cluster {
    /// A group and those above it, the nearest first.
    pub fn lineage<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Group> + Clone {
        let above = |group: &&'a Group| {
            let parent = group.parent.as_ref()?;
            self.groups().get(parent).map(|parent| &**parent)
        };
        // Bounded as well where a cluster that is being changed has a loop.
        std::iter::successors(Some(group), above).take(MOST_ANCESTORS + 1)
    }

    /// The group of this name and those above it; none where there is no such group.
    pub fn lineage_of<'a>(&'a self, group: &Name) -> impl Iterator<Item = &'a Group> + Clone {
        let group = self.groups().get(group).map(|group| &**group);
        group.into_iter().flat_map(|group| self.lineage(group))
    }

    /// The groups whose parent this is.
    pub fn children<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Arc<Group>> {
        let is_child = move |other: &&Arc<Group>| {
            other.parent.as_ref().is_some_and(|parent| *parent == *group)
        };
        self.groups().values().filter(is_child)
    }

    /// The labels of a group, with those of the groups above it for which it has no value of its own.
    pub fn labels_of(&self, group: &Group) -> Labels {
        self.lineage(group).fold(Labels::default(), |labels, group| labels.or(&group.labels))
    }
}

/// Refuses a group that would be above itself, or have too many above it, or above those below it.
pub(crate) fn check(cluster: &Cluster, object: &Object) -> Result<(), Error> {
    let Object::Group(group) = object else { return Ok(()) };
    if group.parent.is_none() {
        return Ok(());
    }
    let mut above = 0;
    let mut next = group.parent.as_ref();
    while let Some(parent) = next {
        above += 1;
        if *parent == group.name {
            return Err(Error::invalid(
                "parent",
                format!("the group '{}' would be its own ancestor", group.name),
            ));
        }
        if above > MOST_ANCESTORS {
            break;
        }
        next = cluster.groups().get(parent).and_then(|parent| parent.parent.as_ref());
    }
    let levels = above + depth_below(cluster, group.name.as_str(), 0);
    if levels > MOST_ANCESTORS {
        let reason =
            format!("there would be more than {MOST_ANCESTORS} groups above one; use fewer levels");
        return Err(Error::invalid("parent", reason));
    }
    Ok(())
}

/// How many levels of groups are below one.
fn depth_below(cluster: &Cluster, group: &str, level: usize) -> usize {
    if level > MOST_ANCESTORS {
        return level;
    }
    let children = cluster.children(group);
    let deepest = children.map(|child| depth_below(cluster, child.name.as_str(), level + 1)).max();
    deepest.unwrap_or(level)
}
