//! What a request may say, field by field, as its own reader tells: whoever reads a field says there what it is for. Options of the
//! command line, the document of the API and the tables of the reference are made from that.

use serde_json::{Map, Value};
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, OneOfBuilder, Schema, SchemaType,
};
use utoipa::openapi::{ObjectBuilder, RefOr, Type};

use crate::fields::Fields;

/// The spellings of a boolean as a text, as a regular expression; an empty one unsets it.
const FLAG: &str = "^([Tt][Rr][Uu][Ee]|[Yy]([Ee][Ss])?|[Oo][Nn]|1|[Ff][Aa][Ll][Ss][Ee]|[Nn][Oo]?|[Oo][Ff][Ff]|0)?$";
/// Those of a whole number.
const NUMBER: &str = "^(-?(0|[1-9][0-9]*))?$";

/// One field of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name in the request.
    pub name: String,
    /// How its value is written.
    pub kind: Kind,
    /// What it is for, in a sentence without a full stop. Fields that only existing clients send have none.
    pub help: Option<&'static str>,
    /// Of what kind of object it is the name.
    pub of: Option<&'static str>,
    /// A shorter name that people type.
    pub alias: Option<&'static str>,
    /// A request without it is refused.
    pub is_needed: bool,
    /// It may be there, since answers have it, and changes nothing.
    pub is_ignored: bool,
    /// `false` says as little as leaving it out.
    pub takes_false: bool,
}

/// How the value of a field is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// As it is.
    Text,
    /// Base64 by convention: long texts, scripts.
    Encoded,
    /// A text that nobody should see on a screen.
    Password,
    /// True or false, in many spellings.
    Flag,
    /// A whole number.
    Number,
    /// An IP address.
    Address,
    /// Words separated by commas, or a list of texts.
    List,
    /// One of these.
    Words(Vec<&'static str>),
    /// `key=value`, separated by commas; or a list of those; or an object.
    Labels,
    /// Objects with fields of their own.
    Objects(Vec<Field>),
}

/// What is said of a field before it is read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About {
    pub(crate) help: Option<&'static str>,
    pub(crate) of: Option<&'static str>,
    pub(crate) alias: Option<&'static str>,
    pub(crate) words: &'static [&'static str],
    pub(crate) is_encoded: bool,
    pub(crate) is_password: bool,
    pub(crate) takes_false: bool,
}

impl About {
    /// The field of this name that is read in such a way.
    pub(crate) fn field(self, name: &str, kind: Kind) -> Field {
        let kind = match kind {
            Kind::Text if self.is_encoded => Kind::Encoded,
            Kind::Text if self.is_password => Kind::Password,
            Kind::Text if !self.words.is_empty() => Kind::Words(self.words.to_vec()),
            kind => kind,
        };
        let Self { help, of, alias, takes_false, .. } = self;
        let name = name.to_owned();
        Field { name, kind, help, of, alias, is_needed: false, is_ignored: false, takes_false }
    }
}

/// The fields that a reader reads, in its order. What it refuses of an empty object is needed.
pub fn of<T>(read: impl FnOnce(&mut Fields<'_>) -> T) -> Vec<Field> {
    let nothing = Map::new();
    let mut fields = Fields::telling(&nothing);
    read(&mut fields);
    fields.told()
}

/// An object with these fields and no others, as the document of the API describes it.
pub fn schema(fields: &[Field]) -> ObjectBuilder {
    let object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    fields.iter().fold(object, |object, field| {
        let object = object.property(&field.name, property(field));
        if field.is_needed { object.required(&field.name) } else { object }
    })
}

fn property(field: &Field) -> RefOr<Schema> {
    let description = match (field.help, field.is_ignored) {
        (_, true) => Some("Accepted, since answers have it; changes nothing".to_owned()),
        (Some(help), _) => Some(format!("{help}{}", convention(&field.kind))),
        (None, _) => None,
    };
    if field.is_ignored {
        return ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(description)
            .into();
    }
    let of = |types: &[Type]| {
        ObjectBuilder::new().schema_type(types.iter().cloned().collect::<SchemaType>())
    };
    match &field.kind {
        // Some clients send numbers for texts of digits.
        Kind::Text | Kind::Encoded | Kind::Password | Kind::Address if field.takes_false => {
            let text = of(&[Type::String, Type::Number, Type::Null]);
            let no = of(&[Type::Boolean]).enum_values(Some([false]));
            AnyOfBuilder::new().item(text).item(no).description(description).into()
        }
        Kind::Text | Kind::Encoded | Kind::Password | Kind::Address => {
            of(&[Type::String, Type::Number, Type::Null]).description(description).into()
        }
        Kind::Flag => of(&[Type::Boolean, Type::String, Type::Integer, Type::Null])
            .pattern(Some(FLAG))
            .minimum(Some(0_usize))
            .maximum(Some(1_usize))
            .description(description)
            .into(),
        Kind::Number => of(&[Type::Integer, Type::String, Type::Null])
            .pattern(Some(NUMBER))
            .description(description)
            .into(),
        Kind::Words(words) => {
            let empty = [Value::from(""), Value::Null];
            let words = words.iter().map(|word| Value::from(*word)).chain(empty);
            of(&[Type::String, Type::Null]).enum_values(Some(words)).description(description).into()
        }
        Kind::List => one_of([of(&[Type::String, Type::Number, Type::Null])], description),
        Kind::Labels => {
            let texts = || of(&[Type::String, Type::Number, Type::Null]);
            let object = ObjectBuilder::new()
                .schema_type(Type::Object)
                .additional_properties(Some(AdditionalProperties::RefOr(texts().into())));
            one_of([of(&[Type::String, Type::Null]), object], description)
        }
        Kind::Objects(fields) => {
            ArrayBuilder::new().items(schema(fields)).description(description).into()
        }
    }
}

/// Any of these, or a list of texts.
fn one_of<const COUNT: usize>(
    forms: [ObjectBuilder; COUNT],
    description: Option<String>,
) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let list = ArrayBuilder::new().items(text);
    let all = forms.into_iter().fold(OneOfBuilder::new().item(list), OneOfBuilder::item);
    all.description(description).into()
}

fn convention(kind: &Kind) -> &'static str {
    match kind {
        Kind::Encoded => "; base64",
        Kind::List => "; words separated by commas, or a list",
        Kind::Labels => "; `key=value` separated by commas, a list of those, or an object",
        Kind::Text
        | Kind::Password
        | Kind::Flag
        | Kind::Number
        | Kind::Address
        | Kind::Words(_)
        | Kind::Objects(_) => "",
    }
}

/// Makes a type that stands in the document of the API for what a reader reads, with an example that it must accept.
#[macro_export]
macro_rules! described {
    ($(#[$note:meta])* $visibility:vis $name:ident, $read:expr, $example:tt) => {
        $(#[$note])*
        #[derive(Debug)]
        $visibility struct $name;

        impl $name {
            /// What the document shows.
            $visibility fn example() -> serde_json::Value {
                serde_json::json!($example)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let fields = $crate::definition::of($read);
                $crate::definition::schema(&fields).examples([Self::example()]).into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}
