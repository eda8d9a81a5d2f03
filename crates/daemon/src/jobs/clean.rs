//! Removing what images no longer need.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use perilune_model::{Cluster, image};

use super::blocking::blocking;
use super::context::Context;
use super::error::{Error, Failed};
use super::trees::Task;
use super::{site, tree};

pub(super) async fn remove_files(context: &Context, files: &[String]) -> Result<(), Failed> {
    let (directory, files) = (context.shared.places.files.clone(), files.to_owned());
    let cluster = context.shared.cluster.published();
    for file in &files {
        // What it leaves is gone all the same, its torrent among it.
        site::clean(context, &directory, file, &cluster)
            .await
            .map_err(|error| error.while_doing("cleaning up files"))?;
    }
    let removed =
        blocking(move || files.iter().try_for_each(|file| remove_file(&directory, file, &cluster)));
    removed
        .await
        .and_then(std::convert::identity)
        .map_err(|error| error.while_doing("cleaning up files"))
}

/// Whether it is a file of this directory that no image and no tag has.
pub(super) fn may_be_removed(name: &str, cluster: &Cluster) -> bool {
    let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
    is_plain && !image::uses_file(cluster, name)
}

/// Removes a file unless an image or a tag has it. Names come from clients: nothing but a file of this directory is touched.
pub(crate) fn remove_file(directory: &Path, name: &str, cluster: &Cluster) -> Result<(), Error> {
    if !may_be_removed(name, cluster) {
        return Ok(());
    }
    for file in [name.to_owned(), format!("{name}.torrent")] {
        let path = directory.join(file);
        match fs::remove_file(&path) {
            Ok(()) => {
                tracing::info!(file = %path.display(), "file removed that nodes no longer boot from");
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::files("remove", &path, error)),
        }
    }
    Ok(())
}

pub(super) async fn remove_tree(context: &Context, place: &Path) -> Result<(), Failed> {
    let places = context.shared.places.clone();
    let cluster = context.shared.cluster.published();
    let (place, request): (PathBuf, String) = (place.to_owned(), context.job.request.clone());
    let failed = |error: Error| error.while_doing("removing a tree");
    let looked_at = place.clone();
    // An image may have been made there since.
    let look =
        move || tree::obstacle(&cluster, (&places.files, &places.images), (None, &looked_at));
    if let Some(reason) = blocking(look).await.map_err(failed)? {
        tracing::warn!(tree = %place.display(), reason, "a tree was not removed");
        return Ok(());
    }
    let task = Task::Remove { tree: place, request };
    context.shared.places.trees.at_once(task).await.map(drop).map_err(failed)
}
