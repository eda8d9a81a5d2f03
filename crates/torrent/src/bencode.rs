//! The notation of torrents and trackers, as far as it is read: keys of a dictionary, texts, numbers. Nothing is built in memory.

/// Lists in lists: those of a torrent are three deep.
const DEEPEST: usize = 16;

/// Appends a text of bytes as it is written.
pub fn bytes(text: &mut Vec<u8>, value: &[u8]) {
    text.extend(format!("{}:", value.len()).bytes());
    text.extend(value);
}

/// The value of a key in a dictionary, as it is written.
pub fn find<'a>(dictionary: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
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

/// The number under a key.
pub fn number(dictionary: &[u8], key: &[u8]) -> Option<u64> {
    let digits = find(dictionary, key)?.strip_prefix(b"i")?.strip_suffix(b"e")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A text of bytes, and what is behind it.
pub fn text(from: &[u8]) -> Option<(&[u8], &[u8])> {
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
