//! Rules of alerts, as requests and files have them.

use serde_json::{Map, Value, json};

const GROUP: &str = "trinityx";
const SEVERITIES: [&str; 4] = ["critical", "danger", "warning", "info"];
/// As many as one request may have.
const MOST: usize = 10_000;

/// Which file a rule belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    Generic,
    Service,
    /// Of single nodes: not in a file with others.
    Hardware,
}

impl Category {
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Generic => "trix.generic.rules",
            Self::Service => "trix.service.rules",
            Self::Hardware => "trix.hw.rules",
        }
    }

    fn read(text: &str) -> Option<Self> {
        match text {
            "generic" => Some(Self::Generic),
            "service" => Some(Self::Service),
            "hardware" => Some(Self::Hardware),
            _ => None,
        }
    }
}

/// What alerts when.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) alert: String,
    pub(super) annotations: Option<Map<String, Value>>,
    pub(super) expr: String,
    /// How long it must be so: `5m`.
    pub(super) lasts: Option<String>,
    pub(super) labels: Map<String, Value>,
}

impl Rule {
    pub(super) fn category(&self) -> Category {
        let word = self.labels.get("category").and_then(Value::as_str);
        word.and_then(Category::read).unwrap_or(Category::Generic)
    }

    fn read(value: &Value, place: &str) -> Result<Self, String> {
        let object = value.as_object().ok_or_else(|| format!("{place} is not an object"))?;
        for key in object.keys() {
            if !["alert", "annotations", "expr", "for", "labels"].contains(&key.as_str()) {
                return Err(format!(
                    "{place}.{key} is not known; a rule has alert, annotations, expr, for and labels"
                ));
            }
        }
        let text = |key: &str| match object.get(key) {
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.clone()),
            _ => Err(format!("{place}.{key} is missing, or no text")),
        };
        let map = |key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map.clone())),
            Some(_) => Err(format!("{place}.{key} is not an object")),
        };
        let lasts = match object.get("for") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if is_duration(text) => Some(text.clone()),
            Some(other) => {
                return Err(format!(
                    "{place}.for is {other}; write a number with s, m or h, such as 5m"
                ));
            }
        };
        let annotations = map("annotations")?;
        check_texts(annotations.as_ref(), &format!("{place}.annotations"))?;
        let labels = labels(map("labels")?.unwrap_or_default(), place)?;
        Ok(Self { alert: text("alert")?, annotations, expr: text("expr")?, lasts, labels })
    }

    /// As requests and files have it.
    pub(super) fn shown(&self) -> Value {
        json!({
            "alert": self.alert,
            "annotations": self.annotations,
            "expr": self.expr,
            "for": self.lasts,
            "labels": self.labels,
        })
    }

    /// As Prometheus reads it: what is not there is left out.
    pub(super) fn stored(&self) -> Value {
        let mut stored = self.shown();
        if let Some(object) = stored.as_object_mut() {
            object.retain(|_, value| !value.is_null());
        }
        stored
    }
}

/// A number of seconds, minutes or hours.
fn is_duration(text: &str) -> bool {
    let number = text.strip_suffix(['s', 'm', 'h']).unwrap_or_default();
    !number.is_empty() && number.len() < 10 && number.bytes().all(|digit| digit.is_ascii_digit())
}

/// Checks labels that mean something here, and completes them.
fn labels(mut labels: Map<String, Value>, place: &str) -> Result<Map<String, Value>, String> {
    for key in ["nhc", "disabled"] {
        let Some(value) = labels.get_mut(key) else { continue };
        *value = match &*value {
            Value::Bool(_) => continue,
            // Prometheus' own files have texts alone.
            Value::String(text) if text == "true" => Value::Bool(true),
            Value::String(text) if text == "false" => Value::Bool(false),
            other => return Err(format!("{place}.labels.{key} is {other}; write true or false")),
        };
    }
    if let Some(severity) = labels.get("severity")
        && !severity.as_str().is_some_and(|word| SEVERITIES.contains(&word))
    {
        return Err(format!(
            "{place}.labels.severity is {severity}; write one of {}",
            SEVERITIES.join(", ")
        ));
    }
    match labels.get("category") {
        None => {
            labels.insert("category".to_owned(), json!("generic"));
        }
        Some(category) if category.as_str().and_then(Category::read).is_some() => {}
        Some(category) => {
            return Err(format!(
                "{place}.labels.category is {category}; write hardware, service or generic"
            ));
        }
    }
    check_texts(Some(&labels), &format!("{place}.labels"))?;
    Ok(labels)
}

/// Prometheus has texts for labels and annotations; names of labels are words.
fn check_texts(map: Option<&Map<String, Value>>, place: &str) -> Result<(), String> {
    for (key, value) in map.into_iter().flatten() {
        let is_word = !key.is_empty()
            && !key.starts_with(|c: char| c.is_ascii_digit())
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_word {
            return Err(format!(
                "{place} has the key '{}', which is no word of letters, digits and _",
                super::shown(key)
            ));
        }
        if !matches!(value, Value::String(_) | Value::Bool(_) | Value::Number(_)) {
            return Err(format!("{place}.{key} is not text"));
        }
    }
    Ok(())
}

/// Rules as a request or a file has them.
pub(super) fn read(document: &Value) -> Result<Vec<Rule>, String> {
    let groups = document.get("groups").and_then(Value::as_array);
    let groups = groups
        .ok_or("the list groups is missing: {\"groups\": [{\"name\": …, \"rules\": […]}]}")?;
    let mut all = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let rules = group.get("rules").unwrap_or(&Value::Null);
        let rules = match rules {
            Value::Null => continue,
            rules => {
                rules.as_array().ok_or_else(|| format!("groups[{number}].rules is no list"))?
            }
        };
        for (at, rule) in rules.iter().enumerate() {
            all.push(Rule::read(rule, &format!("groups[{number}].rules[{at}]"))?);
        }
    }
    if all.len() > MOST {
        return Err(format!("these are {} rules; {MOST} are the most", all.len()));
    }
    Ok(all)
}

/// Rules in their group, as requests have them.
pub(super) fn document(rules: &[Rule]) -> Value {
    grouped(&rules.iter().map(Rule::shown).collect::<Vec<_>>())
}

/// Rules in their group, as Prometheus reads them.
pub(super) fn file(rules: &[Rule]) -> Value {
    grouped(&rules.iter().map(Rule::stored).collect::<Vec<_>>())
}

fn grouped(rules: &[Value]) -> Value {
    json!({ "groups": [{ "name": GROUP, "rules": rules }] })
}

/// What counts for all rules of single nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Switches {
    /// They alert nobody.
    pub(crate) disabled: bool,
    /// They count for node health checks.
    pub(crate) nhc: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self { disabled: false, nhc: true }
    }
}

/// What somebody wants changed of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) disabled: Option<bool>,
    pub(crate) nhc: Option<bool>,
}

impl Switches {
    /// What a request wants.
    pub(crate) fn read(value: &Value, place: &str) -> Result<Wanted, String> {
        let object =
            value.as_object().ok_or_else(|| format!("{place} is missing, or no object"))?;
        let boolean = |key: &str| match object.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(format!("{place}.{key} is {other}; write true or false")),
        };
        Ok(Wanted { disabled: boolean("disabled")?, nhc: boolean("nhc")? })
    }

    pub(crate) fn changed_by(self, wanted: Wanted) -> Self {
        Self {
            disabled: wanted.disabled.unwrap_or(self.disabled),
            nhc: wanted.nhc.unwrap_or(self.nhc),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(rule: &Value) -> Result<Vec<Rule>, String> {
        read(&json!({ "groups": [{ "name": "x", "rules": [rule] }] }))
    }

    #[test]
    fn a_rule_is_read_checked_and_completed() {
        let rule = json!({ "alert": "NodeDown", "expr": "up == 0", "for": "5m", "annotations": null,
            "labels": { "severity": "critical", "nhc": "true" } });
        let read = one(&rule).unwrap();
        assert_eq!(read[0].category(), Category::Generic);
        assert_eq!(read[0].labels["nhc"], json!(true));
        assert_eq!(read[0].shown()["annotations"], Value::Null);
        assert!(read[0].stored().get("annotations").is_none());
        assert_eq!(document(&read)["groups"][0]["rules"][0]["for"], json!("5m"));
    }

    #[test]
    fn what_means_nothing_is_refused_with_its_place() {
        let usual = || json!({ "alert": "A", "expr": "up", "labels": {} });
        for (key, value, part) in [
            ("for", json!("5 minutes"), "rules[0].for"),
            ("for", json!("m"), "such as 5m"),
            ("for", json!(5), "such as 5m"),
            ("for", json!("5|"), "such as 5m"),
            ("alert", json!(""), "rules[0].alert"),
            ("expr", json!(7), "rules[0].expr"),
            ("labels", json!([]), "labels is not an object"),
            ("labels", json!({ "severity": "bad" }), "critical"),
            ("labels", json!({ "category": "x" }), "hardware, service or generic"),
            ("labels", json!({ "nhc": "perhaps" }), "true or false"),
            ("labels", json!({ "a-b": "c" }), "'a-b'"),
            ("labels", json!({ "a": ["c"] }), "labels.a"),
            ("annotations", json!("text"), "annotations is not an object"),
            ("record", json!("x"), "rules[0].record is not known"),
        ] {
            let mut rule = usual();
            rule[key] = value;
            let error = one(&rule).unwrap_err();
            assert!(error.contains(part), "{key}: {error}");
        }
        assert!(read(&json!([])).unwrap_err().contains("groups"));
        assert!(read(&json!({ "groups": [{ "rules": 7 }] })).unwrap_err().contains("groups[0]"));
        assert_eq!(read(&json!({ "groups": [{ "name": "x", "rules": null }] })).unwrap(), []);
    }
}
