//! JSON (RFC 8259). Objects with a key twice are refused; a number that would not be written as it was read stays a text.

use serde_json::{Map, Number, Value};

use crate::{DEEPEST, Error, Place};

/// Reads a JSON text.
pub fn read(text: &[u8]) -> Result<Value, Error> {
    let mut reader = Reader { text, next: 0 };
    let value = reader.value(0)?;
    reader.skip_blanks();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.unreadable("something follows the value")),
    }
}

struct Reader<'a> {
    text: &'a [u8],
    /// The first byte that is not read yet.
    next: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.next).copied()
    }

    /// Takes the next byte if it is this one.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.next += usize::from(is_next);
        is_next
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.next += 1;
        }
    }

    /// The value that comes next. `depth` is how many lists and objects it is in.
    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        self.skip_blanks();
        match self.peek() {
            Some(b'{' | b'[') if depth >= DEEPEST => Err(Error::TooDeep(self.place(self.next))),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.list(depth + 1),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'n') => self.word(b"null", Value::Null),
            Some(_) => Err(self.unreadable("a value was expected")),
            None => Err(self.unreadable("it ends where a value was expected")),
        }
    }

    fn word(&mut self, word: &[u8], value: Value) -> Result<Value, Error> {
        if !self.text.get(self.next..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.unreadable("a value was expected"));
        }
        self.next += word.len();
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Error> {
        self.next += 1;
        let mut items = Vec::new();
        self.skip_blanks();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_blanks();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            if !self.take(b',') {
                return Err(self.unreadable("a comma or ] was expected"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Error> {
        self.next += 1;
        let mut object = Map::new();
        // Where each key stands, in the order of the object.
        let mut places = Vec::new();
        self.skip_blanks();
        if self.take(b'}') {
            return Ok(Value::Object(object));
        }
        loop {
            self.skip_blanks();
            let begin = self.next;
            if self.peek() != Some(b'"') {
                return Err(self.unreadable("a key in quotes was expected"));
            }
            let key = self.string()?;
            if object.contains_key(&key) {
                let first = object.keys().position(|known| *known == key);
                let first = first.and_then(|position| places.get(position)).copied();
                let first = first.unwrap_or(begin);
                let (first, second) = (self.place(first), self.place(begin));
                return Err(Error::Twice { key, first, second });
            }
            self.skip_blanks();
            if !self.take(b':') {
                return Err(self.unreadable("a colon was expected"));
            }
            object.insert(key, self.value(depth)?);
            places.push(begin);
            self.skip_blanks();
            if self.take(b'}') {
                return Ok(Value::Object(object));
            }
            if !self.take(b',') {
                return Err(self.unreadable("a comma or } was expected"));
            }
        }
    }

    fn string(&mut self) -> Result<String, Error> {
        let begin = self.next;
        self.next += 1;
        while !self.take(b'"') {
            match self.peek() {
                // What follows a backslash is no end, whatever it is.
                Some(b'\\') => self.next += 2,
                Some(_) => self.next += 1,
                None => {
                    self.next = begin;
                    return Err(self.unreadable("the text has no end"));
                }
            }
        }
        let text = self.text.get(begin..self.next).unwrap_or_default();
        serde_json::from_slice(text).map_err(|error| Error::Unreadable {
            place: self.place(begin),
            reason: format!("the text is not valid ({error})"),
        })
    }

    fn number(&mut self) -> Result<Value, Error> {
        let begin = self.next;
        self.take(b'-');
        let leads_with_zero = self.peek() == Some(b'0');
        let digits = self.digits();
        let mut is_number = digits == 1 || (digits > 1 && !leads_with_zero);
        if self.take(b'.') {
            is_number &= self.digits() > 0;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            is_number &= self.digits() > 0;
        }
        let text = self.text.get(begin..self.next).and_then(|text| str::from_utf8(text).ok());
        let Some(text) = text.filter(|_| is_number) else {
            self.next = begin;
            return Err(self.unreadable("the number is not valid"));
        };
        let number: Option<Number> = serde_json::from_str(text).ok();
        let as_written = number.filter(|number| number.to_string() == text);
        Ok(as_written.map_or_else(|| Value::String(text.to_owned()), Value::Number))
    }

    fn digits(&mut self) -> usize {
        let begin = self.next;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.next += 1;
        }
        self.next - begin
    }

    fn unreadable(&self, reason: &str) -> Error {
        Error::Unreadable { place: self.place(self.next), reason: reason.to_owned() }
    }

    fn place(&self, position: usize) -> Place {
        let before = self.text.get(..position).unwrap_or(self.text);
        let mut lines = before.split(|byte| *byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        Place { line: lines.count() + 1, column: String::from_utf8_lossy(last).chars().count() + 1 }
    }
}
