//! What a program of the site tells or takes: the document can say of it only that it is JSON.

use utoipa::openapi::schema::{Schema, SchemaType};
use utoipa::openapi::{ObjectBuilder, RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

/// Any JSON.
#[derive(Debug)]
pub struct AnyJson;

impl PartialSchema for AnyJson {
    fn schema() -> RefOr<Schema> {
        let types =
            [Type::Object, Type::Array, Type::String, Type::Number, Type::Boolean, Type::Null];
        let any = ObjectBuilder::new().schema_type(SchemaType::Array(types.to_vec()));
        any.description(Some("Any JSON, as its reader expects it")).into()
    }
}

impl ToSchema for AnyJson {}
