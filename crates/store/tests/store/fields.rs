//! What objects may say, by the types that are stored. `fields.txt` lists it, so that nobody adds a field or a word without thinking of
//! controllers that do not know it.

use std::collections::BTreeSet;
use std::path::Path;

use perilune_store::Program;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/fields.txt");
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/src");
const UPDATE: &str = "PERILUNE_UPDATE_DOCS";

/// The fields and the words of types that are stored, in the file of this name. It goes by the shape that rustfmt gives them.
fn listed(file: &str, text: &str, all: &mut BTreeSet<String>) {
    /// How far in the types stand that a macro makes.
    const IN_MACROS: &str = "        ";
    let (mut is_stored, mut item, mut is_macro) = (false, None, false);
    for line in text.lines() {
        is_macro = (is_macro && line != "}") || line.starts_with("macro_rules! ");
        let line = line.strip_prefix(IN_MACROS).filter(|_| is_macro).unwrap_or(line);
        let words = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        if line.starts_with("#[derive(") {
            is_stored = line.contains("Deserialize");
        } else if let Some((kind @ ("struct" | "enum"), rest)) = words.split_once(' ') {
            let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            item = (is_stored && !name.is_empty()).then(|| name.to_owned());
            is_stored = false;
            if let Some(name) = &item
                && !line.ends_with('{')
            {
                all.insert(format!("{kind} {name}"));
            }
        } else if let Some(name) = line.strip_suffix("! {") {
            // What a macro makes types of.
            item = Some(format!("{file}::{name}"));
        } else if line == "}" {
            item = None;
        } else if let (Some(name), Some(inner)) = (&item, line.strip_prefix("    "))
            && !inner.starts_with([' ', '/', '#', '}', ')', '$'])
        {
            let inner = inner.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            let field = inner.split(|c: char| !c.is_alphanumeric() && c != '_').next();
            let field = field.filter(|field| !field.is_empty());
            all.extend(field.map(|field| format!("{name}.{field}")));
        }
    }
}

fn listed_below(directory: &Path, all: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            listed_below(&path, all);
        } else {
            let file = path.file_stem().unwrap().to_string_lossy();
            listed(&file, &std::fs::read_to_string(&path).unwrap(), all);
        }
    }
}

#[test]
fn what_objects_may_say_is_listed_with_the_format_that_it_came_with() {
    let mut all = BTreeSet::new();
    listed_below(Path::new(MODEL), &mut all);
    let all: Vec<String> = all.into_iter().collect();
    let now = format!("format {}\n{}\n", Program::THIS.format, all.join("\n"));
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(FILE, &now).unwrap();
    }
    assert_eq!(
        now,
        std::fs::read_to_string(FILE).unwrap_or_default(),
        "what controllers of before do not know is noted in src/program.rs, with a format of its own; then {UPDATE}=1 writes the list"
    );
}
