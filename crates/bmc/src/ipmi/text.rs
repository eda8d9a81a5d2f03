//! Names and other texts as records hold them: a byte for type and length, then the text (IPMI 2.0, 43.15).

use crate::bytes::{Reader, hex};

/// Reads one text; None at the end of the bytes.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<String> {
    let head = reader.u8()?;
    let bytes = reader.take(usize::from(head & 0x3f))?;
    let text = match head >> 6 {
        0 => hex(bytes, ""),
        1 => bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).map(digit).collect(),
        2 => six_bit(bytes),
        // Latin-1 is the beginning of Unicode.
        _ => bytes.iter().copied().map(char::from).collect::<String>(),
    };
    let clean: String = text.chars().filter(|character| !character.is_control()).collect();
    Some(clean.trim().to_owned())
}

fn digit(nibble: u8) -> char {
    match nibble {
        0..=9 => char::from(b'0' + nibble),
        10 => ' ',
        11 => '-',
        12 => '.',
        _ => '?',
    }
}

/// Four characters in three bytes, the first in the lowest bits.
fn six_bit(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().rev().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        for place in 0..chunk.len() * 8 / 6 {
            let character = u8::try_from(bits >> (6 * place) & 0x3f).unwrap_or_default();
            text.push(char::from(b' ' + character));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Option<String> {
        read(&mut Reader::new(bytes))
    }

    #[test]
    fn each_of_the_four_types_is_read() {
        assert_eq!(text(&[0x02, 0xab, 0x01]).unwrap(), "ab01");
        assert_eq!(text(&[0x42, 0x12, 0xb4]).unwrap(), "12-4");
        // The example of the FRU specification.
        assert_eq!(text(&[0x83, 0x29, 0xdc, 0xa6]).unwrap(), "IPMI");
        assert_eq!(text(b"\xc5ab\xe9\n ").unwrap(), "abé");
    }

    #[test]
    fn a_text_that_is_cut_short_is_none() {
        assert_eq!(text(&[0xc5, b'a']), None);
        assert_eq!(text(&[]), None);
    }
}
