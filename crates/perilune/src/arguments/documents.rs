//! Every line of the documents that runs `perilune` is read by the real command line: what a reader types works.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use clap::error::ErrorKind;

use super::Arguments;
use super::walk::VALUES;

/// What a reader puts in the place of these words.
const FILLED_IN: [(&str, &str); 3] =
    [("ADDRESS/PREFIX", "10.141.0.1/16"), ("ADDRESS", "10.141.0.1"), ("…", "x")];

/// A command as a document has it.
struct Line {
    place: String,
    text: String,
    /// In running text a command may be named without all of its words.
    is_named: bool,
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut documents: Vec<PathBuf> = docs
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain([root.join("README.md")])
        .collect();
    documents.sort();
    documents
}

/// Commands of code blocks (fenced, or indented by four), and those between backticks.
fn lines(path: &Path) -> Vec<Line> {
    let text = fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    let mut found = Vec::new();
    let mut is_fenced = false;
    let mut unfinished = String::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
            continue;
        }
        let place = || format!("{name}:{number}");
        if !is_fenced && !line.starts_with("    ") {
            let named = line.split('`').skip(1).step_by(2).filter(|text| begins(text));
            found.extend(named.map(|text| Line {
                place: place(),
                text: text.to_owned(),
                is_named: true,
            }));
            continue;
        }
        if let Some(begun) = line.trim_end().strip_suffix('\\') {
            unfinished.push_str(begun);
            continue;
        }
        let whole = format!("{}{line}", std::mem::take(&mut unfinished));
        found.extend(commands(&whole).map(|text| Line { place: place(), text, is_named: false }));
    }
    found
}

fn begins(text: &str) -> bool {
    text.starts_with("perilune ")
}

/// The parts of a line of shell that run `perilune`.
fn commands(line: &str) -> impl Iterator<Item = String> {
    let line = line.trim().trim_start_matches("$ ").trim_start_matches("# ").to_owned();
    let parts: Vec<String> = line
        .split(" | ")
        .flat_map(|part| part.split(" && "))
        .flat_map(|part| part.split("$("))
        .map(|part| {
            let part =
                part.trim().trim_start_matches("sudo ").trim_start_matches("ssh controller ");
            // Variables may be set for one command.
            let (first, rest) = part.split_once(' ').unwrap_or((part, ""));
            if first.contains('=') { rest.to_owned() } else { part.to_owned() }
        })
        .collect();
    parts.into_iter().filter(|part| begins(part))
}

/// The words, without redirections and what a remark says.
fn words(text: &str) -> Vec<String> {
    // What ends a command in a sentence, and what a reader fills in.
    let text = text.trim_end_matches([')', ';', '.', ' ']);
    let words = shlex::split(text).unwrap_or_else(|| panic!("quotes in {text}"));
    let end = words.iter().position(|word| word.starts_with(['>', '<', '&']) || word == "2>");
    let words = words.into_iter().take(end.unwrap_or(usize::MAX));
    let filled = words.map(|word| {
        let known = FILLED_IN.iter().find(|(name, _)| *name == word);
        known.map_or(word, |(_, value)| (*value).to_owned())
    });
    filled.collect()
}

fn refusal(line: &Line) -> Option<String> {
    let words = words(&line.text);
    let error = Arguments::try_parse_from(&words).err()?;
    // An option may be named without its value.
    let is_open = line.is_named && words.last().is_some_and(|word| word.starts_with("--"));
    let takes = |value: &str| Arguments::try_parse_from([&words[..], &[value.to_owned()]].concat());
    if is_open && VALUES.iter().any(|value| takes(value).is_ok()) {
        return None;
    }
    let is_short = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let is_fine = is_help || (is_short && line.is_named);
    (!is_fine).then(|| format!("{}: {}\n{error}", line.place, line.text))
}

#[test]
fn every_command_of_the_documents_is_one_of_ours() {
    let lines: Vec<Line> = documents().iter().flat_map(|path| lines(path)).collect();
    assert!(lines.iter().filter(|line| !line.is_named).count() > 60, "{}", lines.len());
    let refused: Vec<String> = lines.iter().filter_map(refusal).collect();
    assert!(refused.is_empty(), "{} of {}:\n{}", refused.len(), lines.len(), refused.join("\n"));
}

#[test]
fn a_line_of_shell_has_its_commands() {
    let found = |line: &str| commands(line).map(|text| words(&text)).collect::<Vec<_>>();
    assert_eq!(
        found("$ perilune node list -o json | jq ."),
        [["perilune", "node", "list", "-o", "json"]]
    );
    assert_eq!(
        found("PERILUNE_URL=http://a:1 perilune status > file   # remark"),
        [["perilune", "status"]]
    );
    assert_eq!(found("source <(perilune completion bash)"), Vec::<Vec<String>>::new());
    assert_eq!(found("make && sudo perilune key show"), [["perilune", "key", "show"]]);
    assert_eq!(found("perilune node change a --comment 'two words'")[0][5], "two words");
}
