//! Writing YAML that every reader takes for the same texts. Readers of YAML 1.1 (`PyYAML`, Ansible, Ruby) resolve many plain scalars:
//! `yes` and `on` are booleans to them, `1_000` and `012` numbers, `52:54:00:00:00:01` a number to the base of 60, `2026-11-29` a
//! date, `=` and `<<` values of their own. Whatever may be taken for something else is put in quotes.

use std::fmt::Write as _;

use serde_json::Value;

/// Words that some reader takes for a boolean or null, in any case.
const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"];
const STEP: usize = 2;

/// A value as a YAML document.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(object) if !object.is_empty() => write_object(&mut text, value, 0, false),
        Value::Array(items) if !items.is_empty() => write_list(&mut text, value, 0, false),
        value => {
            text.push_str(&scalar(value));
            text.push('\n');
        }
    }
    text
}

fn indent(text: &mut String, columns: usize) {
    text.extend(std::iter::repeat_n(' ', columns));
}

/// The lines of an object. `continues` says that the first one goes on behind a dash.
fn write_object(text: &mut String, value: &Value, columns: usize, continues: bool) {
    let mut continues = continues;
    for (key, value) in value.as_object().into_iter().flatten() {
        if !std::mem::take(&mut continues) {
            indent(text, columns);
        }
        text.push_str(&inline(key));
        text.push(':');
        match value {
            Value::Object(object) if !object.is_empty() => {
                text.push('\n');
                write_object(text, value, columns + STEP, false);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                write_list(text, value, columns, false);
            }
            value => write_scalar(text, value, columns + STEP),
        }
    }
}

/// The lines of a list. `continues` says that the first one goes on behind a dash.
fn write_list(text: &mut String, value: &Value, columns: usize, continues: bool) {
    let mut continues = continues;
    for value in value.as_array().into_iter().flatten() {
        if !std::mem::take(&mut continues) {
            indent(text, columns);
        }
        text.push('-');
        match value {
            Value::Object(object) if !object.is_empty() => {
                text.push(' ');
                write_object(text, value, columns + STEP, true);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push(' ');
                write_list(text, value, columns + STEP, true);
            }
            value => write_scalar(text, value, columns + STEP),
        }
    }
}

/// A value behind its key or dash; the lines of a long text are indented by `columns`.
fn write_scalar(text: &mut String, value: &Value, columns: usize) {
    text.push(' ');
    match value {
        Value::String(string) if is_literal(string) => {
            let end = match (string.ends_with("\n\n"), string.ends_with('\n')) {
                (true, _) => "|+",
                (_, true) => "|",
                (false, false) => "|-",
            };
            text.push_str(end);
            text.push('\n');
            for line in string.strip_suffix('\n').unwrap_or(string).split('\n') {
                if !line.is_empty() {
                    indent(text, columns);
                    text.push_str(line);
                }
                text.push('\n');
            }
        }
        value => {
            text.push_str(&scalar(value));
            text.push('\n');
        }
    }
}

/// A value in one line.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(string) => inline(string),
        // Lists and objects that get here are empty.
        value => value.to_string(),
    }
}

/// Whether the lines of a text can stand as they are.
fn is_literal(text: &str) -> bool {
    let begins = !text.starts_with([' ', '\t', '\n']);
    let only_blank = |line: &str| !line.is_empty() && line.trim().is_empty();
    text.contains('\n')
        && begins
        && text.chars().all(|c| c == '\n' || c == '\t' || is_printable(c))
        && !text.split('\n').any(only_blank)
}

/// A text in one line, with quotes where they are needed.
fn inline(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if text.chars().all(is_printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if is_printable(c) => quoted.push(c),
            c => write!(quoted, "\\u{:04x}", u32::from(c)).unwrap_or_default(),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether every reader takes the text, without quotes, for this very text.
fn is_plain(text: &str) -> bool {
    let safe_inside = |c: char| c.is_ascii_graphic() || c == ' ';
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    is_ipv4(text)
        || (begins
            && !is_word
            && text.chars().all(safe_inside)
            && !text.ends_with([':', ' '])
            && !text.contains(": ")
            && !text.contains(" #"))
}

/// Whether it is an IPv4 address, with a prefix or without: four numbers are no number to any reader, and quotes would only disturb.
fn is_ipv4(text: &str) -> bool {
    let address = match text.split_once('/') {
        Some((address, length)) if length.bytes().all(|byte| byte.is_ascii_digit()) => address,
        Some(_) => return false,
        None => text,
    };
    address.parse::<std::net::Ipv4Addr>().is_ok()
}

/// Whether every reader takes the character as it stands.
fn is_printable(c: char) -> bool {
    let separates = matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    !c.is_control() && !separates
}
