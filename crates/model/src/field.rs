//! Fields of an object, each of which is listed once: the object, what requests say of it, and the tables by which it is shown and stored elsewhere
//! are made from that list.

use std::net::IpAddr;

use crate::Patch;
use crate::provisioning::{InstallPolicy, ProvisionMethod};

/// What an object says in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// Nothing.
    Nothing,
    /// A text, or a word of the API.
    Text(String),
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    List(Vec<String>),
}

/// What a field is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A text, or a word of the API.
    Text,
    /// Yes or no.
    Flag,
    /// Several texts.
    List,
    /// Several addresses, in one text.
    Addresses,
}

/// A field of an object `O`.
#[derive(Debug)]
pub struct Field<O> {
    /// Its name in the model and in the API.
    pub name: &'static str,
    /// What it is for.
    pub kind: FieldKind,
    /// What the object says.
    pub of: fn(&O) -> FieldValue,
}

/// A type that a field can have.
pub trait FieldType {
    /// What a request gives.
    type Given;
    /// What the field is for.
    const KIND: FieldKind;
    /// What is said.
    fn value(&self) -> FieldValue;
    /// Writes what a request says; `cleared` is what the field is when that clears it.
    fn write(&mut self, given: &Patch<Self::Given>, cleared: Self);
}

impl FieldType for bool {
    type Given = Self;
    const KIND: FieldKind = FieldKind::Flag;

    fn value(&self) -> FieldValue {
        FieldValue::Flag(*self)
    }

    fn write(&mut self, given: &Patch<Self>, cleared: Self) {
        given.apply_or(self, cleared);
    }
}

impl FieldType for Vec<String> {
    type Given = Self;
    const KIND: FieldKind = FieldKind::List;

    fn value(&self) -> FieldValue {
        if self.is_empty() { FieldValue::Nothing } else { FieldValue::List(self.clone()) }
    }

    fn write(&mut self, given: &Patch<Self>, cleared: Self) {
        given.apply_or(self, cleared);
    }
}

impl FieldType for Vec<IpAddr> {
    type Given = Self;
    const KIND: FieldKind = FieldKind::Addresses;

    fn value(&self) -> FieldValue {
        if self.is_empty() {
            return FieldValue::Nothing;
        }
        let texts: Vec<String> = self.iter().map(ToString::to_string).collect();
        FieldValue::Text(texts.join(","))
    }

    fn write(&mut self, given: &Patch<Self>, cleared: Self) {
        given.apply_or(self, cleared);
    }
}

macro_rules! optional {
    ($($type:ty: $kind:ident, $say:expr;)*) => {
        $(impl FieldType for Option<$type> {
            type Given = $type;
            const KIND: FieldKind = FieldKind::$kind;

            fn value(&self) -> FieldValue {
                let say: fn(&$type) -> FieldValue = $say;
                self.as_ref().map_or(FieldValue::Nothing, say)
            }

            fn write(&mut self, given: &Patch<$type>, _cleared: Self) {
                given.apply(self);
            }
        })*
    };
}

optional! {
    bool: Flag, |flag| FieldValue::Flag(*flag);
    String: Text, |text| FieldValue::Text(text.clone());
    ProvisionMethod: Text, |method| FieldValue::Text(method.word().to_owned());
    InstallPolicy: Text, |policy| FieldValue::Text(policy.word().to_owned());
}
