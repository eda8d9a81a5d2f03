//! Tags: the files of an image under a name that keeps them.

use std::sync::Arc;

use super::pack::unused;
use super::{Image, Tag, tag_users};
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
    let (files, kerneloptions) = (image.files.clone(), image.kerneloptions.clone());
    image.tags.push(Tag { name: name.clone(), files, kerneloptions });
    image.tags.sort_by(|one, other| one.name.cmp(&other.name));
}

/// Removes a tag, and every mention of it. Answers the names of the files that nothing uses any more.
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
        node.provisioning.osimagetag = None;
        draft.put(node)?;
    }
    for group in groups {
        let mut group = Arc::unwrap_or_clone(group);
        group.provisioning.osimagetag = None;
        draft.put(group)?;
    }
    Ok(unused(draft, &removed.files))
}
