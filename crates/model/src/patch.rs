//! What a request says about one field.

/// What a request says about one field of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Nothing: the field stays as it is.
    #[default]
    Keep,
    /// The field becomes unset (`""` or null in a request).
    Clear,
    /// The field gets this value.
    Set(T),
}

impl<T> Patch<T> {
    /// The new value, if one is given.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Whether the request says anything about the field.
    pub fn is_given(&self) -> bool {
        !matches!(self, Self::Keep)
    }

    /// Converts the value.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(convert(value)),
        }
    }
}

impl<T: Clone> Patch<T> {
    /// Writes the change into an optional field.
    pub fn apply(&self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::Set(value) => *field = Some(value.clone()),
        }
    }

    /// Writes the change into a field that always has a value; clearing gives the default.
    pub fn apply_or(&self, field: &mut T, default: T) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = default,
            Self::Set(value) => *field = value.clone(),
        }
    }
}
