//! `cargo xtask docs`: the pages of `docs` as one static book, in the order of `docs/SUMMARY.md`. It needs no server and no script; a link
//! that leads nowhere, or a page that no reader would find, is an error.

mod page;
mod summary;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::build::{root, target_directory};
use crate::output::block;
use page::Page;
use summary::{Entry, Summary};

const SUMMARY: &str = "SUMMARY.md";
/// Everything on one page, to be searched and printed.
const WHOLE: &str = "whole.html";

pub(crate) fn run() -> Result<()> {
    let book = target_directory().join("book");
    if book.exists() {
        fs::remove_dir_all(&book).with_context(|| book.display().to_string())?;
    }
    let count = make(&root().join("docs"), &book)?;
    block(&format!("{count} pages: {}", book.join("index.html").display()));
    Ok(())
}

/// Makes the book, and says how many pages it has.
pub(crate) fn make(docs: &Path, book: &Path) -> Result<usize> {
    let summary = fs::read_to_string(docs.join(SUMMARY)).context(SUMMARY)?;
    let summary = Summary::read(&summary).context(SUMMARY)?;
    let mut pages = BTreeMap::new();
    for entry in summary.entries() {
        let text =
            fs::read_to_string(docs.join(&entry.file)).with_context(|| entry.file.clone())?;
        pages.insert(entry.file.clone(), Page::read(&text));
    }
    let lost = lost(docs, &pages)?;
    ensure!(lost.is_empty(), "{SUMMARY} does not name {}", lost.join(", "));
    let broken = broken(&pages);
    ensure!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    fs::create_dir_all(book).with_context(|| book.display().to_string())?;
    let write = |name: &str, text: String| {
        fs::write(book.join(name), text).with_context(|| name.to_owned())
    };
    let mut whole = String::new();
    for entry in summary.entries() {
        let Some(page) = pages.get(&entry.file) else { continue };
        whole.push_str(&page.html);
        write(&html_name(&entry.file), page::document(&summary, Some(entry), &page.html))?;
    }
    write(WHOLE, page::document(&summary, None, &whole))?;
    if let Some(first) = summary.entries().next().and_then(|entry| pages.get(&entry.file)) {
        write("index.html", page::document(&summary, summary.entries().next(), &first.html))?;
    }
    Ok(pages.len())
}

fn html_name(file: &str) -> String {
    file.replace(".md", ".html")
}

/// Pages that nobody would find.
fn lost(docs: &Path, pages: &BTreeMap<String, Page>) -> Result<Vec<String>> {
    let mut lost = Vec::new();
    for entry in fs::read_dir(docs).with_context(|| docs.display().to_string())? {
        let path: PathBuf = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_page = path.extension().is_some_and(|extension| extension == "md");
        if is_page && name != SUMMARY && !pages.contains_key(&name) {
            lost.push(name);
        }
    }
    lost.sort();
    Ok(lost)
}

/// Links to pages and headings that are not there.
fn broken(pages: &BTreeMap<String, Page>) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, page) in pages {
        for link in &page.links {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { Some(page) } else { pages.get(file) };
            let is_there = target
                .is_some_and(|target| heading.is_empty() || target.headings.contains(heading));
            if !is_there {
                broken.push(format!("{name}: {link}"));
            }
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docs(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    fn made(files: &[(&str, &str)]) -> Result<BTreeMap<String, String>> {
        let docs = docs(files);
        let book = docs.path().join("book");
        make(docs.path(), &book)?;
        let pages = fs::read_dir(book)?.map(|entry| {
            let path = entry?.path();
            Ok((
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read_to_string(path)?,
            ))
        });
        pages.collect()
    }

    const SUMMARY_TEXT: &str = "# The book\n\n# First steps\n\n- [One](one.md)\n- [Two](two.md)\n";

    #[test]
    fn pages_link_to_each_other_and_to_headings() {
        let one = "# One\n\nSee [two](two.md#a-b), and `docs/two.md`.\n\n| a | b |\n| --- | --- |\n| <c> | `d` |\n";
        let two = "# Two\n\n## A & b\n\n[back](one.md)\n";
        let pages =
            made(&[("SUMMARY.md", SUMMARY_TEXT), ("one.md", one), ("two.md", two)]).unwrap();
        let names: Vec<&str> = pages.keys().map(String::as_str).collect();
        assert_eq!(names, ["index.html", "one.html", "two.html", "whole.html"]);
        let one = &pages["one.html"];
        assert!(one.contains("href=\"two.html#a-b\""), "{one}");
        assert!(one.contains("<a href=\"two.html\"><code>docs/two.md</code></a>"), "{one}");
        assert!(one.contains("<table>") && one.contains("First steps"), "{one}");
        assert!(pages["two.html"].contains("<h2 id=\"a-b\">"), "{}", pages["two.html"]);
        assert!(
            pages["whole.html"].contains("A &amp; b")
                && pages["whole.html"].contains("<h1 id=\"one\">")
        );
    }

    #[test]
    fn links_that_lead_nowhere_are_told() {
        let one = "# One\n\n[a](three.md), [b](two.md#nothing), [c](#neither), `docs/four.md`\n";
        let error = made(&[("SUMMARY.md", SUMMARY_TEXT), ("one.md", one), ("two.md", "# Two\n")]);
        let error = error.unwrap_err().to_string();
        for link in ["three.md", "two.md#nothing", "#neither", "four.md"] {
            assert!(error.contains(&format!("one.md: {link}")), "{link} in {error}");
        }
    }

    #[test]
    fn a_page_that_is_not_in_the_summary_is_told() {
        let files = [
            ("SUMMARY.md", SUMMARY_TEXT),
            ("one.md", "# 1\n"),
            ("two.md", "# 2\n"),
            ("x.md", "# X\n"),
        ];
        assert_eq!(made(&files).unwrap_err().to_string(), "SUMMARY.md does not name x.md");
    }

    #[test]
    fn the_book_of_this_tree_can_be_made() {
        let book = tempfile::tempdir().unwrap();
        assert!(make(&root().join("docs"), book.path()).unwrap() > 20);
    }
}
