//! Reads the fields of a request's object, and collects everything that is wrong with them.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use perilune_model::{Name, NameError, Patch, Violation};
use serde_json::{Map, Value};

use crate::definition::{About, Field, Kind};
use crate::hidden::HIDDEN;

/// As long as any text may be; scripts and disk layouts of 1 MiB come base64-encoded in one.
const LONGEST_TEXT: usize = (1 << 20) / 3 * 4 + 4;
/// So many letters allow for one slip: `position` and `provision` are four slips apart, and different words.
const LETTERS_FOR_A_SLIP: usize = 3;
/// As long as the beginning of a word must be to stand for it: `osimage` for `osimagetag`, but no `i` for `ipaddress`.
const SHORTEST_BEGINNING: usize = 4;

/// The fields of one object. Every read says which field it is for; [`Fields::finish`] refuses what nobody read.
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    /// Where the object stands, for messages about a list's items; empty at the top.
    place: String,
    known: Vec<String>,
    violations: Vec<Violation>,
    /// Where the fields are only told, and there is nothing to read: those so far.
    told: Option<Vec<Field>>,
    /// What was said of the field that is read next.
    about: About,
}

impl<'a> Fields<'a> {
    /// The fields of an object.
    pub fn new(object: &'a Map<String, Value>) -> Self {
        let (place, known, violations) = (String::new(), Vec::new(), Vec::new());
        Self { object, place, known, violations, told: None, about: About::default() }
    }

    /// What a reader reads of an empty object is told, and not read.
    pub(crate) fn telling(nothing: &'a Map<String, Value>) -> Self {
        Self { told: Some(Vec::new()), ..Self::new(nothing) }
    }

    /// Whether the fields are only told.
    pub(crate) fn is_telling(&self) -> bool {
        self.told.is_some()
    }

    /// What was told. What is refused where nothing is said is needed.
    pub(crate) fn told(self) -> Vec<Field> {
        let mut told = self.told.unwrap_or_default();
        for field in &mut told {
            field.is_needed = self.violations.iter().any(|needed| needed.field == field.name);
        }
        told
    }

    /// What the field that is read next is for.
    pub fn help(&mut self, help: &'static str) -> &mut Self {
        self.about.help = Some(help);
        self
    }

    /// The field that is read next is the name of such an object.
    pub fn of(&mut self, kind: &'static str) -> &mut Self {
        self.about.of = Some(kind);
        self
    }

    /// The field that is read next has a shorter name that people type.
    pub fn or(&mut self, alias: &'static str) -> &mut Self {
        self.about.alias = Some(alias);
        self
    }

    /// The field that is read next takes these words.
    pub fn words(&mut self, words: &'static [&'static str]) -> &mut Self {
        self.about.words = words;
        self
    }

    /// The field that is read next is base64 by convention.
    pub fn encoded(&mut self) -> &mut Self {
        self.about.is_encoded = true;
        self
    }

    /// The field that is read next is a password.
    pub fn password(&mut self) -> &mut Self {
        self.about.is_password = true;
        self
    }

    /// The field that is read next may be `false`, which says as little as leaving it out.
    pub(crate) fn or_false(&mut self) -> &mut Self {
        self.about.takes_false = true;
        self
    }

    /// A field is read in such a way. Of readers within readers the outermost knows best.
    fn tell(&mut self, field: &str, kind: impl FnOnce() -> Kind) {
        let about = std::mem::take(&mut self.about);
        if let Some(told) = &mut self.told
            && !told.iter().any(|known| known.name == field)
        {
            told.push(about.field(field, kind()));
        }
    }

    /// Whether the field is there, whatever its value.
    pub fn has(&self, field: &str) -> bool {
        self.object.contains_key(field)
    }

    /// Refuses a request that does not say this, with what to do.
    pub fn require(&mut self, field: &str, reason: &str) {
        if !self.has(field) {
            self.refuse(field, reason);
        }
    }

    /// The field as it stands. It counts as read.
    pub fn raw(&mut self, field: &str) -> Option<&'a Value> {
        self.raw_as(field, || Kind::Text)
    }

    /// The field as it stands, which should be of such a kind.
    pub(crate) fn raw_as(&mut self, field: &str, kind: impl FnOnce() -> Kind) -> Option<&'a Value> {
        self.tell(field, kind);
        self.known.push(field.to_owned());
        self.object.get(field)
    }

    /// A text that not everybody is shown: who sends back what stands in its place leaves it as it is.
    pub fn secret(&mut self, field: &str) -> Patch<String> {
        match self.text(field) {
            Patch::Set(text) if text == HIDDEN => Patch::Keep,
            said => said,
        }
    }

    /// A text; `""` and null clear.
    pub fn text(&mut self, field: &str) -> Patch<String> {
        let text = match self.raw(field) {
            None => return Patch::Keep,
            Some(Value::Null) => return Patch::Clear,
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(value)) => {
                self.refuse(
                    field,
                    format!("it must be a text; if it is {value}, put it in quotes"),
                );
                return Patch::Keep;
            }
            Some(Value::Array(_) | Value::Object(_)) => {
                self.refuse(field, "it must be a text");
                return Patch::Keep;
            }
        };
        if text.is_empty() {
            return Patch::Clear;
        }
        if text.len() > LONGEST_TEXT {
            self.refuse(field, format!("it is longer than {LONGEST_TEXT} bytes"));
            return Patch::Keep;
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.refuse(field, "it contains a control character; encode it as base64 or remove it");
            return Patch::Keep;
        }
        Patch::Set(text)
    }

    /// A boolean in any of its spellings; `""` and null clear.
    pub fn boolean(&mut self, field: &str) -> Patch<bool> {
        let value = match self.raw_as(field, || Kind::Flag) {
            None => return Patch::Keep,
            Some(Value::Null) => return Patch::Clear,
            Some(Value::String(text)) if text.is_empty() => return Patch::Clear,
            Some(value) => boolean(value),
        };
        match value {
            Some(value) => Patch::Set(value),
            None => {
                self.refuse(field, "it must be true or false (or yes, no, on, off, y, n, 1, 0)");
                Patch::Keep
            }
        }
    }

    /// A flag that is false unless it is given as true.
    pub fn flag(&mut self, field: &str) -> bool {
        self.boolean(field).value().copied().unwrap_or(false)
    }

    /// A value that is written as a text or a number; `""` and null clear.
    pub fn parsed<T>(&mut self, field: &str) -> Patch<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.converted(field, |text| text.parse::<T>().map_err(|error| error.to_string()))
    }

    /// An IP address.
    pub fn address(&mut self, field: &str) -> Patch<IpAddr> {
        self.tell(field, || Kind::Address);
        self.converted(field, |text| {
            text.parse().map_err(|_error| format!("'{text}' is not an IP address"))
        })
    }

    /// A whole number.
    pub fn number<T: FromStr>(&mut self, field: &str) -> Patch<T> {
        self.tell(field, || Kind::Number);
        self.converted(field, |text| {
            if perilune_plan::has_leading_zero(text) {
                return Err(format!(
                    "'{text}' begins with a zero, and some read such a number with the base eight; write it without"
                ));
            }
            let is_signed = text.starts_with('+');
            let number = text.parse().ok().filter(|_| !is_signed);
            number.ok_or_else(|| format!("'{text}' is not a number in its range"))
        })
    }

    /// A name of one of the classes of [`Name`].
    pub fn name(&mut self, field: &str, check: fn(&str) -> Result<Name, NameError>) -> Patch<Name> {
        self.converted(field, |text| check(text).map_err(|error| error.to_string()))
    }

    /// A new name: `""` and null are refused.
    pub fn new_name(
        &mut self,
        field: &str,
        check: fn(&str) -> Result<Name, NameError>,
    ) -> Option<Name> {
        match self.name(field, check) {
            Patch::Keep => None,
            Patch::Clear => {
                self.refuse(field, "it is empty; give a name");
                None
            }
            Patch::Set(name) => Some(name),
        }
    }

    /// A list of words separated by commas or blanks, or a JSON list of texts; `""` and null clear.
    pub fn list(&mut self, field: &str) -> Patch<Vec<String>> {
        self.tell(field, || Kind::List);
        if let Some(Value::Array(items)) = self.object.get(field) {
            self.known.push(field.to_owned());
            let texts: Option<Vec<String>> =
                items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            return match texts {
                Some(texts) if texts.is_empty() => Patch::Clear,
                Some(texts) => Patch::Set(texts),
                None => {
                    self.refuse(field, "it must be a list of texts");
                    Patch::Keep
                }
            };
        }
        let words = |text: String| {
            text.split([',', ' ', '\t', '\n', '\r'])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        self.text(field).map(words)
    }

    /// A text that `convert` reads; its error becomes the reason of the refusal.
    pub fn converted<T>(
        &mut self,
        field: &str,
        convert: impl FnOnce(&str) -> Result<T, String>,
    ) -> Patch<T> {
        match self.text(field) {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(text) => match convert(text.trim()) {
                Ok(value) => Patch::Set(value),
                Err(reason) => {
                    self.refuse(field, reason);
                    Patch::Keep
                }
            },
        }
    }

    /// One of all these, by its word in any case of letters.
    pub fn one_of<T: Copy>(
        &mut self,
        field: &str,
        all: &[T],
        word: fn(T) -> &'static str,
    ) -> Patch<T> {
        let words = || all.iter().map(|one| word(*one)).collect::<Vec<_>>();
        self.tell(field, || Kind::Words(words()));
        self.converted(field, |text| {
            let found = all.iter().find(|one| word(**one).eq_ignore_ascii_case(text));
            found
                .copied()
                .ok_or_else(|| format!("it must be one of {}, or empty", words().join(", ")))
        })
    }

    /// A text that is kept as it is given, when it can be what it is for.
    pub fn checked(
        &mut self,
        field: &str,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> Patch<String> {
        let text = self.text(field);
        if let Some(Err(reason)) = text.value().map(|text| check(text)) {
            self.refuse(field, reason);
            return Patch::Keep;
        }
        text
    }

    /// A list of objects, each read in turn. `None` when the field is absent.
    pub fn objects<T>(
        &mut self,
        field: &str,
        mut read: impl FnMut(&mut Fields<'a>) -> T,
    ) -> Option<Vec<T>> {
        if self.told.is_some() {
            let mut fields = Fields::telling(self.object);
            read(&mut fields);
            self.tell(field, || Kind::Objects(fields.told()));
            return None;
        }
        let items = match self.raw(field)? {
            Value::Array(items) => items,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => {
                self.refuse(field, "it must be a list of objects");
                return None;
            }
        };
        let mut objects = Vec::with_capacity(items.len());
        for (position, item) in items.iter().enumerate() {
            let place = format!("{}{field}[{position}].", self.place);
            let Value::Object(object) = item else {
                let place = place.trim_end_matches('.').to_owned();
                self.violations
                    .push(Violation { field: place, reason: "it must be an object".to_owned() });
                continue;
            };
            let mut fields = Fields { place, ..Fields::new(object) };
            objects.push(read(&mut fields));
            self.violations.extend(fields.violations_of_all());
        }
        Some(objects)
    }

    /// Fields that may be there and have no effect.
    pub fn ignore(&mut self, fields: &[&str]) {
        if let Some(told) = &mut self.told {
            let ignored = |name: &&str| Field {
                is_ignored: true,
                ..About::default().field(name, Kind::Text)
            };
            told.extend(fields.iter().map(ignored));
        }
        self.known.extend(fields.iter().map(|field| (*field).to_owned()));
    }

    /// Refuses a field.
    pub fn refuse(&mut self, field: &str, reason: impl Into<String>) {
        self.violations
            .push(Violation { field: format!("{}{field}", self.place), reason: reason.into() });
    }

    /// Everything that is wrong, unknown fields included.
    pub fn finish(mut self) -> Result<(), Vec<Violation>> {
        let violations = self.violations_of_all();
        if violations.is_empty() { Ok(()) } else { Err(violations) }
    }

    fn violations_of_all(&mut self) -> Vec<Violation> {
        for field in self.object.keys() {
            if !self.known.contains(field) {
                let reason = unknown("field", field, &self.known);
                self.violations.push(Violation { field: format!("{}{field}", self.place), reason });
            }
        }
        std::mem::take(&mut self.violations)
    }
}

/// Why a word is refused that is none of those that are known; `what` says what it should be.
pub(crate) fn unknown(what: &str, word: &str, known: &[String]) -> String {
    match nearest(word, known.iter().map(String::as_str)) {
        Some(known) => format!("there is no such {what}; did you mean '{known}'?"),
        None => format!("there is no such {what}"),
    }
}

/// The known word that was meant, if one is near: few slips lead from one to the other, in whatever case, or one begins with the other.
/// Words that only share some letters are not near.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = word.to_lowercase().replace('-', "_");
    let slips = |known: &str| {
        let wanted = known.to_lowercase().replace('-', "_");
        let (short, long) =
            if given.len() < wanted.len() { (&given, &wanted) } else { (&wanted, &given) };
        let is_begun = short.len() >= SHORTEST_BEGINNING && long.starts_with(short.as_str());
        let slips = strsim::damerau_levenshtein(&given, &wanted);
        let allowed = short.chars().count() / LETTERS_FOR_A_SLIP;
        (slips <= allowed || is_begun).then_some(slips)
    };
    known.filter_map(|known| Some((slips(known)?, known))).min().map(|(_, known)| known)
}

/// A boolean in any of the API's spellings.
pub fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        // Some clients know only floating point numbers.
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
        Value::String(text) => perilune_plan::boolean(text),
        Value::Number(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T>(value: &Value, read: impl FnOnce(&mut Fields<'_>) -> T) -> (T, Vec<String>) {
        let mut fields = Fields::new(value.as_object().unwrap());
        let result = read(&mut fields);
        let violations = fields.finish().err().unwrap_or_default();
        (
            result,
            violations
                .into_iter()
                .map(|violation| format!("{}: {}", violation.field, violation.reason))
                .collect(),
        )
    }

    #[test]
    fn booleans_have_many_spellings_and_others_are_refused() {
        for (value, expected) in
            [(json!(true), true), (json!("y"), true), (json!("No"), false), (json!(0), false)]
        {
            assert_eq!(
                read(&json!({ "dhcp": value }), |fields| fields.boolean("dhcp")).0,
                Patch::Set(expected)
            );
        }
        let (value, violations) =
            read(&json!({ "dhcp": "maybe" }), |fields| fields.boolean("dhcp"));
        assert_eq!((value, violations.len()), (Patch::Keep, 1));
    }

    #[test]
    fn an_empty_text_clears_and_an_absent_one_keeps() {
        assert_eq!(
            read(&json!({ "comment": "" }), |fields| fields.text("comment")).0,
            Patch::Clear
        );
        assert_eq!(
            read(&json!({ "comment": null }), |fields| fields.text("comment")).0,
            Patch::Clear
        );
        assert_eq!(read(&json!({}), |fields| fields.text("comment")).0, Patch::Keep);
    }

    #[test]
    fn an_unknown_field_is_named_with_the_nearest_known() {
        let (_, violations) = read(&json!({ "osimag": "x" }), |fields| {
            fields.text("osimage");
            fields.text("group")
        });
        assert_eq!(violations, ["osimag: there is no such field; did you mean 'osimage'?"]);
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = [
            "provision_method",
            "osimage",
            "osimagetag",
            "script_timeout",
            "macaddress",
            "ipaddress",
            "group",
            "roles",
            "dhcp",
        ];
        for (word, near) in [
            ("position", None),
            ("orientation", None),
            ("provision", Some("provision_method")),
            ("osimag", Some("osimage")),
            ("OSIMAGE", Some("osimage")),
            ("script_timeouts", Some("script_timeout")),
            ("script-timeout", Some("script_timeout")),
            ("adress", None),
            ("ipadress", Some("ipaddress")),
            ("macadress", Some("macaddress")),
            ("gropu", Some("group")),
            ("rules", Some("roles")),
            ("dns", None),
            ("dhpc", Some("dhcp")),
            ("i", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known.into_iter()), near, "{word}");
        }
    }

    #[test]
    fn every_violation_of_every_item_is_told_with_its_place() {
        let value = json!({ "interfaces": [{ "mtu": "x" }, 7, { "mtu": 9000, "speed": 1 }] });
        let (_, violations) = read(&value, |fields| {
            fields.objects("interfaces", |fields| fields.number::<u16>("mtu"))
        });
        assert_eq!(
            violations,
            [
                "interfaces[0].mtu: 'x' is not a number in its range",
                "interfaces[1]: it must be an object",
                "interfaces[2].speed: there is no such field"
            ]
        );
    }

    #[test]
    fn numbers_are_those_that_everybody_reads_alike() {
        let number =
            |value: Value| read(&json!({ "mtu": value }), |fields| fields.number::<u16>("mtu"));
        for value in [json!(1500), json!("1500"), json!(" 1500 ")] {
            assert_eq!(number(value), (Patch::Set(1500), vec![]));
        }
        assert_eq!(number(json!("0")), (Patch::Set(0), vec![]));
        for value in ["01500", "00", "+1500", "0x5dc", "1_500", "1e3", "1500.0", "٣"] {
            let (patch, violations) = number(json!(value));
            assert_eq!((patch, violations.len()), (Patch::Keep, 1), "{value}");
        }
        assert!(number(json!("010")).1[0].contains("begins with a zero"));
    }

    #[test]
    fn wrong_types_are_refused() {
        for value in [
            json!({ "name": [] }),
            json!({ "name": {} }),
            json!({ "name": true }),
            json!({ "name": "a\u{0}b" }),
        ] {
            assert_eq!(read(&value, |fields| fields.text("name")).1.len(), 1, "{value}");
        }
    }
}
