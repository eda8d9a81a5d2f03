//! Taking what packing made into service.

use std::sync::Arc;

use crate::image::{Image, ImageFiles};
use crate::{Draft, Error};

/// Has nodes boot from these files from now on. What was not made stays as it is. Answers the names of the files of before that
/// neither this image nor another uses any more.
pub fn packed(draft: &mut Draft, name: &str, made: &ImageFiles) -> Result<Vec<String>, Error> {
    let mut image = Image::clone(draft.image(name)?);
    let former = image.files.clone();
    if made.kernelfile.is_some() {
        image.files.kernelfile.clone_from(&made.kernelfile);
        image.files.initrdfile.clone_from(&made.initrdfile);
        image.files.kernelversion.clone_from(&made.kernelversion);
    }
    if made.imagefile.is_some() {
        image.files.imagefile.clone_from(&made.imagefile);
        image.files.checksum.clone_from(&made.checksum);
        image.files.size = made.size;
        image.files.unpacked_size = made.unpacked_size;
    }
    draft.put(image)?;
    Ok(unused(draft, &former))
}

/// Those of the files that no image and no tag uses.
pub(super) fn unused(draft: &Draft, files: &ImageFiles) -> Vec<String> {
    files.names().filter(|file| !super::uses_file(draft, file)).map(str::to_owned).collect()
}

/// The names of all files of an image and of its tags.
pub(super) fn all_files(image: &Arc<Image>) -> Vec<String> {
    let of_tags = image.tags.iter().flat_map(|tag| tag.files.names());
    let mut names: Vec<String> = image.files.names().chain(of_tags).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}
