//! Identifiers, made before the partitions and file systems are, so that nothing has to be asked for them later.

use std::fs::File;
use std::io::{self, Read};

/// A random UUID (RFC 9562, version 4).
pub fn random() -> io::Result<String> {
    let mut bytes: [u8; 16] = entropy()?;
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = *version & 0x0f | 0x40;
    *variant = *variant & 0x3f | 0x80;
    Ok(text(bytes))
}

/// The number of a FAT file system: eight hexadecimal digits.
pub fn random_fat_number() -> io::Result<String> {
    Ok(format!("{:08X}", u32::from_ne_bytes(entropy()?)))
}

/// Sixteen bytes as they are written.
pub fn text(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    let pieces = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    pieces.map(|(from, to)| digits.get(from..to).unwrap_or_default()).join("-")
}

fn entropy<const LENGTH: usize>() -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_their_form() {
        let uuid = random().unwrap();
        assert_eq!((uuid.len(), uuid.as_bytes()[14]), (36, b'4'));
        assert!("89ab".contains(char::from(uuid.as_bytes()[19])), "{uuid}");
        assert_ne!(uuid, random().unwrap());
        assert_eq!(random_fat_number().unwrap().len(), 8);
        assert_eq!(text([0x12; 16]), "12121212-1212-1212-1212-121212121212");
    }
}
