//! JSON.

use perilune_notation::{Error, Place, read_json};
use proptest::prelude::*;
use serde_json::{Value, json};

fn twice(text: &str) -> (String, Place, Place) {
    match read_json(text.as_bytes()) {
        Err(Error::Twice { key, first, second }) => (key, first, second),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused_with_both_places() {
    let at = |line, column| Place { line, column };
    let (key, first, second) = twice("{\n  \"node\": {},\n  \"node\": {}\n}");
    assert_eq!((key.as_str(), first, second), ("node", at(2, 3), at(3, 3)));
    let (key, first, second) = twice(r#"{"a": [{"é": 1, "b": {"c": 1, "d": {}, "c": 2}}]}"#);
    assert_eq!((key.as_str(), first, second), ("c", at(1, 23), at(1, 40)));
    // One key, however it is written.
    assert_eq!(twice(r#"{"node": 1, "n\u006fde": 1}"#).0, "node");
    assert_eq!(twice(r#"{"": 1, "": 1}"#).0, "");
    let said = read_json(b"{\"a\":1,\"a\":1}").unwrap_err().to_string();
    assert_eq!(
        said,
        "the key 'a' is there twice, at line 1 column 2 and at line 1 column 8; put both together, or remove one"
    );
    assert!(read_json(br#"{"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}], "A": 1}"#).is_ok());
}

#[test]
fn a_number_is_kept_as_it_is_written() {
    for text in ["1e5", "1.10", "1E+2", "-0", "1e999", "12345678901234567890123", "0.10"] {
        assert_eq!(read_json(text.as_bytes()).unwrap(), json!(text), "{text}");
    }
    for (text, number) in [
        ("0", json!(0)),
        ("-7", json!(-7)),
        ("1.5", json!(1.5)),
        ("18446744073709551615", json!(u64::MAX)),
    ] {
        assert_eq!(read_json(text.as_bytes()).unwrap(), number);
    }
}

#[test]
fn what_is_no_json_is_told_with_its_place() {
    for (text, said) in [
        ("", "line 1 column 1: it ends where a value was expected"),
        ("{\"a\":\n 1 \"b\"}", "line 2 column 4: a comma or } was expected"),
        ("[1,]", "line 1 column 4: a value was expected"),
        ("{a: 1}", "line 1 column 2: a key in quotes was expected"),
        ("[01]", "line 1 column 2: the number is not valid"),
        ("\"a", "line 1 column 1: the text has no end"),
        ("1 2", "line 1 column 3: something follows the value"),
    ] {
        assert_eq!(read_json(text.as_bytes()).unwrap_err().to_string(), said, "{text}");
    }
    let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read_json(deep(127).as_bytes()).is_ok());
    assert!(matches!(read_json(deep(128).as_bytes()), Err(Error::TooDeep(_))));
    assert!(matches!(read_json("[".repeat(1_000_000).as_bytes()), Err(Error::TooDeep(_))));
}

/// Bytes that are almost JSON.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let spoilt = (super::value(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(value, place, byte)| {
            let mut bytes = value.to_string().into_bytes();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            bytes
        },
    );
    prop_oneof![
        spoilt,
        "[\\[\\]{}\",:0-9.eE+\\-\\\\ untrfals]{0,24}".prop_map(String::into_bytes),
        any::<Vec<u8>>()
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in super::value()) {
        prop_assert_eq!(read_json(value.to_string().as_bytes()).unwrap(), value);
    }

    #[test]
    fn it_is_json_when_others_say_so(bytes in bytes()) {
        match (read_json(&bytes), serde_json::from_slice::<Value>(&bytes)) {
            (Err(Error::Twice { .. }), _) | (Err(_), Err(_)) | (Ok(_), Ok(_)) => {}
            // What is beyond the numbers of others stays a text.
            (Ok(_), Err(other)) => prop_assert!(other.to_string().contains("out of range"), "{}", other),
            (Err(own), Ok(_)) => prop_assert!(false, "{}", own),
        }
    }
}
