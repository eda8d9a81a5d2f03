//! The largest numbers that integers of the document may be. Their formats say it by name, which not every reader of a document knows.

use utoipa::Number;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayItems, KnownFormat, Object, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Content, OpenApi, RefOr};

use super::routes::operations_mut;

/// Says it of all integers of requests, answers and components.
pub(super) fn bound(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        operations_mut(item).for_each(|(_, operation)| of_operation(operation));
    }
    if let Some(components) = &mut document.components {
        components.schemas.values_mut().for_each(schema);
    }
}

fn of_operation(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            parameter.schema.iter_mut().for_each(schema);
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.values_mut().for_each(of_content);
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.content.values_mut().for_each(of_content);
        }
    }
}

fn of_content(content: &mut RefOr<Content>) {
    if let RefOr::T(content) = content {
        content.schema.iter_mut().for_each(schema);
    }
}

fn schema(known: &mut RefOr<Schema>) {
    let RefOr::T(known) = known else { return };
    match known {
        Schema::Object(known) => object(known),
        Schema::Array(known) => {
            if let ArrayItems::RefOrSchema(items) = &mut known.items {
                schema(items);
            }
        }
        Schema::OneOf(known) => known.items.iter_mut().for_each(schema),
        Schema::AllOf(known) => known.items.iter_mut().for_each(schema),
        Schema::AnyOf(known) => known.items.iter_mut().for_each(schema),
        _ => {}
    }
}

fn object(known: &mut Object) {
    known.properties.values_mut().for_each(schema);
    if let Some(AdditionalProperties::RefOr(others)) = known.additional_properties.as_deref_mut() {
        schema(others);
    }
    if !is_integer(&known.schema_type) {
        return;
    }
    let (format, largest) = match &known.format {
        Some(SchemaFormat::KnownFormat(KnownFormat::UInt8)) => ("uint8", usize::from(u8::MAX)),
        Some(SchemaFormat::KnownFormat(KnownFormat::UInt16)) => ("uint16", usize::from(u16::MAX)),
        Some(SchemaFormat::KnownFormat(KnownFormat::UInt32)) => ("uint32", 0xffff_ffff),
        Some(SchemaFormat::KnownFormat(KnownFormat::UInt64)) => ("uint64", usize::MAX),
        // Sizes have no format, and begin at zero.
        None if known.minimum.is_some() => ("uint64", usize::MAX),
        _ => return,
    };
    // The registry of formats knows `uint64`; the library writes `u-int64`.
    known.format = Some(SchemaFormat::Custom(format.to_owned()));
    if known.maximum.is_none() {
        known.maximum = Some(Number::UInt(largest));
    }
}

fn is_integer(kinds: &SchemaType) -> bool {
    match kinds {
        SchemaType::Type(kind) => *kind == Type::Integer,
        SchemaType::Array(kinds) => kinds.contains(&Type::Integer),
        SchemaType::AnyValue => false,
    }
}
