//! Filters beside Jinja2's own: base64, and quoting for the languages that templates are written in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::Environment;

pub(super) fn register(environment: &mut Environment<'static>) {
    environment.add_filter("b64decode", |text: &str| decode(text));
    environment.add_filter("b64encode", |text: &str| STANDARD.encode(text));
    environment.add_filter("shell", |text: &str| shell_word(text));
    environment.add_filter("heredoc", |text: &str| here_document_text(text));
    environment.add_filter("urlencode", |text: &str| percent_encode(text));
}

/// The text behind base64, or the text itself when it is none. As lenient as Python: characters outside the
/// alphabet do not count, wrong padding does.
pub(crate) fn decode(text: &str) -> String {
    let in_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let digits: Vec<u8> = text.bytes().filter(in_alphabet).collect();
    match STANDARD.decode(digits) {
        Ok(bytes) => String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        Err(_) => text.to_owned(),
    }
}

/// One word of a shell command, whatever is in it.
pub(crate) fn shell_word(text: &str) -> String {
    let text = text.replace('\0', "");
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Text inside an unquoted here-document, on one line.
fn here_document_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '$' | '`' => escaped.extend(['\\', character]),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

/// A segment of a URL's path (RFC 3986, section 2.1).
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let digits = [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
            encoded.push('%');
            encoded.extend(digits.into_iter().flatten().map(|digit| digit.to_ascii_uppercase()));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_and_anything_else_left_alone() {
        assert_eq!(decode("aGVsbG8="), "hello");
        assert_eq!(decode("aGVs\nbG8="), "hello");
        assert_eq!(decode("no base64 at all!"), "no base64 at all!");
        assert_eq!(decode(""), "");
    }

    #[test]
    fn a_quote_cannot_end_a_shell_word() {
        assert_eq!(shell_word("it's; rm -rf /"), r"'it'\''s; rm -rf /'");
    }

    #[test]
    fn nothing_is_evaluated_inside_a_here_document() {
        assert_eq!(here_document_text("a $(b) `c` \\d\ne"), r"a \$(b) \`c\` \\d e");
    }

    #[test]
    fn a_name_with_a_blank_is_one_segment_of_a_path() {
        assert_eq!(percent_encode("Rocky 9/x"), "Rocky%209%2Fx");
    }
}
