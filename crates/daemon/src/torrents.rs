//! `.torrent` files of archives: writing them, and finding out which hash is that of which archive (BEP 3).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

pub(crate) use perilune_torrent::InfoHash;
use perilune_torrent::metainfo::{self, LONGEST};

/// The end of names of these files, behind the name of the archive.
pub(crate) const ENDING: &str = ".torrent";
/// A torrent has so many pieces at most, where that is possible: each costs 20 bytes that every node fetches first.
const MOST_PIECES: u64 = 2048;
const SMALLEST_PIECE: u64 = 256 << 10;
/// What clients accept.
const LARGEST_PIECE: u64 = 16 << 20;
/// As many files are looked at.
const MOST_FILES: usize = 2000;

/// Where peers find each other, and the archive itself.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// The tracker.
    pub(crate) announce: String,
    /// The archive on a web server: whoever has a token needs no other peer (BEP 19). Every node would fetch all of it there, so that it is
    /// named only where nobody seeds.
    pub(crate) seed: Option<String>,
}

/// Writes the `.torrent` file of an archive beside it, whole or not at all.
pub(crate) fn write(
    directory: &Path,
    archive: &str,
    addresses: &Addresses,
    is_cancelled: &dyn Fn() -> bool,
) -> io::Result<()> {
    let mut file = File::open(directory.join(archive))?;
    let length = file.metadata()?.len();
    let piece = piece_length(length);
    let mut hashes = Vec::new();
    let mut buffer = vec![0; usize::try_from(piece).unwrap_or(1 << 20)];
    loop {
        if is_cancelled() {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        let filled = fill(&mut file, &mut buffer)?;
        let Some(part) = buffer.get(..filled).filter(|part| !part.is_empty()) else { break };
        hashes.extend(metainfo::sum(part));
    }
    let seed = addresses.seed.as_deref();
    let text = metainfo::write(&addresses.announce, seed, archive, (length, piece), &hashes);
    let hidden = directory.join(format!(".{archive}{ENDING}"));
    let written = File::create(&hidden).and_then(|mut file| {
        file.write_all(&text)?;
        file.sync_all()
    });
    let done =
        written.and_then(|()| fs::rename(&hidden, directory.join(format!("{archive}{ENDING}"))));
    if done.is_err() {
        fs::remove_file(&hidden).ok();
    }
    done
}

fn piece_length(length: u64) -> u64 {
    let wanted = (length / MOST_PIECES).max(1).next_power_of_two();
    wanted.clamp(SMALLEST_PIECE, LARGEST_PIECE)
}

/// Reads until the buffer is full, or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The archives of a directory that have a torrent, by its hash. What is no torrent is left out.
pub(crate) fn known(directory: &Path) -> BTreeMap<InfoHash, String> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let archives = names.filter_map(|name| {
        let archive = name.strip_suffix(ENDING)?;
        (!archive.is_empty() && !archive.starts_with('.')).then(|| archive.to_owned())
    });
    let hashed = archives.take(MOST_FILES).filter_map(|archive| {
        let path = directory.join(format!("{archive}{ENDING}"));
        Some((hash_of(&path)?, archive))
    });
    hashed.collect()
}

fn hash_of(path: &PathBuf) -> Option<InfoHash> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
    metainfo::info_hash(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_is_written_whole_and_found_by_its_hash() {
        let directory = tempfile::tempdir().unwrap();
        let data: Vec<u8> = (0..600_000_u32).flat_map(u32::to_le_bytes).collect();
        fs::write(directory.path().join("a-1.tar.zst"), &data).unwrap();
        let announce = "http://10.141.255.254:7050/announce";
        let addresses =
            Addresses { announce: announce.to_owned(), seed: Some("http://c/a".to_owned()) };
        write(directory.path(), "a-1.tar.zst", &addresses, &|| false).unwrap();
        let torrent = fs::read(directory.path().join("a-1.tar.zst.torrent")).unwrap();
        let begin = format!(
            "d8:announce{}:{announce}4:infod6:lengthi{}e4:name11:a-1.tar.zst12:piece lengthi262144e6:pieces200:",
            announce.len(),
            data.len()
        );
        assert!(torrent.starts_with(begin.as_bytes()), "{}", String::from_utf8_lossy(&torrent));
        let first = metainfo::sum(&data[..262_144]);
        assert_eq!(torrent[begin.len()..begin.len() + 20], first[..]);
        let last = metainfo::sum(&data[9 * 262_144..]);
        assert_eq!(torrent[begin.len() + 180..begin.len() + 200], last[..]);
        assert!(torrent.ends_with(b"7:privatei1ee8:url-list10:http://c/ae"));
        let hash = metainfo::info_hash(&torrent).unwrap();
        fs::write(directory.path().join("b.torrent"), "no torrent").unwrap();
        fs::write(directory.path().join(".hidden.torrent"), &torrent).unwrap();
        let found: Vec<_> = known(directory.path()).into_iter().collect();
        assert_eq!(found, [(hash, "a-1.tar.zst".to_owned())]);
        assert!(write(directory.path(), "a-1.tar.zst", &addresses, &|| true).is_err());
        assert!(write(directory.path(), "none.tar.zst", &addresses, &|| false).is_err());
        let names = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(names, 4, "nothing is left behind");
    }

    #[test]
    fn a_torrent_has_not_too_many_pieces() {
        for (length, piece) in [
            (0, SMALLEST_PIECE),
            (1 << 30, 512 << 10),
            (8 << 30, 4 << 20),
            (1 << 50, LARGEST_PIECE),
        ] {
            assert_eq!(piece_length(length), piece, "{length}");
        }
    }
}
