//! Who uses an image, a tag, a file.

use std::sync::Arc;

use crate::effective::Effective;
use crate::group::Group;
use crate::node::Node;
use crate::provisioning::TagChoice;
use crate::{Cluster, Error, Name};

/// The nodes that boot from this image, in name order: those that name it, and those of its groups that name no other.
pub fn members(cluster: &Cluster, image: &str) -> Result<Vec<Name>, Error> {
    cluster.image(image)?;
    let uses = |node: &&Arc<Node>| {
        Effective::of_node(cluster, node).osimage().value.is_some_and(|name| *name == image)
    };
    Ok(cluster.nodes().values().filter(uses).map(|node| node.name.clone()).collect())
}

/// The nodes and the groups that name this tag of this image, be the image their own or their group's.
pub fn tag_users(cluster: &Cluster, image: &str, tag: &str) -> (Vec<Arc<Node>>, Vec<Arc<Group>>) {
    let names = |choice: &Option<TagChoice>| {
        choice.as_ref().and_then(TagChoice::named).is_some_and(|name| *name == tag)
    };
    let has =
        |effective: &Effective<'_>| effective.osimage().value.is_some_and(|name| *name == image);
    let nodes = cluster.nodes().values().filter(|node| {
        names(&node.provisioning.osimagetag) && has(&Effective::of_node(cluster, node))
    });
    let groups = cluster.groups().values().filter(|group| {
        names(&group.provisioning.osimagetag) && has(&Effective::of_group(cluster, group))
    });
    (nodes.map(Arc::clone).collect(), groups.map(Arc::clone).collect())
}

/// Whether an image or a tag has this file.
pub fn uses_file(cluster: &Cluster, file: &str) -> bool {
    cluster.images().values().any(|image| {
        let of_tags = image.tags.iter().flat_map(|tag| tag.files.names());
        image.files.names().chain(of_tags).any(|name| name == file)
    })
}
