//! What the API's document says of answers, and whether an answer is as it says.

use serde_json::Value;

use super::client::Answer;

/// The document of a daemon.
#[derive(Clone)]
pub(super) struct Document(pub(super) Value);

/// A method on a path, and what the document says of it.
pub(super) struct Operation<'a> {
    pub(super) method: String,
    pub(super) path: &'a str,
    entry: &'a Value,
}

impl Document {
    pub(super) fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, entry)| Operation {
                method: method.to_uppercase(),
                path,
                entry,
            })
        });
        operations.collect()
    }

    /// Why an answer is not as the document says.
    pub(super) fn complaint(&self, operation: &Operation<'_>, answer: &Answer) -> Option<String> {
        let responses = operation.entry["responses"].as_object().unwrap();
        let Some(response) = responses.get(&answer.status.to_string()) else {
            let documented = responses.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Some(format!("{} is not documented; {documented} are", answer.status));
        };
        let content = response["content"].as_object()?;
        let declared = answer.content_type.split(';').next().unwrap_or_default().trim();
        let Some(content) = content.get(declared) else {
            return Some(format!("the content type '{declared}' is not documented"));
        };
        if declared != "application/json" {
            return None;
        }
        match serde_json::from_slice(&answer.body) {
            Ok(body) => self.differs(&content["schema"], &body, "the answer"),
            Err(error) => Some(format!("the body is no JSON: {error}")),
        }
    }

    /// Where a value differs from its schema, if anywhere.
    fn differs(&self, schema: &Value, value: &Value, place: &str) -> Option<String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let found = self.0.pointer(reference.trim_start_matches('#'));
            return match found {
                Some(found) => self.differs(found, value, place),
                None => Some(format!("the document has no {reference}")),
            };
        }
        for inner in schema["allOf"].as_array().into_iter().flatten() {
            if let Some(difference) = self.differs(inner, value, place) {
                return Some(difference);
            }
        }
        if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            let differences: Vec<_> =
                choices.iter().map(|choice| self.differs(choice, value, place)).collect();
            if differences.iter().all(Option::is_some) {
                return differences.into_iter().next().flatten();
            }
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            return Some(format!("{place} is {value}, none of {words:?}"));
        }
        if !has_type(&schema["type"], value) {
            return Some(format!("{place} is {value}, and should be {}", schema["type"]));
        }
        self.parts_differ(schema, value, place)
    }

    fn parts_differ(&self, schema: &Value, value: &Value, place: &str) -> Option<String> {
        match value {
            Value::Array(items) if schema["items"].is_object() => {
                items.iter().enumerate().find_map(|(at, item)| {
                    self.differs(&schema["items"], item, &format!("{place}[{at}]"))
                })
            }
            Value::Object(fields) => {
                let required = schema["required"].as_array().into_iter().flatten();
                let missing = required
                    .filter_map(Value::as_str)
                    .find(|field| !fields.contains_key(*field))
                    .map(|field| format!("{place} lacks {field}"));
                missing.or_else(|| {
                    fields.iter().find_map(|(field, inner)| {
                        let known = &schema["properties"][field];
                        let rule =
                            if known.is_null() { &schema["additionalProperties"] } else { known };
                        let place = format!("{place}.{field}");
                        rule.is_object().then(|| self.differs(rule, inner, &place)).flatten()
                    })
                })
            }
            _ => None,
        }
    }
}

impl Operation<'_> {
    /// `GET /config/node`, as documents have it.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The names of the query's parameters.
    pub(super) fn query(&self) -> Vec<&str> {
        let parameters = self.entry["parameters"].as_array().into_iter().flatten();
        let of_query = parameters.filter(|parameter| parameter["in"] == "query");
        of_query.filter_map(|parameter| parameter["name"].as_str()).collect()
    }
}

fn has_type(rule: &Value, value: &Value) -> bool {
    let is = |word: &Value| match word.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    match rule {
        Value::Array(words) => words.iter().any(is),
        word => is(word),
    }
}
