//! `.torrent` files of archives: writing them, and finding out which hash is that of which archive (BEP 3).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha1::{Digest as _, Sha1};

/// What peers call a torrent by.
pub(crate) type InfoHash = [u8; 20];

/// The end of names of these files, behind the name of the archive.
pub(crate) const ENDING: &str = ".torrent";
/// A torrent has so many pieces at most, where that is possible: each costs 20 bytes that every node fetches first.
const MOST_PIECES: u64 = 2048;
const SMALLEST_PIECE: u64 = 256 << 10;
/// What clients accept.
const LARGEST_PIECE: u64 = 16 << 20;
/// A torrent of a terabyte is this long; what is longer is none.
const LONGEST: u64 = 4 << 20;
/// As many files are looked at.
const MOST_FILES: usize = 2000;
/// Lists in lists: those of a torrent are three deep.
const DEEPEST: usize = 16;

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
        hashes.extend(Sha1::digest(part));
    }
    let mut text = Vec::new();
    text.extend(b"d8:announce");
    bytes(&mut text, addresses.announce.as_bytes());
    text.extend(b"4:info");
    text.extend(info(archive, length, piece, &hashes));
    if let Some(seed) = &addresses.seed {
        text.extend(b"8:url-list");
        bytes(&mut text, seed.as_bytes());
    }
    text.push(b'e');
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

fn info(archive: &str, length: u64, piece: u64, hashes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(hashes.len() + 200);
    text.extend(format!("d6:lengthi{length}e4:name").bytes());
    bytes(&mut text, archive.as_bytes());
    text.extend(format!("12:piece lengthi{piece}e6:pieces").bytes());
    bytes(&mut text, hashes);
    // Peers are learned from this tracker alone (BEP 27).
    text.extend(b"7:privatei1ee");
    text
}

/// A text of bytes as it is written in a torrent, and in answers of trackers.
pub(crate) fn bytes(text: &mut Vec<u8>, value: &[u8]) {
    text.extend(format!("{}:", value.len()).bytes());
    text.extend(value);
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
    info_hash(&text)
}

/// The hash of a torrent: that of the dictionary `info`, as it is written.
pub(crate) fn info_hash(torrent: &[u8]) -> Option<InfoHash> {
    find(torrent, b"info").map(|info| Sha1::digest(info).into())
}

/// How an archive is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of the archive, and of each piece but the last.
    pub(crate) length: u64,
    pub(crate) piece: u64,
    pub(crate) pieces: u32,
}

/// The layout that a torrent tells; `None` where it is none of a single file, or one that cannot be.
pub(crate) fn layout(torrent: &[u8]) -> Option<Layout> {
    let info = find(torrent, b"info")?;
    let number = |key| {
        let digits = find(info, key)?.strip_prefix(b"i")?.strip_suffix(b"e")?;
        std::str::from_utf8(digits).ok()?.parse().ok().filter(|number: &u64| *number > 0)
    };
    let (length, piece) = (number(b"length")?, number(b"piece length")?);
    let (hashes, _) = text(find(info, b"pieces")?)?;
    let pieces = u32::try_from(length.div_ceil(piece)).ok()?;
    let is_whole = u64::from(pieces).checked_mul(20)? == u64::try_from(hashes.len()).ok()?;
    is_whole.then_some(Layout { length, piece, pieces })
}

/// The value of a key in a dictionary, as it is written.
fn find<'a>(dictionary: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut rest = dictionary.strip_prefix(b"d")?;
    loop {
        let (key, value) = text(rest)?;
        let after = skip(value, DEEPEST)?;
        if key == wanted {
            return value.get(..value.len().checked_sub(after.len())?);
        }
        rest = after;
    }
}

/// A text of bytes, and what is behind it.
fn text(from: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = from.iter().take(20).position(|byte| *byte == b':')?;
    let length = std::str::from_utf8(from.get(..colon)?).ok()?;
    let length: usize =
        Some(length).filter(|digits| digits.bytes().all(|c| c.is_ascii_digit()))?.parse().ok()?;
    from.get(colon + 1..)?.split_at_checked(length)
}

/// What is behind a value.
fn skip(from: &[u8], depth: usize) -> Option<&[u8]> {
    let (first, mut rest) = from.split_first()?;
    match first {
        b'i' => {
            let end = rest.iter().take(24).position(|byte| *byte == b'e')?;
            rest.get(end + 1..)
        }
        b'l' | b'd' => {
            let depth = depth.checked_sub(1)?;
            while rest.first()? != &b'e' {
                rest = skip(rest, depth)?;
            }
            rest.get(1..)
        }
        _ => text(from).map(|(_, rest)| rest),
    }
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
        let first = Sha1::digest(&data[..262_144]);
        assert_eq!(torrent[begin.len()..begin.len() + 20], first[..]);
        let last = Sha1::digest(&data[9 * 262_144..]);
        assert_eq!(torrent[begin.len() + 180..begin.len() + 200], last[..]);
        assert!(torrent.ends_with(b"7:privatei1ee8:url-list10:http://c/ae"));
        let length = u64::try_from(data.len()).unwrap();
        assert_eq!(layout(&torrent), Some(Layout { length, piece: 262_144, pieces: 10 }));
        let hash = info_hash(&torrent).unwrap();
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
    fn what_is_no_torrent_is_none_however_it_is_made() {
        for wrong in [
            "",
            "d",
            "de",
            "d4:info",
            "d4:infoe",
            "di1e",
            "d4:infod99999999999999999999:ae",
            "d4:infoi1",
            "d-1:ae",
            "d+4:infolee",
            "d1:ai1e4:infold1:be",
        ] {
            assert_eq!(info_hash(wrong.as_bytes()), None, "{wrong}");
            assert_eq!(layout(wrong.as_bytes()), None, "{wrong}");
        }
        for wrong in [
            "d4:infod6:lengthi0e12:piece lengthi1e6:pieces0:ee",
            "d4:infod6:lengthi9e12:piece lengthi0e6:pieces0:ee",
            "d4:infod6:lengthi40e12:piece lengthi20e6:pieces20:aaaaaaaaaaaaaaaaaaaaee",
            "d4:infod6:lengthi-4e12:piece lengthi20e6:pieces20:aaaaaaaaaaaaaaaaaaaaee",
        ] {
            assert_eq!(layout(wrong.as_bytes()), None, "{wrong}");
        }
        let deep = format!("d4:info{}", "l".repeat(100_000));
        assert_eq!(info_hash(deep.as_bytes()), None);
        assert!(info_hash(b"d1:ali1e1:be4:infod1:ai1eee").is_some());
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
