//! Tags: the files of an image under a name that keeps them.

use std::sync::Arc;

use super::pack::unused;
use super::{Image, Tag, tag_users};
use crate::group::Group;
use crate::node::Node;
use crate::provisioning::{Provisioning, TagChoice};
use crate::{Draft, Error, Name, Patch};

/// Makes a tag the active one, or none. A tag that the image does not have yet gets its files of now.
pub fn activate_tag(draft: &mut Draft, image: &str, tag: &Patch<Name>) -> Result<(), Error> {
    let mut image = Image::clone(draft.image(image)?);
    activate(&mut image, tag);
    draft.put(image)
}

pub(super) fn activate(image: &mut Image, tag: &Patch<Name>) {
    tag.apply(&mut image.tag);
    let Some(name) = tag.value() else { return };
    if image.tag_named(name.as_str()).is_some() {
        return;
    }
    image.tags.push(Tag::of(image, name.clone()));
    image.tags.sort_by(|one, other| one.name.cmp(&other.name));
}

/// Removes a tag, and every mention of it: who booted it boots the image's files of now. Answers the names of the files that
/// nothing uses any more.
pub fn remove_tag(draft: &mut Draft, image: &str, tag: &str) -> Result<Vec<String>, Error> {
    let mut changed = Image::clone(draft.image(image)?);
    let position = changed.tags.iter().position(|own| own.name == tag);
    let Some(position) = position else {
        return Err(Error::NotFound { kind: crate::Kind::Image, name: format!("{image}:{tag}") });
    };
    let removed = changed.tags.remove(position);
    changed.tag = changed.tag.filter(|active| *active != tag);
    let (nodes, groups) = tag_users(draft, image, tag);
    draft.put(changed)?;
    for node in nodes {
        let mut node = Arc::unwrap_or_clone(node);
        node.provisioning.osimagetag = without_tag(&node.provisioning);
        draft.put(node)?;
    }
    for group in groups {
        let mut group = Arc::unwrap_or_clone(group);
        // Without a word of its own it would have the tag of a group above.
        let choice = without_tag(&group.provisioning).filter(|_| group.parent.is_some());
        group.provisioning.osimagetag = choice;
        draft.put(group)?;
    }
    Ok(unused(draft, &removed.files))
}

/// What is said about the tag when the one that was named is none any more: not that of the group.
fn without_tag(settings: &Provisioning) -> Option<TagChoice> {
    if settings.osimage.is_some() { None } else { Some(TagChoice::Current) }
}

/// The nodes of a group that has another image now, and the groups below it: those that named a tag of the former one boot the files of
/// now.
pub(crate) fn leave_tags(draft: &mut Draft, group: &Name) -> Result<(), Error> {
    let names_tag = |own: &Provisioning| {
        own.osimage.is_none() && own.osimagetag.as_ref().is_some_and(|tag| tag.named().is_some())
    };
    let inherits = |child: &&Arc<Group>| child.provisioning.osimage.is_none();
    let children: Vec<Arc<Group>> =
        draft.children(group.as_str()).filter(inherits).map(Arc::clone).collect();
    for child in children {
        let name = child.name.clone();
        if names_tag(&child.provisioning) {
            let mut child = Arc::unwrap_or_clone(child);
            child.provisioning.osimagetag = Some(TagChoice::Current);
            draft.put(child)?;
        }
        leave_tags(draft, &name)?;
    }
    let names_tag = |node: &&Arc<Node>| names_tag(&node.provisioning);
    let nodes: Vec<Arc<Node>> =
        draft.members(group.as_str()).filter(names_tag).map(Arc::clone).collect();
    for node in nodes {
        let mut node = Arc::unwrap_or_clone(node);
        node.provisioning.osimagetag = Some(TagChoice::Current);
        draft.put(node)?;
    }
    Ok(())
}
