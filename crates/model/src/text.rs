//! Plain texts of objects, each of which is listed once.

use crate::Patch;

/// A text that an object `O` may have, and that a request `R` may change.
#[derive(Debug)]
pub struct Text<O, R> {
    /// Its name in the model and in the API.
    pub name: &'static str,
    /// What the object says.
    pub of: fn(&O) -> Option<&str>,
    /// Where it stands in the object.
    pub place: fn(&mut O) -> &mut Option<String>,
    /// What a request says of it.
    pub asked: fn(&R) -> &Patch<String>,
}

/// Writes what a request says of texts.
pub(crate) fn apply<O, R>(texts: &[Text<O, R>], request: &R, object: &mut O) {
    for text in texts {
        (text.asked)(request).apply((text.place)(object));
    }
}

/// The table of fields that have one name in an object and in a request of it.
macro_rules! texts {
    ($($name:ident),* $(,)?) => {
        &[$($crate::Text {
            name: stringify!($name),
            of: |object| object.$name.as_deref(),
            place: |object| &mut object.$name,
            asked: |request| &request.$name,
        },)*]
    };
}

pub(crate) use texts;
