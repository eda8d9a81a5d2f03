//! What is named on the command line: host lists of anything, and selectors of nodes.

use std::path::Path;

use clap::Args;
use perilune_select::{Error, Selector, Source, hostlist, inline, natural};
use perilune_wire::node_column::NodeColumn;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::session::{Session, expand};
use crate::source;

/// What is not meant although it is named.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Exclude {
    /// Without these
    #[arg(long, short = 'x', value_name = "NAMES")]
    exclude: Vec<String>,
}

impl Exclude {
    pub(crate) fn is_empty(&self) -> bool {
        self.exclude.is_empty()
    }

    fn selector(&self) -> Result<Option<Selector>, Failure> {
        if self.exclude.is_empty() { Ok(None) } else { read(&self.exclude).map(Some) }
    }
}

impl Session {
    /// The names that are meant, of objects of any kind.
    pub(crate) fn named(
        &self,
        kind: &str,
        lists: &[String],
        exclude: &Exclude,
    ) -> Result<Vec<String>, Failure> {
        if kind == "node" {
            return self.nodes(lists, exclude);
        }
        let names = expand(lists)?;
        let without = match exclude.exclude.as_slice() {
            [] => Vec::new(),
            lists => expand(lists)?,
        };
        left(names, &without)
    }

    /// The nodes that are meant. Names that are written out are not asked for: whoever does something to them finds out.
    pub(crate) fn nodes(
        &self,
        selectors: &[String],
        exclude: &Exclude,
    ) -> Result<Vec<String>, Failure> {
        let wanted = read(selectors)?;
        let without = exclude.selector()?;
        let (names, others) =
            (wanted.plain(), without.as_ref().map_or(Some(Ok(Vec::new())), Selector::plain));
        if let (Some(names), Some(others)) = (names, others) {
            return left(names?, &others?);
        }
        self.select(wanted.text(), without.as_ref().map(Selector::text))
    }

    /// The nodes that are meant, all of which are there.
    pub(crate) fn known_nodes(
        &self,
        selectors: &[String],
        exclude: &Exclude,
    ) -> Result<Vec<String>, Failure> {
        let wanted = read(selectors)?;
        let without = exclude.selector()?;
        self.select(wanted.text(), without.as_ref().map(Selector::text))
    }

    /// What these columns say of the nodes that are meant, in their natural order.
    pub(crate) fn node_rows(
        &self,
        selectors: &[String],
        exclude: &Exclude,
        columns: &[NodeColumn],
    ) -> Result<Vec<Vec<String>>, Failure> {
        let wanted = read(selectors)?;
        let without = exclude.selector()?;
        let columns: Vec<&str> = columns.iter().map(|column| column.word()).collect();
        let body = json!({ "selector": wanted.text(), "without": without.as_ref().map(Selector::text), "columns": columns });
        let mut answer = self.client.post("/select/node", &body)?;
        let rows = answer.get_mut("rows").map(Value::take).unwrap_or_default();
        serde_json::from_value(rows).map_err(|error| {
            Failure::failed(format!("the daemon answered with another table: {error}"))
        })
    }

    fn select(&self, selector: &str, without: Option<&str>) -> Result<Vec<String>, Failure> {
        let body = json!({ "selector": selector, "without": without });
        let answer = self.client.post("/select/node", &body)?;
        let names = answer.pointer("/nodes").and_then(Value::as_array);
        let names = names.into_iter().flatten().filter_map(Value::as_str);
        Ok(names.map(str::to_owned).collect())
    }
}

/// What is left of the names. One that is spared and is not among them is a slip, which would hit the one that was meant.
fn left(mut names: Vec<String>, without: &[String]) -> Result<Vec<String>, Failure> {
    let without: std::collections::BTreeSet<&String> = without.iter().collect();
    let count = names.len();
    names.retain(|name| !without.contains(name));
    if names.len() + without.len() != count {
        let message = "--exclude names something that is not named otherwise; nothing was done";
        return Err(Failure::usage(message));
    }
    if names.is_empty() {
        return Err(Failure::NotFound {
            message: "nothing is left of what is named".to_owned(),
            hint: "--exclude takes all of it away".to_owned(),
        });
    }
    Ok(names)
}

/// A selector with what its files say in their places.
fn read(lists: &[String]) -> Result<Selector, Failure> {
    inline(Selector::parse(&lists.join(","))?, |source| match source {
        Source::File(file) => source::text(Path::new(file), source::NAMES)
            .map_err(|error| Failure::usage(format!("^{file}: cannot read it: {error}"))),
        Source::Input => source::text(Path::new("-"), source::NAMES)
            .map_err(|error| Failure::usage(format!("standard input: {error}"))),
    })
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.is_missing() {
            let hint = error.hint().unwrap_or_else(|| "docs/selectors.md".to_owned());
            return Self::NotFound { message: error.to_string(), hint };
        }
        Self::usage(error.to_string())
    }
}

/// The objects in the order in which people count.
pub(crate) fn sorted(objects: Map<String, Value>) -> Map<String, Value> {
    let mut entries: Vec<(String, Value)> = objects.into_iter().collect();
    entries.sort_by(|(one, _), (other, _)| natural::compare(one, other));
    entries.into_iter().collect()
}

/// Names as they are printed: one on each line, or folded.
pub(crate) fn printed<'a>(names: impl Iterator<Item = &'a String>, fold: bool) -> String {
    if fold {
        return hostlist::fold(names);
    }
    let names: Vec<&str> = names.map(String::as_str).collect();
    names.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{left, read};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_excluded_must_have_been_named() {
        let all = || names(&["a", "b", "c"]);
        assert_eq!(left(all(), &names(&["b"])).unwrap(), names(&["a", "c"]));
        assert_eq!(left(all(), &names(&["b", "d"])).unwrap_err().code(), 2);
        assert_eq!(left(all(), &all()).unwrap_err().code(), 4);
    }

    #[test]
    fn names_come_from_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "node1\n@gpu # new ones\n").unwrap();
        let written = format!("a,^{}", file.path().display());
        assert_eq!(read(&[written]).unwrap().text(), "a,(node1,@gpu)");
        let missing = read(&names(&["^/no/such/file"])).unwrap_err();
        assert!(missing.to_string().contains("/no/such/file"), "{missing}");
        assert_eq!(read(&names(&["n[1"])).unwrap_err().code(), 2);
    }
}
