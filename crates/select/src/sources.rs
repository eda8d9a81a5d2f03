//! Names from files and from the standard input: `^FILE` and `-`. Whoever asks has them, so that nobody else's files are read.

use std::fmt;

use crate::{Error, Selector};

/// Where further names stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file of this name.
    File(String),
    /// The standard input.
    Input,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => formatter.write_str(file),
            Self::Input => formatter.write_str("standard input"),
        }
    }
}

/// The selector with what `read` gives for each source in its place.
///
/// A source has a selector on each line; what follows `#` on a line does not count. It cannot name other sources.
pub fn inline<E: From<Error>>(
    selector: Selector,
    mut read: impl FnMut(&Source) -> Result<String, E>,
) -> Result<Selector, E> {
    if selector.sources.is_empty() {
        return Ok(selector);
    }
    let mut text = String::new();
    let mut done = 0;
    for (place, source) in &selector.sources {
        text.push_str(selector.text.get(done..place.start).unwrap_or_default());
        let content = read(source)?;
        let selectors = lines(source, &content)?;
        text.push('(');
        text.push_str(&selectors.join(","));
        text.push(')');
        done = place.end;
    }
    text.push_str(selector.text.get(done..).unwrap_or_default());
    Ok(Selector::parse(&text)?)
}

/// The selectors of a source, each checked by itself, so that an error says the line.
fn lines<'a>(source: &Source, content: &'a str) -> Result<Vec<&'a str>, Error> {
    let mut selectors = Vec::new();
    for (number, line) in content.lines().enumerate() {
        let line_of = |error| Error::InSource {
            source_name: source.to_string(),
            line: number + 1,
            error: Box::new(error),
        };
        let selector = line.split('#').next().unwrap_or_default().trim();
        if selector.is_empty() {
            continue;
        }
        let parsed = Selector::parse(selector).map_err(line_of)?;
        if let Some((place, _)) = parsed.sources.first() {
            let reason = "a file names no other files";
            return Err(line_of(Error::syntax(selector, place.start, reason)));
        }
        selectors.push(selector);
    }
    if selectors.is_empty() {
        let error = Error::syntax("", 0, "nothing is named there");
        return Err(Error::InSource {
            source_name: source.to_string(),
            line: 1,
            error: Box::new(error),
        });
    }
    Ok(selectors)
}

#[cfg(test)]
mod tests {
    use super::{Source, inline};
    use crate::{Error, Selector};

    fn read(text: &str, content: &str) -> Result<String, Error> {
        let selector = Selector::parse(text)?;
        let content = content.to_owned();
        inline(selector, |_: &Source| Ok::<_, Error>(content.clone()))
            .map(|read| read.text().to_owned())
    }

    #[test]
    fn what_stands_in_a_file_takes_the_place_of_the_file() {
        let content = "node1\n\n# the broken ones\nnode[3-4],@gpu  # all of them\r\n";
        assert_eq!(read("a,^/tmp/b c&!x", content).unwrap(), "a,(node1,node[3-4],@gpu)&!x");
        assert_eq!(read("-", "node1\nnode2").unwrap(), "(node1,node2)");
        assert_eq!(read("^-", "node1").unwrap(), "(node1)");
        assert_eq!(read("a,b", "c").unwrap(), "a,b");
    }

    #[test]
    fn a_wrong_line_is_named() {
        let said = |content: &str| read("^list", content).unwrap_err().to_string();
        assert!(
            said("a\nb[1").starts_with("list, line 2: a bracket is opened"),
            "{}",
            said("a\nb[1")
        );
        assert!(said("^other").contains("no other files"));
        assert!(said("# none\n").contains("nothing is named there"));
        assert!(read("-", "-").unwrap_err().to_string().contains("standard input, line 1"));
    }

    #[test]
    fn what_a_file_has_stays_in_its_parentheses() {
        assert!(read("^list", "a)&(b").is_err());
        assert!(read("^list", "a\n!b").is_ok());
    }
}
