//! `docs/SUMMARY.md`: which pages there are, in which order; the form is that of mdBook.

use anyhow::{Context, Result, ensure};

/// The title, and parts with pages.
pub(super) struct Summary {
    pub(super) title: String,
    pub(super) parts: Vec<Part>,
}

/// Pages with a heading of their own.
pub(super) struct Part {
    pub(super) title: String,
    pub(super) entries: Vec<Entry>,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) title: String,
    pub(super) file: String,
}

impl Summary {
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let title = lines.next().and_then(|line| line.strip_prefix("# ")).context("no title")?;
        let mut parts: Vec<Part> = Vec::new();
        for line in lines {
            if let Some(title) = line.strip_prefix("# ") {
                parts.push(Part { title: title.to_owned(), entries: Vec::new() });
                continue;
            }
            let part = parts.last_mut().with_context(|| format!("'{line}' is in no part"))?;
            part.entries.push(entry(line).with_context(|| format!("'{line}' is no page"))?);
        }
        ensure!(parts.iter().all(|part| !part.entries.is_empty()), "a part has no pages");
        Ok(Self { title: title.to_owned(), parts })
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.parts.iter().flat_map(|part| part.entries.iter())
    }
}

fn entry(line: &str) -> Option<Entry> {
    let (title, rest) = line.trim().strip_prefix("- [")?.split_once("](")?;
    let file = rest.strip_suffix(')')?;
    Some(Entry { title: title.to_owned(), file: file.to_owned() })
}
