//! Texts of the API as people read them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perilune_wire::described::is_encoded;
use serde_json::Value;

/// The text of a field, decoded where the API encodes it. Nothing for everything that means "not set".
pub(crate) fn field_text(key: &str, value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(flag) => (if *flag { "yes" } else { "no" }).to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => {
            items.iter().map(|item| field_text(key, item)).collect::<Vec<_>>().join(", ")
        }
        Value::Object(_) => value.to_string(),
    };
    // Changes name fields with what they are part of.
    let last = key.rsplit('.').next().unwrap_or(key);
    let text = if is_encoded(last) { decoded(&text) } else { text };
    match text.as_str() {
        "None" | "<empty>" => String::new(),
        "True" => "yes".to_owned(),
        "False" => "no".to_owned(),
        _ => missing_file(&text).unwrap_or(text),
    }
}

/// An object of the API with texts where that has base64. What is no text, such as a packed file, stays as it is.
pub(crate) fn readable(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                // Changes name fields with what they are part of, and have both of their values.
                let last = key.rsplit('.').next().unwrap_or(key);
                match value {
                    Value::String(text) if is_encoded(last) => *text = decoded(text),
                    Value::Object(sides) if is_encoded(last) => {
                        for (_, side) in sides {
                            if let Value::String(text) = side {
                                *text = decoded(text);
                            }
                        }
                    }
                    value => readable(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(readable),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The bytes that a text stands for; the text itself when it is no base64.
pub(crate) fn decoded_bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_else(|_plain| text.as_bytes().to_vec())
}

/// Text that does not decode is shown as it is: some daemons keep plain text.
pub(crate) fn decoded(text: &str) -> String {
    let bytes = STANDARD.decode(text).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned())
}

/// The API writes `!!name!!` for what is named and does not exist.
fn missing_file(text: &str) -> Option<String> {
    let name = text.strip_prefix("!!")?.strip_suffix("!!")?;
    Some(match name {
        "" => String::new(),
        "Invalid" => "invalid".to_owned(),
        name => format!("{name} (missing)"),
    })
}

pub(crate) fn encode(content: impl AsRef<[u8]>) -> String {
    STANDARD.encode(content)
}

/// `text` on one line, without anything that would move a terminal's cursor or deceive who reads it.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        match character {
            control if control.is_control() => shown.push(' '),
            other => push(&mut shown, other),
        }
    }
    shown
}

/// What is written to a terminal: colours of our own, and nothing else that a terminal obeys or that reads as something else than it is.
/// Texts of others come here in many ways; none of them is to move the cursor, to set a title, or to be read from right to left.
pub(crate) fn for_terminal(text: &str) -> Cow<'_, str> {
    let is_odd = |character: char| {
        is_deceiving(character) || (character.is_control() && !matches!(character, '\n' | '\t'))
    };
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = colour(rest).unwrap_or(0);
        let (now, later) =
            rest.split_at_checked(length.max(character.len_utf8())).unwrap_or((rest, ""));
        if length > 0 || matches!(character, '\n' | '\t') {
            shown.push_str(now);
        } else {
            push(&mut shown, character);
        }
        rest = later;
    }
    Cow::Owned(shown)
}

/// How long the colour is that a text begins with: ESC, `[`, numbers, and `m`.
fn colour(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\u{1b}[")?;
    let length = numbers.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    numbers.get(length..)?.starts_with('m').then_some(2 + length + 1)
}

fn push(shown: &mut String, character: char) {
    if is_deceiving(character) || character.is_control() {
        shown.extend(character.escape_unicode());
    } else {
        shown.push(character);
    }
}

/// Characters that are not seen, and change what is: the direction of what follows, or nothing at all (Unicode Standard Annex 9, and
/// Technical Report 36).
fn is_deceiving(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// 1536 → `1.5 KiB`
pub(crate) fn bytes(count: u64) -> String {
    let mut unit = "B";
    let (mut whole, mut rest) = (count, 0);
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if whole < 1024 {
            break;
        }
        (whole, rest, unit) = (whole >> 10, whole & 1023, larger);
    }
    if unit == "B" || whole >= 100 {
        format!("{whole} {unit}")
    } else {
        format!("{whole}.{} {unit}", rest * 10 / 1024)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{bytes, encode, field_text, for_terminal, printable, readable};

    #[test]
    fn encoded_fields_are_decoded_and_plain_text_is_left_as_it_is() {
        assert_eq!(field_text("comment", &json!(encode("zweite Reihe"))), "zweite Reihe");
        assert_eq!(field_text("provisioning.postscript", &json!(encode("echo"))), "echo");
        assert_eq!(field_text("prescript", &json!("quiet splash")), "quiet splash");
        assert_eq!(field_text("group", &json!(encode("compute"))), encode("compute"));
    }

    #[test]
    fn programs_are_given_texts_where_the_api_has_base64() {
        let text = || encode("zweite Reihe\n");
        let mut object = json!({
            "comment": text(), "group": text(), "postscript": "<empty>", "prescript": encode([255, 0]),
            "interfaces": [{ "interface": "BOOTIF", "options": text() }],
            "changes": [{ "fields": { "interfaces.BOOTIF.options": { "from": null, "to": text() } } }],
        });
        readable(&mut object);
        let expected = json!({
            "comment": "zweite Reihe\n", "group": text(), "postscript": "<empty>", "prescript": encode([255, 0]),
            "interfaces": [{ "interface": "BOOTIF", "options": "zweite Reihe\n" }],
            "changes": [{ "fields": { "interfaces.BOOTIF.options": { "from": null, "to": "zweite Reihe\n" } } }],
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn all_ways_to_say_nothing_are_nothing() {
        for nothing in [json!(null), json!(""), json!("None"), json!("<empty>"), json!("!!!!")] {
            assert_eq!(field_text("prescript", &nothing), "", "{nothing}");
        }
    }

    #[test]
    fn what_the_api_marks_as_missing_is_said_in_words() {
        assert_eq!(field_text("imagefile", &json!("!!a.tar.zst!!")), "a.tar.zst (missing)");
    }

    #[test]
    fn sizes_have_the_unit_that_suits_them() {
        let texts = [0, 1023, 1536, 110 << 20, 5 << 40].map(bytes);
        assert_eq!(texts, ["0 B", "1023 B", "1.5 KiB", "110 MiB", "5.0 TiB"]);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc\n"), "a [2Jb c");
    }

    #[test]
    fn what_reads_as_something_else_than_it_is_is_shown_as_what_it_is() {
        assert_eq!(
            printable("node\u{202e}100\u{2069}\u{200b}"),
            "node\\u{202e}100\\u{2069}\\u{200b}"
        );
        assert_eq!(printable("Zoë, 節点 1"), "Zoë, 節点 1");
    }

    #[test]
    fn a_terminal_is_given_colours_and_lines_and_nothing_else_that_it_obeys() {
        let own = "\u{1b}[1;31mred\u{1b}[0m\tZoë\n\u{1b}[mplain\n";
        assert_eq!(for_terminal(own), own);
        for (said, shown) in [
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{1b}[31", "\\u{1b}[31"),
            ("over\rwritten\u{8}", "over\\u{d}written\\u{8}"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{202e}txt.exe \u{2066}x", "\\u{202e}txt.exe \\u{2066}x"),
            ("\u{1b}\u{1b}[0mé\u{200b}", "\\u{1b}\u{1b}[0mé\\u{200b}"),
        ] {
            assert_eq!(for_terminal(said), shown, "{said:?}");
        }
    }
}
