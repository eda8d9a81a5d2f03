//! Which files and trees are here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::SystemTime;

use perilune_model::Cluster;
use perilune_model::image::ImageFiles;

use super::Kept;

/// What was found out about files, by name: nobody reads a large file twice. A file is another when its size or its time is.
#[derive(Debug, Default)]
pub(crate) struct Looked(BTreeMap<String, (u64, Option<SystemTime>, Kept)>);

/// What is known of a file beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) size: Option<u64>,
    pub(crate) checksum: Option<String>,
}

/// The files that nodes may fetch, each with what is known of it.
pub(crate) fn wanted(cluster: &Cluster) -> BTreeMap<String, Wanted> {
    let mut wanted = BTreeMap::new();
    for image in cluster.images().values() {
        let tags = image.tags.iter().map(|tag| &tag.files);
        for files in tags.chain([&image.files]) {
            let ImageFiles { imagefile, checksum, size, .. } = files;
            for name in files.names().filter(|name| is_plain(name)) {
                let is_archive = imagefile.as_deref() == Some(name);
                let known = Wanted { size: *size, checksum: checksum.clone() };
                wanted.insert(name.to_owned(), if is_archive { known } else { Wanted::default() });
            }
        }
    }
    wanted
}

/// A name of the directory of files, and none that leads out of it.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

/// Those of them that are here, whole.
pub(crate) fn files(
    directory: &Path,
    wanted: &BTreeMap<String, Wanted>,
    looked: &mut Looked,
) -> BTreeMap<String, Kept> {
    let mut found = BTreeMap::new();
    for (name, known) in wanted {
        let path = directory.join(name);
        let Some(metadata) = path.metadata().ok().filter(std::fs::Metadata::is_file) else {
            continue;
        };
        let (size, changed) = (metadata.len(), metadata.modified().ok());
        if known.size.is_some_and(|known| known != size) {
            continue;
        }
        let before = looked.0.get(name).filter(|(len, time, _)| (*len, *time) == (size, changed));
        let kept = match (before, &known.checksum) {
            // Who packed it summed it up, and who fetched it as well: it is not read again for that.
            (_, Some(checksum)) => Kept { size, checksum: checksum.clone() },
            (Some((_, _, kept)), None) => kept.clone(),
            (None, None) => match hashed(&path) {
                Ok(kept) => kept,
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "a file of an image cannot be read");
                    continue;
                }
            },
        };
        looked.0.insert(name.clone(), (size, changed, kept.clone()));
        found.insert(name.clone(), kept);
    }
    looked.0.retain(|name, _| wanted.contains_key(name));
    found
}

/// Reads a file to its end.
pub(crate) fn hashed(path: &Path) -> Result<Kept, perilune_image::Error> {
    let (checksum, size) = perilune_image::file_sum(path)?;
    Ok(Kept { size, checksum })
}

/// The images whose trees are here. An empty directory is none.
pub(crate) fn trees(cluster: &Cluster, directory: &Path) -> BTreeSet<perilune_model::Name> {
    let images = cluster.images().values();
    let here = images.filter(|image| {
        let entries = std::fs::read_dir(image.tree(directory));
        entries.is_ok_and(|mut entries| entries.next().is_some())
    });
    here.map(|image| image.name.clone()).collect()
}

impl Wanted {
    /// Whether a file that a controller has is the one that is wanted.
    pub(crate) fn is(&self, kept: &Kept) -> bool {
        self.size.is_none_or(|size| size == kept.size)
            && self.checksum.as_ref().is_none_or(|checksum| *checksum == kept.checksum)
    }
}
