//! Values in the forms that existing clients expect.

use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

/// A boolean as the text `True` or `False`.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(value_type = String)]
pub struct TrueFalse(pub bool);

impl Serialize for TrueFalse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0 { "True" } else { "False" })
    }
}

/// A port: a number where it is one, else a text.
#[derive(Debug, Clone, Copy)]
pub struct PortNumber<'a>(pub &'a str);

impl PartialSchema for PortNumber<'_> {
    fn schema() -> RefOr<Schema> {
        let types = SchemaType::from_iter([Type::Integer, Type::String]);
        ObjectBuilder::new().schema_type(types).into()
    }
}

impl ToSchema for PortNumber<'_> {}

impl Serialize for PortNumber<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.parse::<i64>() {
            Ok(number) => serializer.serialize_i64(number),
            Err(_) => serializer.serialize_str(self.0),
        }
    }
}
