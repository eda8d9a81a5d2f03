//! Texts in plugins that were written in Python: a class with attributes such as `partscript = """…"""`. Nothing is
//! run; an attribute that is not one plain literal is not seen.

use std::iter::Peekable;
use std::str::Chars;

/// The text that the first assignment to `attribute` gives it.
pub(super) fn attribute(source: &str, attribute: &str) -> Option<String> {
    let mut scanner = Scanner { characters: source.chars().peekable() };
    let mut name: Option<String> = None;
    let mut assigned = false;
    loop {
        match scanner.token()? {
            Token::Word(word) => {
                name = Some(word);
                assigned = false;
            }
            Token::Assignment => assigned = name.is_some(),
            Token::Text(text) => {
                let is_wanted = assigned && name.take().as_deref() == Some(attribute);
                assigned = false;
                // Whatever follows on the line makes it an expression, not a literal.
                if is_wanted && scanner.at_end_of_statement() {
                    return Some(text);
                }
            }
            Token::Other => {
                name = None;
                assigned = false;
            }
        }
    }
}

enum Token {
    Word(String),
    Assignment,
    Text(String),
    /// Anything else; a literal that is computed (an f-string) is, too.
    Other,
}

struct Scanner<'a> {
    characters: Peekable<Chars<'a>>,
}

impl Scanner<'_> {
    fn token(&mut self) -> Option<Token> {
        loop {
            let character = self.characters.next()?;
            match character {
                ' ' | '\t' | '\r' => {}
                '#' => self.skip_comment(),
                '\'' | '"' => return self.literal(character, ""),
                '=' => return Some(self.assignment_or_comparison()),
                character if character == '_' || character.is_alphanumeric() => {
                    let mut word = String::from(character);
                    while let Some(next) =
                        self.characters.next_if(|next| *next == '_' || next.is_alphanumeric())
                    {
                        word.push(next);
                    }
                    return match self.characters.next_if(|next| matches!(next, '\'' | '"')) {
                        Some(quote) => self.literal(quote, &word),
                        None => Some(Token::Word(word)),
                    };
                }
                _ => return Some(Token::Other),
            }
        }
    }

    fn assignment_or_comparison(&mut self) -> Token {
        match self.characters.next_if_eq(&'=') {
            Some(_) => Token::Other,
            None => Token::Assignment,
        }
    }

    fn skip_comment(&mut self) {
        while self.characters.next_if(|next| *next != '\n').is_some() {}
    }

    fn at_end_of_statement(&mut self) -> bool {
        while self.characters.next_if(|next| matches!(next, ' ' | '\t' | '\r')).is_some() {}
        self.characters.peek().is_none_or(|next| matches!(next, '\n' | '#' | ';'))
    }

    /// The literal that begins behind this quote. `None` when it has no end.
    fn literal(&mut self, quote: char, prefix: &str) -> Option<Token> {
        let prefix = prefix.to_ascii_lowercase();
        let is_triple = self.characters.next_if_eq(&quote).is_some();
        if is_triple && self.characters.next_if_eq(&quote).is_none() {
            return Some(Token::Text(String::new()));
        }
        let is_raw = prefix.contains('r');
        let mut text = String::new();
        let mut quotes = 0;
        while quotes < if is_triple { 3 } else { 1 } {
            let character = self.characters.next()?;
            if character == quote {
                quotes += 1;
                continue;
            }
            text.extend(std::iter::repeat_n(quote, quotes));
            quotes = 0;
            match character {
                '\\' if is_raw => text.extend(['\\', self.characters.next()?]),
                '\\' => self.escape(&mut text)?,
                '\n' if !is_triple => return None,
                character => text.push(character),
            }
        }
        Some(if prefix.contains('f') { Token::Other } else { Token::Text(text) })
    }

    /// What stands behind a backslash; an escape that Python does not know stays as it is.
    fn escape(&mut self, text: &mut String) -> Option<()> {
        match self.characters.next()? {
            '\n' => {}
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            character @ ('\\' | '\'' | '"') => text.push(character),
            'x' => text.push(self.code(2)?),
            'u' => text.push(self.code(4)?),
            '0' => text.push('\0'),
            character => text.extend(['\\', character]),
        }
        Some(())
    }

    fn code(&mut self, digits: usize) -> Option<char> {
        let mut number = 0;
        for _ in 0..digits {
            number = number * 16 + self.characters.next()?.to_digit(16)?;
        }
        char::from_u32(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: &str = r#"#!/usr/bin/env python3
"""A plugin. prescript = "not this" """

class Plugin():
    # partscript = "nor this"
    prescript = ""
    partscript = """
        echo "it's $disk" | awk '{ print "a\\n" }' \
            && true
        """
    postscript = r'''echo \n ''"'''   # raw
    one = 'single \'quoted\'\n'
    config = "two" "parts"
    computed = f"{x}"
    fetch = "a" if x == "b" else "c"

    def find(self, macaddress = None):
        if macaddress == "x": return False, None
        unit = 'inside'
"#;

    #[test]
    fn literals_are_read_as_python_reads_them() {
        let read = |name| attribute(PLUGIN, name);
        assert_eq!(read("prescript").as_deref(), Some(""));
        let partscript = "\n        echo \"it's $disk\" | awk '{ print \"a\\n\" }'             && true\n        ";
        assert_eq!(read("partscript").as_deref(), Some(partscript));
        assert_eq!(read("postscript").as_deref(), Some("echo \\n ''\""));
        assert_eq!(read("one").as_deref(), Some("single 'quoted'\n"));
    }

    #[test]
    fn what_would_have_to_be_computed_is_not_seen() {
        for name in ["config", "computed", "fetch", "macaddress", "nothing"] {
            assert_eq!(attribute(PLUGIN, name), None, "{name}");
        }
    }

    #[test]
    fn a_file_that_ends_in_the_middle_has_no_such_attribute() {
        for end in 0..PLUGIN.len() {
            if let Some(start) = PLUGIN.get(..end) {
                attribute(start, "unit");
            }
        }
        assert_eq!(attribute("a = '''x''", "a"), None);
        assert_eq!(attribute("a = 'x\n'", "a"), None);
    }
}
