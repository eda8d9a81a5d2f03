//! Names of objects: what may be a name, checked once, where it enters.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of an object: its key everywhere. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

/// The longest name of a DNS host label, and so of a node (RFC 1035, section 2.3.4).
const LONGEST_HOST: usize = 63;
/// The longest DNS name, and the longest name of anything.
const LONGEST_NAME: usize = 253;
/// Words that routes use where a name could stand.
const RESERVED: [&str; 2] = ["default", "inventory"];

impl Name {
    /// How [`Name::general`] wants a name, but for its length and reserved words, as a regular expression.
    pub const GENERAL_FORM: &str = r"^[A-Za-z0-9]([-A-Za-z0-9._ ]{0,250}[-A-Za-z0-9_])?$";
    /// Likewise of [`Name::host`].
    pub const HOST_FORM: &str = r"^[a-z0-9]([-a-z0-9.]{0,61}[-a-z0-9])?$";

    /// A name of letters, digits, `-`, `.`, `_` and blanks: groups, images, BMC setups and most others.
    pub fn general(text: &str) -> Result<Self, NameError> {
        let name = collapse_dots(text);
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-._ ".contains(c)) {
            return Err(NameError::Characters("letters, digits, '-', '.', '_' and blanks"));
        }
        check_length(&name, LONGEST_NAME)?;
        check_ends(&name)?;
        check_reserved(&name)?;
        Ok(Self(name.into()))
    }

    /// A host name of lower-case letters, digits, `-` and `.`: nodes, switches, other devices, controllers.
    pub fn host(text: &str) -> Result<Self, NameError> {
        let name = collapse_dots(text);
        if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c)) {
            return Err(NameError::Characters("lower-case letters, digits, '-' and '.'"));
        }
        check_length(&name, LONGEST_HOST)?;
        check_ends(&name)?;
        check_reserved(&name)?;
        Ok(Self(name.into()))
    }

    /// A DNS domain of dotted lower-case labels: networks, whose names are the domains of their hosts.
    pub fn domain(text: &str) -> Result<Self, NameError> {
        let name = collapse_dots(text);
        let name = name.strip_suffix('.').unwrap_or(&name);
        check_length(name, LONGEST_NAME)?;
        if !name.split('.').all(is_label) {
            return Err(NameError::Label);
        }
        Ok(Self(name.into()))
    }

    /// The name of an interface, such as `BOOTIF`, `BMC`, `eth0.100`.
    pub fn interface(text: &str) -> Result<Self, NameError> {
        if text.is_empty()
            || text.chars().any(|c| c.is_whitespace() || c.is_control() || "/'\"`$\\".contains(c))
        {
            return Err(NameError::Characters(
                "characters other than blanks, slashes, quotes, '$', '\\' and control characters",
            ));
        }
        check_length(text, LONGEST_HOST)?;
        Ok(Self(text.into()))
    }

    /// A name that the program itself chose, or that was stored, and needs no check.
    pub fn trusted(text: &str) -> Self {
        Self(text.into())
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Name {
    fn default() -> Self {
        Self("".into())
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, formatter)
    }
}

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("it is empty; give a name")]
    Empty,
    /// More characters than a name may have.
    #[error("it is longer than {0} characters")]
    TooLong(usize),
    /// A character that is not allowed.
    #[error("a name may contain only {0}")]
    Characters(&'static str),
    /// It begins or ends so that it could not be a file's or a host's name.
    #[error("it must begin with a letter or a digit, and must not end with a dot or a blank")]
    Ends,
    /// Not a DNS domain.
    #[error(
        "each part between dots must be 1 to 63 lower-case letters, digits or '-', without '-' at its ends"
    )]
    Label,
    /// A word that has a meaning of its own.
    #[error("'{0}' is a reserved word; choose another name")]
    Reserved(&'static str),
}

fn collapse_dots(text: &str) -> String {
    let mut name = String::with_capacity(text.len().min(LONGEST_NAME));
    for c in text.chars() {
        if !(c == '.' && name.ends_with('.')) {
            name.push(c);
        }
    }
    name
}

fn check_length(name: &str, longest: usize) -> Result<(), NameError> {
    match name.len() {
        0 => Err(NameError::Empty),
        length if length > longest => Err(NameError::TooLong(longest)),
        _ => Ok(()),
    }
}

fn check_ends(name: &str) -> Result<(), NameError> {
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let ends_well = !name.ends_with(['.', ' ']);
    if begins_well && ends_well { Ok(()) } else { Err(NameError::Ends) }
}

fn check_reserved(name: &str) -> Result<(), NameError> {
    RESERVED
        .into_iter()
        .find(|word| *word == name)
        .map_or(Ok(()), |word| Err(NameError::Reserved(word)))
}

fn is_label(label: &str) -> bool {
    let ends_well = !label.starts_with('-') && !label.ends_with('-');
    let characters =
        label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    (1..=LONGEST_HOST).contains(&label.len()) && ends_well && characters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_each_class_are_taken() {
        assert_eq!(Name::general("Rocky 9_compute.1").unwrap(), "Rocky 9_compute.1");
        assert_eq!(Name::host("node001.rack-1").unwrap(), "node001.rack-1");
        assert_eq!(Name::domain("ib.cluster").unwrap(), "ib.cluster");
        assert_eq!(Name::domain("default").unwrap(), "default");
        assert_eq!(Name::interface("eth0.100").unwrap(), "eth0.100");
    }

    proptest::proptest! {
        #[test]
        fn every_name_of_a_form_is_taken(
            general in without_ends(Name::GENERAL_FORM),
            host in without_ends(Name::HOST_FORM),
        ) {
            assert!(Name::general(&general).is_ok(), "{general:?}");
            assert!(Name::host(&host).is_ok(), "{host:?}");
        }
    }

    /// Texts of the form: what makes them knows no ends of texts.
    fn without_ends(form: &str) -> impl proptest::strategy::Strategy<Value = String> + use<> {
        let inner = form.trim_start_matches('^').trim_end_matches('$');
        proptest::string::string_regex(inner).unwrap()
    }

    #[test]
    fn runs_of_dots_become_one() {
        assert_eq!(Name::host("a..b").unwrap(), "a.b");
    }

    #[test]
    fn what_could_leave_a_directory_or_a_script_is_refused() {
        for text in [
            "..",
            ".",
            ".hidden",
            "a/b",
            "a'b",
            "a\"b",
            "a\nb",
            "",
            " a",
            "a ",
            "-rf",
            "{{x}}",
            "default",
            "inventory",
        ] {
            assert!(Name::general(text).is_err(), "{text:?}");
            assert!(Name::host(text).is_err(), "{text:?}");
        }
        assert!(Name::host("Node001").is_err());
        assert!(Name::host(&"n".repeat(64)).is_err());
        assert!(Name::general(&"n".repeat(10_000)).is_err());
        assert!(Name::domain("a-.b").is_err());
        assert!(Name::domain("under_score").is_err());
        assert!(Name::interface("eth 0").is_err());
    }
}
