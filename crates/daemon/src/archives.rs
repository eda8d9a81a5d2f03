//! Archives of images, which can hold what no user of this machine is to see. Where the configuration names a group, that and the daemon
//! alone may read them, those too that were packed before.

use std::fs::File;
use std::sync::Arc;

use perilune_image::Readers;
use perilune_model::Cluster;

use crate::jobs::Places;

/// Has nobody else read the archives that there are. What cannot be done is told, and keeps nobody from booting.
pub(crate) fn hide(places: &Places, cluster: Arc<Cluster>) {
    let (files, readers) = (places.files.clone(), places.readers);
    if readers == Readers::Everybody {
        return;
    }
    // There may be many, on a slow disk.
    tokio::task::spawn_blocking(move || {
        let images = cluster.images().values();
        let archives = images.flat_map(|image| {
            let tags = image.tags.iter().map(|tag| &tag.files);
            tags.chain([&image.files]).filter_map(|files| files.imagefile.as_deref())
        });
        for archive in archives.filter(|archive| !archive.is_empty()) {
            let hidden = File::open(files.join(archive)).and_then(|file| readers.admit(&file));
            match hidden {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(archive, %error, "every user of this machine may be able to read an archive");
                }
                _ => {}
            }
        }
    });
}
