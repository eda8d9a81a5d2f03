//! One page: Markdown to HTML, and what surrounds it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

use super::{Entry, Summary, WHOLE, html_name};

/// What a page has, for others to link to.
pub(super) struct Page {
    pub(super) html: String,
    /// Links to other pages and to headings, as they are written.
    pub(super) links: Vec<String>,
    /// Names of headings.
    pub(super) headings: BTreeSet<String>,
    /// What is read now stays as it is: it is code, or a link already.
    is_verbatim: bool,
}

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --code: #8882; --link: #0a6ebd; }
@media (prefers-color-scheme: dark) { :root { --link: #6cb6ff; } }
body { margin: 0; display: flex; font: 16px/1.5 system-ui, sans-serif; }
nav { flex: 0 0 17rem; box-sizing: border-box; height: 100vh; position: sticky; top: 0; overflow-y: auto; padding: 1rem; border-right: 1px solid var(--line); font-size: 14px; }
nav h2 { font-size: 13px; margin: 1.2em 0 .3em; opacity: .7; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav [aria-current] { font-weight: bold; }
main { flex: 1 1 auto; min-width: 0; max-width: 58rem; padding: 1rem 2rem 4rem; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
code { font: 14px/1.4 ui-monospace, monospace; background: var(--code); padding: .1em .25em; border-radius: 3px; }
pre { background: var(--code); padding: .8em 1em; border-radius: 5px; overflow-x: auto; }
pre code { background: none; padding: 0; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .3em .6em; text-align: left; vertical-align: top; }
h2 { margin-top: 2em; border-bottom: 1px solid var(--line); }
.turn { display: flex; justify-content: space-between; margin-top: 4em; }
@media (max-width: 50rem) { body { display: block; } nav { position: static; height: auto; border: 0; } main { padding: 1rem; } }
@media print { nav, .turn { display: none; } }
";

impl Page {
    pub(super) fn read(markdown: &str) -> Self {
        let mut page = Self {
            html: String::new(),
            links: Vec::new(),
            headings: BTreeSet::new(),
            is_verbatim: false,
        };
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
        let mut events: Vec<Event<'_>> = Vec::new();
        // Where the heading that is being read begins, and its text.
        let mut heading: Option<(usize, String)> = None;
        for event in Parser::new_ext(markdown, options) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some((events.len(), String::new())),
                Event::Text(ref text) | Event::Code(ref text) => {
                    if let Some((_, heading)) = &mut heading {
                        heading.push_str(text);
                    }
                }
                _ => {}
            }
            if let Event::End(TagEnd::Heading(_)) = event
                && let Some((start, text)) = heading.take()
            {
                let name = page.name_heading(&text);
                if let Some(Event::Start(Tag::Heading { id, .. })) = events.get_mut(start) {
                    *id = Some(name.into());
                }
            }
            page.add(event, &mut events);
        }
        html::push_html(&mut page.html, events.into_iter());
        page
    }

    fn add<'a>(&mut self, event: Event<'a>, events: &mut Vec<Event<'a>>) {
        match &event {
            Event::Start(Tag::Link { .. } | Tag::CodeBlock(_)) => self.is_verbatim = true,
            Event::End(TagEnd::Link | TagEnd::CodeBlock) => self.is_verbatim = false,
            _ => {}
        }
        match event {
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let dest_url = self.link(&dest_url).into();
                events.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
            }
            // Pages name each other so, for those who read them as files.
            Event::Code(code) if is_page(&code) && !self.is_verbatim => {
                let link = self.link_to_page(&code);
                events.extend([Event::Start(link), Event::Code(code), Event::End(TagEnd::Link)]);
            }
            Event::Text(text) if !self.is_verbatim => {
                let mut rest: &str = &text;
                while let Some((before, page, after)) = page_in(rest) {
                    events.push(Event::Text(before.to_owned().into()));
                    events.push(Event::Start(self.link_to_page(page)));
                    events.push(Event::Text(page.to_owned().into()));
                    events.push(Event::End(TagEnd::Link));
                    rest = after;
                }
                events.push(Event::Text(rest.to_owned().into()));
            }
            other => events.push(other),
        }
    }

    fn link_to_page<'a>(&mut self, page: &str) -> Tag<'a> {
        Tag::Link {
            link_type: LinkType::Inline,
            dest_url: self.link(page.trim_start_matches("docs/")).into(),
            title: CowStr::Borrowed(""),
            id: CowStr::Borrowed(""),
        }
    }

    /// A link as it is in the book; those within it are noted.
    fn link(&mut self, target: &str) -> String {
        if target.contains("://") || target.starts_with("mailto:") {
            return target.to_owned();
        }
        self.links.push(target.to_owned());
        html_name(target)
    }

    /// The name of a heading, which no other heading of the page has.
    fn name_heading(&mut self, text: &str) -> String {
        let wanted = name(text);
        let mut id = wanted.clone();
        let mut count = 1;
        while self.headings.contains(&id) {
            id = format!("{wanted}-{count}");
            count += 1;
        }
        self.headings.insert(id.clone());
        id
    }
}

/// The first page that a text names, with what stands before and behind it.
fn page_in(text: &str) -> Option<(&str, &str, &str)> {
    const DIRECTORY: &str = "docs/";
    const ENDING: &str = ".md";
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find(DIRECTORY)?;
        let rest = text.get(start..)?;
        let page = rest.get(..rest.find(ENDING)? + ENDING.len())?;
        if is_page(page) {
            return Some((text.get(..start)?, page, rest.get(page.len()..)?));
        }
        from = start + DIRECTORY.len();
    }
}

fn is_page(code: &str) -> bool {
    code.strip_prefix("docs/").and_then(|name| name.strip_suffix(".md")).is_some_and(|name| {
        name.chars().all(|character| character.is_ascii_alphanumeric() || character == '-')
    })
}

/// The name of a heading in links: its words in small letters, with hyphens between them.
fn name(text: &str) -> String {
    let words = text.split(|character: char| !character.is_alphanumeric());
    let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    words.join("-")
}

/// A whole document, with the table of contents; without an entry it is the page that has everything.
pub(super) fn document(summary: &Summary, entry: Option<&Entry>, content: &str) -> String {
    let title = entry.map_or(summary.title.as_str(), |entry| entry.title.as_str());
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{} - {}</title>\n<style>{STYLE}</style>\n<body>\n<nav>\n",
        escaped(title),
        escaped(&summary.title)
    );
    let mut add = |line: String| writeln!(text, "{line}").expect("a string takes every text");
    for part in &summary.parts {
        add(format!("<h2>{}</h2>\n<ul>", escaped(&part.title)));
        for page in &part.entries {
            let current = if entry == Some(page) { " aria-current=\"page\"" } else { "" };
            add(format!(
                "<li><a href=\"{}\"{current}>{}</a></li>",
                html_name(&page.file),
                escaped(&page.title)
            ));
        }
        add("</ul>".to_owned());
    }
    add(format!(
        "<p><a href=\"{WHOLE}\">Everything on one page</a></p>\n</nav>\n<main>\n{content}"
    ));
    if let Some(entry) = entry {
        add(turn(summary, entry));
    }
    add("</main>\n</body>\n</html>".to_owned());
    text
}

/// The way to the page before and after.
fn turn(summary: &Summary, entry: &Entry) -> String {
    let entries: Vec<&Entry> = summary.entries().collect();
    let place = entries.iter().position(|known| *known == entry).unwrap_or_default();
    let link = |known: Option<&&Entry>, before: &str, after: &str| {
        known.map_or_else(
            || "<span></span>".to_owned(),
            |known| {
                format!(
                    "<a href=\"{}\">{before}{}{after}</a>",
                    html_name(&known.file),
                    escaped(&known.title)
                )
            },
        )
    };
    let before = place.checked_sub(1).and_then(|place| entries.get(place));
    let after = entries.get(place + 1);
    format!("<p class=\"turn\">{}{}</p>", link(before, "← ", ""), link(after, "", " →"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_named_by_their_words_and_once() {
        let page = Page::read("# `a.ini`: All & more\n\n## Twice\n\n## Twice\n");
        let names: Vec<&str> = page.headings.iter().map(String::as_str).collect();
        assert_eq!(names, ["a-ini-all-more", "twice", "twice-1"]);
    }

    #[test]
    fn pages_that_a_text_names_are_links_and_those_in_code_are_not() {
        let page = Page::read(
            "See docs/a.md (docs/b-c.md), docs/ and x.md.\n\n```sh\ncat docs/d.md\n```\n",
        );
        assert_eq!(page.links, ["a.md", "b-c.md"]);
        let shown = "<p>See <a href=\"a.html\">docs/a.md</a> (<a href=\"b-c.html\">docs/b-c.md</a>), docs/ and x.md.</p>";
        assert!(page.html.contains(shown), "{}", page.html);
    }

    #[test]
    fn links_to_other_sites_stay_as_they_are() {
        let page = Page::read("[a](https://example.org/x.md) `docs/../x.md` `docs/x y.md`\n");
        assert_eq!(page.links, Vec::<String>::new());
        assert!(page.html.contains("href=\"https://example.org/x.md\""), "{}", page.html);
    }
}
