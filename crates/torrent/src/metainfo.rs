//! What a torrent says of the one file that it is of.

use sha1::{Digest as _, Sha1};

use crate::InfoHash;
use crate::bencode::{bytes, find, number, text};

/// A torrent of a terabyte is this long; what is longer is none.
pub const LONGEST: u64 = 4 << 20;

/// How a file is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the file, and of each piece but the last.
    pub length: u64,
    pub piece: u64,
    pub pieces: u32,
}

impl Layout {
    /// Where a piece begins.
    pub fn begin(&self, piece: u32) -> u64 {
        u64::from(piece).saturating_mul(self.piece)
    }

    /// Bytes of a piece; 0 where there is none of this number.
    pub fn length_of(&self, piece: u32) -> u64 {
        self.length.saturating_sub(self.begin(piece)).min(self.piece)
    }
}

/// A torrent of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torrent {
    pub hash: InfoHash,
    pub layout: Layout,
    /// SHA-1 of each piece.
    pub pieces: Vec<[u8; 20]>,
}

impl Torrent {
    /// Reads a torrent; `None` where it is none of a single file, or one that cannot be.
    pub fn read(torrent: &[u8]) -> Option<Self> {
        let info = find(torrent, b"info")?;
        let positive = |key| number(info, key).filter(|number| *number > 0);
        let (length, piece) = (positive(b"length")?, positive(b"piece length")?);
        let (hashes, _) = text(find(info, b"pieces")?)?;
        let pieces = u32::try_from(length.div_ceil(piece)).ok()?;
        let is_whole = u64::from(pieces).checked_mul(20)? == u64::try_from(hashes.len()).ok()?;
        let layout = is_whole.then_some(Layout { length, piece, pieces })?;
        let hashes = hashes.as_chunks().0.to_vec();
        Some(Self { hash: Sha1::digest(info).into(), layout, pieces: hashes })
    }

    /// Whether these bytes are that piece.
    pub fn is_piece(&self, piece: u32, bytes: &[u8]) -> bool {
        let expected = usize::try_from(piece).ok().and_then(|piece| self.pieces.get(piece));
        expected == Some(&sum(bytes))
    }
}

/// What a piece is told by.
pub fn sum(piece: &[u8]) -> [u8; 20] {
    Sha1::digest(piece).into()
}

/// The hash of a torrent: that of the dictionary `info`, as it is written.
pub fn info_hash(torrent: &[u8]) -> Option<InfoHash> {
    find(torrent, b"info").map(sum)
}

/// What is written about a file of this name: the whole torrent. `seed` is the file on a web server (BEP 19).
pub fn write(
    announce: &str,
    seed: Option<&str>,
    name: &str,
    layout: (u64, u64),
    hashes: &[u8],
) -> Vec<u8> {
    let (length, piece) = layout;
    let mut torrent = Vec::with_capacity(hashes.len() + 500);
    torrent.extend(b"d8:announce");
    bytes(&mut torrent, announce.as_bytes());
    torrent.extend(format!("4:infod6:lengthi{length}e4:name").bytes());
    bytes(&mut torrent, name.as_bytes());
    torrent.extend(format!("12:piece lengthi{piece}e6:pieces").bytes());
    bytes(&mut torrent, hashes);
    // Peers are learned from this tracker alone (BEP 27).
    torrent.extend(b"7:privatei1ee");
    if let Some(seed) = seed {
        torrent.extend(b"8:url-list");
        bytes(&mut torrent, seed.as_bytes());
    }
    torrent.push(b'e');
    torrent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_says_what_was_written() {
        let hashes = [[1; 20], [2; 20], [3; 20]];
        let text = write("http://c/announce", Some("http://c/a"), "a", (25, 10), &hashes.concat());
        let torrent = Torrent::read(&text).unwrap();
        assert_eq!(torrent.layout, Layout { length: 25, piece: 10, pieces: 3 });
        assert_eq!(torrent.pieces, hashes);
        assert_eq!(Some(torrent.hash), info_hash(&text));
        let lengths = [0, 1, 2, 3, u32::MAX].map(|piece| torrent.layout.length_of(piece));
        assert_eq!(lengths, [10, 10, 5, 0, 0]);
        assert!(!torrent.is_piece(0, b"") && !torrent.is_piece(9, b""));
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
            assert_eq!(Torrent::read(wrong.as_bytes()), None, "{wrong}");
        }
        for wrong in [
            "d4:infod6:lengthi0e12:piece lengthi1e6:pieces0:ee",
            "d4:infod6:lengthi9e12:piece lengthi0e6:pieces0:ee",
            "d4:infod6:lengthi40e12:piece lengthi20e6:pieces20:aaaaaaaaaaaaaaaaaaaaee",
            "d4:infod6:lengthi-4e12:piece lengthi20e6:pieces20:aaaaaaaaaaaaaaaaaaaaee",
            "d4:infod6:lengthi18446744073709551615e12:piece lengthi1e6:pieces0:ee",
        ] {
            assert_eq!(Torrent::read(wrong.as_bytes()), None, "{wrong}");
        }
        let deep = format!("d4:info{}", "l".repeat(100_000));
        assert_eq!(info_hash(deep.as_bytes()), None);
        assert!(info_hash(b"d1:ali1e1:be4:infod1:ai1eee").is_some());
    }
}
