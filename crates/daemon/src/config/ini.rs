//! The dialect of existing `luna.ini` files: that of Python's `RawConfigParser`. `key = value` or `key: value`, keys in any case,
//! remarks only as whole lines, no escapes, nothing twice. No library of ours reads values with `;` and `%` as that parser does.

use std::collections::BTreeMap;

/// The keys of one section, in capitals, with their values.
pub type Section = BTreeMap<String, String>;

/// A parsed file.
#[derive(Debug, Clone, Default)]
pub struct Ini {
    sections: BTreeMap<String, Section>,
}

impl Ini {
    /// Reads a text; an error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut ini = Self::default();
        let mut current: Option<String> = None;
        let mut last_key: Option<String> = None;
        // Where each section begins, and each key of a section stands.
        let mut sections: BTreeMap<String, usize> = BTreeMap::new();
        let mut keys: BTreeMap<String, usize> = BTreeMap::new();
        for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with([';', '#']) {
                continue;
            }
            let continues = line.starts_with([' ', '\t']);
            if let (true, Some(section), Some(key)) = (continues, &current, &last_key) {
                if let Some(value) =
                    ini.sections.get_mut(section).and_then(|section| section.get_mut(key))
                {
                    value.push('\n');
                    value.push_str(trimmed);
                }
                continue;
            }
            if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                if let Some(first) = sections.insert(name.to_owned(), number) {
                    return Err(format!(
                        "line {number}: the section [{name}] is there twice, first in line {first}; put its keys together"
                    ));
                }
                ini.sections.insert(name.to_owned(), Section::new());
                keys.clear();
                current = Some(name.to_owned());
                last_key = None;
                continue;
            }
            let Some(section) = current.as_ref().and_then(|name| ini.sections.get_mut(name)) else {
                return Err(format!(
                    "line {number}: '{trimmed}' stands before the first [SECTION]"
                ));
            };
            let Some((key, value)) = trimmed.split_once(['=', ':']) else {
                return Err(format!(
                    "line {number}: '{trimmed}' is neither a section nor 'key = value'"
                ));
            };
            let key = key.trim().to_ascii_uppercase();
            if let Some(first) = keys.insert(key.clone(), number) {
                return Err(format!(
                    "line {number}: {key} is there twice, first in line {first}; keep one"
                ));
            }
            section.insert(key.clone(), value.trim().to_owned());
            last_key = Some(key);
        }
        Ok(ini)
    }

    /// A value that is not empty.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        #[cfg(test)]
        ASKED.with_borrow_mut(|asked| asked.insert((section.to_owned(), key.to_owned())));
        self.sections.get(section)?.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A section.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(name)
    }

    /// All sections.
    pub fn sections(&self) -> impl Iterator<Item = (&String, &Section)> {
        self.sections.iter()
    }
}

#[cfg(test)]
thread_local! {
    /// Every key that this thread asked for, so that a test can hold them against the documents.
    static ASKED: std::cell::RefCell<std::collections::BTreeSet<(String, String)>> = const {
        std::cell::RefCell::new(std::collections::BTreeSet::new())
    };
}

/// The keys that are asked for meanwhile.
#[cfg(test)]
pub(super) fn asked_by(read: impl FnOnce()) -> std::collections::BTreeSet<(String, String)> {
    ASKED.take();
    read();
    ASKED.take()
}
