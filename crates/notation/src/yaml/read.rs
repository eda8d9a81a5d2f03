//! Reading YAML. A plain scalar is null, a boolean of YAML 1.2, or a whole number that is written as it would be; everything else is
//! the text that stands there: `1e5`, `1.10`, `012`, `yes` and `52:54:00:00:00:01` are read as they were written.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};

use crate::{DEEPEST, Error, Place};

/// As many values as a document may become. An alias that is used often in what is used often makes any number of few lines.
const MOST_VALUES: usize = 5_000_000;
/// The key that merges another object into this one.
const MERGE: &str = "<<";

/// Reads the one document of a text; null where there is none.
pub fn read(text: &str) -> Result<Value, Error> {
    // A mark of the byte order says nothing in UTF-8.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        Reader { events: Parser::new_from_str(text), anchors: BTreeMap::new(), values: 0 };
    let mut document = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(document.unwrap_or(Value::Null)),
            Event::DocumentStart(_) if document.is_some() => {
                return Err(unreadable(span.start, "a second document begins; give one only"));
            }
            Event::DocumentStart(_) => {
                let (event, span) = reader.next()?;
                document = Some(reader.node(event, span, 0)?);
            }
            _ => {}
        }
    }
}

/// A value that an alias may repeat, and of how many values it is made.
struct Anchored {
    value: Value,
    values: usize,
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, Anchored>,
    /// How many values were made so far.
    values: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Error> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(unreadable(*error.marker(), error.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The value that begins with this event. `depth` is how many lists and objects it is in.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Value, Error> {
        let place = span.start;
        let before = self.values;
        self.count(1, place)?;
        if depth > DEEPEST {
            return Err(Error::TooDeep(place_of(place)));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (scalar(&text, style, tag.as_deref(), place)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), "seq", place)?;
                (self.list(depth + 1)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), "map", place)?;
                (self.object(depth + 1)?, anchor)
            }
            Event::Alias(anchor) => (self.repeat(anchor, place)?, 0),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(unreadable(place, "a value was expected")),
        };
        if anchor > 0 {
            let values = self.values - before;
            self.anchors.insert(anchor, Anchored { value: value.clone(), values });
        }
        Ok(value)
    }

    fn count(&mut self, values: usize, place: Marker) -> Result<(), Error> {
        self.values += values;
        if self.values > MOST_VALUES {
            return Err(unreadable(place, "the document becomes too large"));
        }
        Ok(())
    }

    fn repeat(&mut self, anchor: usize, place: Marker) -> Result<Value, Error> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(unreadable(place, "the alias stands within what it repeats"));
        };
        let (value, values) = (anchored.value.clone(), anchored.values);
        self.count(values, place)?;
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Error> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, span) => items.push(self.node(event, span, depth)?),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Error> {
        let mut object = Map::new();
        // Where each key stands, in the order of the object.
        let mut places: Vec<Place> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let place = span.start;
            let (key, anchor) = match event {
                Event::MappingEnd => return Ok(Value::Object(object)),
                Event::Scalar(text, ScalarStyle::Plain, ..) if text == MERGE => {
                    let reason = "merging by << is not read; write the keys out, or repeat a whole value by its alias";
                    return Err(unreadable(place, reason));
                }
                Event::Scalar(text, _, anchor, tag) => {
                    refuse_tag(tag.as_deref(), "str", place)?;
                    (text.into_owned(), anchor)
                }
                Event::Alias(anchor) => match self.repeat(anchor, place)? {
                    Value::String(text) => (text, 0),
                    _ => return Err(unreadable(place, "a key must be a text")),
                },
                _ => return Err(unreadable(place, "a key must be a text")),
            };
            if anchor > 0 {
                let value = Value::String(key.clone());
                self.anchors.insert(anchor, Anchored { value, values: 1 });
            }
            if object.contains_key(&key) {
                let first = object.keys().position(|known| *known == key);
                let first = first.and_then(|position| places.get(position)).copied();
                let second = place_of(place);
                return Err(Error::Twice { key, first: first.unwrap_or(second), second });
            }
            places.push(place_of(place));
            let (event, span) = self.next()?;
            object.insert(key, self.node(event, span, depth)?);
        }
    }
}

fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    place: Marker,
) -> Result<Value, Error> {
    refuse_tag(tag, "str", place)?;
    if style != ScalarStyle::Plain || tag.is_some() {
        return Ok(Value::String(text.to_owned()));
    }
    Ok(plain(text))
}

/// What a plain scalar is.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let signed = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
    let unsigned = text.parse::<u64>().ok().filter(|number| number.to_string() == text);
    match (signed, unsigned) {
        (Some(number), _) => number.into(),
        (None, Some(number)) => number.into(),
        (None, None) => Value::String(text.to_owned()),
    }
}

/// Refuses a tag that would make something else of a value than it is.
fn refuse_tag(tag: Option<&Tag>, own: &str, place: Marker) -> Result<(), Error> {
    let Some(tag) = tag else { return Ok(()) };
    // The tag ! alone says: as it stands.
    let as_it_stands = tag.suffix == "!" || (tag.handle == "!" && tag.suffix.is_empty());
    if as_it_stands || (tag.is_yaml_core_schema() && tag.suffix == own) {
        return Ok(());
    }
    Err(unreadable(place, &format!("the tag {tag} is not read; remove it")))
}

fn place_of(marker: Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

fn unreadable(marker: Marker, reason: &str) -> Error {
    Error::Unreadable { place: place_of(marker), reason: reason.to_owned() }
}
