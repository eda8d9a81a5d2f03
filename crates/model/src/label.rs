//! Labels: what a site says of its nodes, groups, racks and images in its own words, as `key=value`.
//!
//! A node has the labels of its group and of the groups above that as well; where several have one key, the nearest counts.

mod index;
mod of_node;

use std::collections::BTreeMap;
use std::fmt;

pub use index::LabelIndex;
use serde::{Deserialize, Serialize};

use crate::Violation;

/// The field of requests that has them.
const FIELD: &str = "labels";
/// The most labels of one object: labels are for selecting, not for storing.
pub const MOST: usize = 32;
/// The longest key, and the longest value, in bytes.
pub const LONGEST: usize = 63;

/// The labels of one object, by their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// These, and of the others those whose keys are not among them.
    #[must_use]
    pub fn or(mut self, others: &Self) -> Self {
        for (key, value) in &others.0 {
            self.0.entry(key.clone()).or_insert_with(|| value.clone());
        }
        self
    }

    /// Those whose keys the others do not have.
    pub(crate) fn but(mut self, others: &Self) -> Self {
        self.0.retain(|key, _| !others.0.contains_key(key));
        self
    }

    /// Keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Changes them as asked. Refused when there would be more than [`MOST`].
    pub fn apply(&mut self, request: &Request) -> Result<(), Violation> {
        if request.clear {
            self.0.clear();
        }
        for (key, value) in &request.changes {
            match value {
                Some(value) => self.0.insert(key.clone(), value.clone()),
                None => self.0.remove(key),
            };
        }
        let count = self.0.len();
        if count > MOST {
            let reason = format!("{count} labels are too many; an object has at most {MOST}");
            return Err(Violation { field: FIELD.to_owned(), reason });
        }
        Ok(())
    }
}

/// `canary=yes,tier=gpu`, as requests take them.
impl fmt::Display for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (key, value)) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "," };
            write!(formatter, "{separator}{key}={value}")?;
        }
        Ok(())
    }
}

/// What a client asks of labels. Those that are not named stay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Whether those that there are go first.
    pub clear: bool,
    changes: BTreeMap<String, Option<String>>,
}

impl Request {
    /// Adds `key=value`, which sets a label, or `key=`, which removes it.
    pub fn add(&mut self, word: &str) -> Result<(), String> {
        let Some((key, value)) = word.split_once('=') else {
            return Err(format!("'{}' must be key=value", shown(word)));
        };
        self.set(key.trim(), value.trim())
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        check_key(key)?;
        let value = if value.is_empty() { None } else { Some(value) };
        if let Some(value) = value {
            check(value, "value")?;
        }
        match self.changes.insert(key.to_owned(), value.map(str::to_owned)) {
            Some(_) => Err(format!("the label '{key}' is given twice; keep one")),
            None => Ok(()),
        }
    }

    /// The labels of an object that has no others.
    pub fn alone(&self) -> Result<Labels, Violation> {
        let mut labels = Labels::default();
        labels.apply(self).map(|()| labels)
    }
}

/// Whether this can be the key of a label; else why not.
pub fn check_key(key: &str) -> Result<(), String> {
    check(key, "key")
}

/// What stands in selectors, file names and monitoring without quotes.
fn check(text: &str, what: &str) -> Result<(), String> {
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let reason = if text.is_empty() {
        "it is empty".to_owned()
    } else if text.len() > LONGEST {
        format!("it is longer than {LONGEST} characters")
    } else if !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        "it may have letters, digits, '-', '_' and '.'".to_owned()
    } else if !is_end(text.chars().next()) || !is_end(text.chars().next_back()) {
        "it must begin and end with a letter or digit".to_owned()
    } else {
        return Ok(());
    };
    Err(format!("invalid {what} of a label '{}': {reason}", shown(text)))
}

/// A text of a request as an error shows it: not endless.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Labels, MOST, Request};

    fn request(words: &[&str]) -> Result<Request, String> {
        let mut request = Request::default();
        words.iter().try_for_each(|word| request.add(word))?;
        Ok(request)
    }

    fn labels(words: &[&str]) -> Labels {
        request(words).unwrap().alone().unwrap()
    }

    #[test]
    fn what_is_not_named_stays_and_an_empty_value_removes() {
        let mut some = labels(&["canary=yes", "tier=gpu"]);
        some.apply(&request(&["canary=", "owner=physics", "absent="]).unwrap()).unwrap();
        assert_eq!(some.to_string(), "owner=physics,tier=gpu");
        some.apply(&Request { clear: true, ..request(&["a=b"]).unwrap() }).unwrap();
        assert_eq!(some.to_string(), "a=b");
    }

    #[test]
    fn only_what_selectors_read_is_a_label() {
        for word in ["a=b", "A.b-c_d=1.0-rc1", "9=9", " a = b "] {
            assert_eq!(labels(&[word]).iter().count(), 1, "{word}");
        }
        let long = "k".repeat(LONGEST + 1);
        let (long_key, long_value) = (format!("{long}=v"), format!("k={long}"));
        for word in [
            "",
            "a",
            "=b",
            "a=b=c",
            "a=b c",
            "a=*",
            "a=b,c",
            "ä=b",
            "a=ö",
            "-a=b",
            "a=b.",
            "a=\u{0}",
            long_key.as_str(),
            long_value.as_str(),
        ] {
            assert!(request(&[word]).is_err(), "{word:?}");
        }
        assert!(request(&["a=b", "a="]).unwrap_err().contains("twice"));
    }

    #[test]
    fn an_object_has_only_so_many() {
        let words: Vec<String> = (0..=MOST).map(|number| format!("k{number}=v")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(labels(&words[..MOST]).iter().count(), MOST);
        assert!(request(&words).unwrap().alone().unwrap_err().reason.contains("33 labels"));
    }
}
