//! Archives of images, which can hold what no user of this machine is to see. Where the configuration names a group, that and the daemon
//! alone may read them, those too that were packed before.

use std::fs::File;
use std::sync::Arc;

use perilune_image::Readers;
use perilune_model::Cluster;

use crate::jobs::Places;

/// Ends of names that need a token: whole systems. Kernel and initramfs must be open, for iPXE has none.
pub const PROTECTED: [&str; 6] = [".gz", ".tar", ".bz", ".bz2", ".zst", ".torrent"];

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

/// Whether a file, named as a part of a path, needs a token.
pub fn is_protected(filename: &str) -> bool {
    let lower = percent_decoded(filename).to_ascii_lowercase();
    PROTECTED.iter().any(|end| lower.ends_with(end))
}

/// Names are decoded once.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let pair = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let decoded = if *first == b'%' {
            pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
        } else {
            None
        };
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_once() {
        assert_eq!(percent_decoded("a%2Etar%2egz"), "a.tar.gz");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%252e"), "%2e");
    }
}
