//! Access lists as text. Our own unpacking takes the attribute as it is; GNU tar's `--acls` wants this.

use std::fmt::Write;

/// The text of the value of `system.posix_acl_access` or `_default` (acl(5); version 2, little-endian), one entry a
/// line with numeric owners. `None` when it is not such a value.
pub(crate) fn text_of(value: &[u8]) -> Option<String> {
    let (version, entries) = value.split_first_chunk()?;
    if u32::from_le_bytes(*version) != 2 {
        return None;
    }
    let (entries, []) = entries.as_chunks() else { return None };
    let mut text = String::new();
    for [tag0, tag1, permissions, _, id0, id1, id2, id3] in entries {
        let id = u32::from_le_bytes([*id0, *id1, *id2, *id3]);
        let whose = match u16::from_le_bytes([*tag0, *tag1]) {
            0x01 => "user:".to_owned(),
            0x02 => format!("user:{id}"),
            0x04 => "group:".to_owned(),
            0x08 => format!("group:{id}"),
            0x10 => "mask:".to_owned(),
            0x20 => "other:".to_owned(),
            _ => return None,
        };
        let letter = |bit: u8, letter: char| if permissions & bit == 0 { '-' } else { letter };
        writeln!(text, "{whose}:{}{}{}", letter(4, 'r'), letter(2, 'w'), letter(1, 'x')).ok()?;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_entry_has_its_line() {
        let value = [
            &2u32.to_le_bytes()[..],
            b"\x01\0\x06\0\xff\xff\xff\xff",
            b"\x02\0\x04\0\xe8\x03\0\0",
            b"\x04\0\x05\0\xff\xff\xff\xff",
            b"\x08\0\x07\0\x64\0\0\0",
            b"\x10\0\x04\0\xff\xff\xff\xff",
            b"\x20\0\0\0\xff\xff\xff\xff",
        ]
        .concat();
        let expected =
            "user::rw-\nuser:1000:r--\ngroup::r-x\ngroup:100:rwx\nmask::r--\nother::---\n";
        assert_eq!(text_of(&value).as_deref(), Some(expected));
    }

    #[test]
    fn what_is_no_access_list_has_no_text() {
        for value in [&b""[..], b"\x01\0\0\0", b"\x02\0\0\0abc", b"\x02\0\0\0\x03\0\0\0\0\0\0\0"] {
            assert_eq!(text_of(value), None, "{value:?}");
        }
    }
}
