//! What changes, object by object and field by field, as people read it.

use std::fmt::Write as _;

use serde_json::Value;

use super::table::{Tone, paint};
use super::text::field_text;

/// One line for each object, and below it one for each field: `-` what was, `+` what is.
pub(crate) fn render(changes: &[Value], colour: bool) -> String {
    let mut text = String::new();
    for change in changes {
        let of = |key: &str| change.get(key).and_then(Value::as_str).unwrap_or_default();
        let (sign, tone) = match of("action") {
            "create" => ("+", Tone::Good),
            "remove" => ("-", Tone::Bad),
            _ => ("~", Tone::Busy),
        };
        let head = format!("{sign} {} {}", of("kind"), of("name"));
        text.push_str(&paint(&head, tone, colour));
        text.push('\n');
        let fields = change.get("fields").and_then(Value::as_object);
        // What is new or goes is told by its name; all its fields would hide what else happens.
        for (field, values) in fields.into_iter().flatten().filter(|_| of("action") == "change") {
            let shown = |key: &str| {
                let value = values.get(key).filter(|value| !value.is_null());
                value.map(|value| line_of(field, value))
            };
            let (from, to) = (shown("from"), shown("to"));
            let from = from.unwrap_or_else(|| "unset".to_owned());
            let to = to.unwrap_or_else(|| "unset".to_owned());
            // Writing to a text cannot fail.
            writeln!(text, "    {field}: {from} -> {to}").ok();
        }
    }
    text
}

/// A value in one line.
fn line_of(field: &str, value: &Value) -> String {
    let text = field_text(field, value);
    match text.split_once('\n') {
        Some((first, _)) => format!("{first} …"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::render;

    #[test]
    fn objects_and_their_fields_are_told_line_by_line() {
        let changes = [
            json!({ "kind": "node", "name": "node001", "action": "change", "fields": {
                "comment": { "from": null, "to": "YQ==" } } }),
            json!({ "kind": "node", "name": "node002", "action": "remove", "fields": {
                "comment": { "from": "YQ==", "to": null } } }),
        ];
        assert_eq!(
            render(&changes, false),
            "~ node node001\n    comment: unset -> a\n- node node002\n"
        );
    }
}
