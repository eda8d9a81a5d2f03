//! Texts of the API as people read them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Fields whose text is base64 on the wire, by the convention of all clients.
const ENCODED: [&str; 9] = [
    "comment",
    "disklayout",
    "grab_exclude",
    "grab_filesystems",
    "kerneloptions",
    "options",
    "partscript",
    "postscript",
    "prescript",
];

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
    let text = if ENCODED.contains(&key) { decoded(&text) } else { text };
    match text.as_str() {
        "None" | "<empty>" => String::new(),
        "True" => "yes".to_owned(),
        "False" => "no".to_owned(),
        _ => missing_file(&text).unwrap_or(text),
    }
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

pub(crate) fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

/// `text` on one line, without anything that would move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.trim_end()
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
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

    use super::{bytes, encode, field_text, printable};

    #[test]
    fn encoded_fields_are_decoded_and_plain_text_is_left_as_it_is() {
        assert_eq!(field_text("comment", &json!(encode("zweite Reihe"))), "zweite Reihe");
        assert_eq!(field_text("kerneloptions", &json!("quiet splash")), "quiet splash");
        assert_eq!(field_text("group", &json!(encode("compute"))), encode("compute"));
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
}
