//! JSON as existing clients expect it: one line, one blank after each `:` and `,`. Shell clients cut answers by that blank.

use std::io::{self, Write};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::ser::Formatter;

/// An answer in that form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match to_vec(&self.0) {
            Ok(body) => {
                let content_type = HeaderValue::from_static("application/json");
                ([(header::CONTENT_TYPE, content_type)], body).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written as JSON");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// Reads a value, in which whole numbers may be written as `5.0`: some clients know only floating point numbers.
pub(crate) fn read<T: DeserializeOwned>(mut value: Value) -> Result<T, serde_json::Error> {
    make_whole(&mut value);
    serde_json::from_value(value)
}

fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
            let whole = float.and_then(|float| format!("{float:.0}").parse::<u64>().ok());
            if let Some(whole) = whole {
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(fields) => fields.values_mut().for_each(make_whole),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The bytes of a value in that form.
pub(crate) fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    // As large as most nodes: growing from little moves it several times, and a client that reads nothing keeps it.
    let mut bytes = Vec::with_capacity(2048);
    append(&mut bytes, value)?;
    Ok(bytes)
}

/// A value in that form, after what stands there already.
pub(crate) fn append<T: Serialize>(
    bytes: &mut Vec<u8>,
    value: &T,
) -> Result<(), serde_json::Error> {
    value.serialize(&mut serde_json::Serializer::with_formatter(bytes, Spaced))
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_blank_after_each_colon_and_comma() {
        let value = serde_json::json!({ "token": "a:b,c", "list": [1, 2], "empty": {} });
        let text = String::from_utf8(to_vec(&value).unwrap()).unwrap();
        assert_eq!(text, r#"{"token": "a:b,c", "list": [1, 2], "empty": {}}"#);
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_point() {
        let numbers: Vec<u64> = read(serde_json::json!([8660.0, 0.0, 7, u64::MAX])).unwrap();
        assert_eq!(numbers, [8660, 0, 7, u64::MAX]);
        for wrong in [serde_json::json!(0.5), serde_json::json!(-1.0), serde_json::json!(1e300)] {
            assert!(read::<u64>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
