//! Labels, as clients read and ask for them.

use perilune_model::label::{Labels, Request};
use serde_json::{Map, Value};

use crate::definition::Kind;
use crate::fields::Fields;

/// The field of requests and answers.
const FIELD: &str = "labels";

/// `canary=yes,tier=gpu`. Existing clients cannot show lists or objects, and see nothing where there are none.
pub(crate) fn shown(labels: &Labels) -> Option<String> {
    (!labels.is_empty()).then(|| labels.to_string())
}

/// What a request says of labels: `key=value` sets, `key=` removes, the others stay; an empty text or null removes all. A list of such
/// words is read as well, and an object of keys and values, where null removes.
pub(crate) fn request(fields: &mut Fields<'_>) -> Request {
    let mut request = Request::default();
    let help = "What the site says of it, for selectors; KEY= removes one, \"\" all";
    let said = match fields.help(help).raw_as(FIELD, || Kind::Labels) {
        None => Ok(()),
        Some(Value::Null) => {
            request.clear = true;
            Ok(())
        }
        Some(Value::String(text)) if text.trim().is_empty() => {
            request.clear = true;
            Ok(())
        }
        Some(Value::String(text)) => text.split(',').try_for_each(|word| request.add(word)),
        Some(Value::Array(words)) => words.iter().try_for_each(|word| match word {
            Value::String(word) => request.add(word),
            _ => Err("it must be a list of texts, such as canary=yes".to_owned()),
        }),
        Some(Value::Object(object)) => pairs(&mut request, object),
        Some(Value::Bool(_) | Value::Number(_)) => {
            Err("it must be a text, such as canary=yes".to_owned())
        }
    };
    if let Err(reason) = said {
        fields.refuse(FIELD, reason);
    }
    request
}

fn pairs(request: &mut Request, object: &Map<String, Value>) -> Result<(), String> {
    object.iter().try_for_each(|(key, value)| match value {
        Value::Null => request.set(key, ""),
        Value::String(value) => request.set(key, value),
        Value::Number(value) => request.set(key, &value.to_string()),
        Value::Bool(value) => {
            Err(format!("the value of '{key}' must be a text; if it is {value}, put it in quotes"))
        }
        Value::Array(_) | Value::Object(_) => Err(format!("the value of '{key}' must be a text")),
    })
}

/// All labels of an object in a document: what is not written is not there.
pub(crate) fn of_document(fields: &mut Fields<'_>) -> Labels {
    let request = request(fields);
    request.alone().unwrap_or_else(|violation| {
        fields.refuse(&violation.field, violation.reason);
        Labels::default()
    })
}

/// The labels as documents have them.
pub(crate) fn in_document(labels: &Labels) -> Option<Value> {
    let pairs = labels.iter().map(|(key, value)| (key.to_owned(), value.into()));
    (!labels.is_empty()).then(|| Value::Object(pairs.collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<String, String> {
        let object = Map::from_iter([(FIELD.to_owned(), value.clone())]);
        let mut fields = Fields::new(&object);
        let labels = of_document(&mut fields);
        let told = fields
            .finish()
            .map_err(|all| all.into_iter().map(|one| one.reason).collect::<String>());
        told.map(|()| labels.to_string())
    }

    #[test]
    fn labels_are_written_as_a_text_a_list_or_an_object() {
        for value in [
            json!("a=1,b=x"),
            json!(" a = 1 , b=x"),
            json!(["b=x", "a=1"]),
            json!({ "a": 1, "b": "x", "c": null }),
        ] {
            assert_eq!(read(&value).unwrap(), "a=1,b=x", "{value}");
        }
        for value in [json!(""), json!(null), json!([]), json!({})] {
            assert_eq!(read(&value).unwrap(), "", "{value}");
        }
    }

    #[test]
    fn what_is_no_label_is_refused() {
        for value in [
            json!(true),
            json!(1),
            json!("a"),
            json!("a=1,"),
            json!("a=1,a=2"),
            json!([1]),
            json!({ "a": true }),
            json!({ "a": ["b"] }),
            json!({ "a b": "c" }),
        ] {
            assert!(read(&value).is_err(), "{value}");
        }
        assert!(read(&json!({ "a": true })).unwrap_err().contains("quotes"));
    }
}
