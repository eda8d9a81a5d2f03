//! Lists of words that clients write with commas or blanks: names of plugins.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

/// Some words, in their order; at least one, but for an empty list that an older version stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Words(Vec<Box<str>>);

impl Words {
    /// Those of a list, without a second of the same; none where it is empty.
    pub fn of(all: impl IntoIterator<Item = impl AsRef<str>>) -> Option<Self> {
        let mut words: Vec<Box<str>> = Vec::new();
        for word in all {
            let word = word.as_ref();
            if !word.is_empty() && !words.iter().any(|known| **known == *word) {
                words.push(word.into());
            }
        }
        (!words.is_empty()).then_some(Self(words))
    }

    /// The words.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl From<String> for Words {
    fn from(text: String) -> Self {
        Self::of(text.split([',', ' ', '\t', '\n'])).unwrap_or(Self(Vec::new()))
    }
}

impl From<Words> for String {
    fn from(words: Words) -> Self {
        words.to_string()
    }
}

/// With commas and no blanks.
impl Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_once_and_written_in_one_way() {
        let words = Words::from(" raid1,  burnin raid1,,".to_owned());
        assert_eq!(words.iter().collect::<Vec<_>>(), ["raid1", "burnin"]);
        assert_eq!(serde_json::to_string(&words).unwrap(), "\"raid1,burnin\"");
        assert_eq!(Words::of([""; 3]), None);
    }
}
