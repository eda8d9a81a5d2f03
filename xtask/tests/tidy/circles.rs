//! Files that use each other in a circle are understood together or not at all: how large such circles are. A file uses where a name is
//! defined, whatever modules hand that name on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::root;

/// No circle has more files.
const LARGEST: usize = 5;
/// A name is handed on by fewer modules than this.
const HANDED_ON: usize = 8;

/// The names of the modules that lead from the root of a crate to a file.
type Place = Vec<String>;
type Names = [String];

#[test]
fn files_use_each_other_in_small_circles() {
    let mut wrong = Vec::new();
    for directory in fs::read_dir(root().join("crates")).expect("there are crates") {
        let directory = directory.expect("a directory").path();
        let name = directory.file_name().expect("a name").to_string_lossy().into_owned();
        let largest = Sources::read(&directory.join("src")).largest_circle();
        let shown = || largest.iter().map(|place| place.join("::")).collect::<Vec<_>>().join(", ");
        if largest.len() > LARGEST {
            wrong.push(format!("{name}: {} files in a circle: {}", largest.len(), shown()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The files of a crate.
struct Sources(BTreeMap<Place, Source>);

/// A file without its comments, texts and tests.
#[derive(Default)]
struct Source {
    /// What is not `use`.
    body: String,
    /// What `use` names, and what it is called here.
    uses: Vec<Use>,
}

struct Use {
    path: Vec<String>,
    name: String,
    is_handed_on: bool,
}

impl Sources {
    fn read(source: &Path) -> Self {
        let root = if source.join("lib.rs").exists() { "lib" } else { "main" };
        let (mut files, mut directories) = (BTreeMap::new(), vec![source.to_owned()]);
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).expect("a directory of sources") {
                let path = entry.expect("a file").path();
                let place = place(path.strip_prefix(source).expect("it is below"), root);
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") && !is_of_tests(&place) {
                    let text = fs::read_to_string(&path).expect("a source is text");
                    files.insert(place, Source::read(&text));
                }
            }
        }
        Self(files)
    }

    fn largest_circle(&self) -> Vec<Place> {
        let uses: BTreeMap<&Place, BTreeSet<Place>> =
            self.0.iter().map(|(place, source)| (place, self.used(place, source))).collect();
        let reached: BTreeMap<&Place, BTreeSet<&Place>> =
            uses.keys().map(|place| (*place, reached_from(place, &uses))).collect();
        let circle_of = |place: &Place| {
            let others = reached[place].iter().filter(|other| reached[**other].contains(place));
            others.map(|other| (*other).clone()).collect::<Vec<_>>()
        };
        self.0.keys().map(circle_of).max_by_key(Vec::len).unwrap_or_default()
    }

    /// The other files whose definitions a file uses.
    fn used(&self, place: &Place, source: &Source) -> BTreeSet<Place> {
        let body = without_members(&source.body);
        let words = || body.split(|c: char| !is_of_path(c)).filter(|word| !word.is_empty());
        let named: BTreeSet<&str> = words().flat_map(|word| word.split("::")).collect();
        let (mut used, mut modules) = (BTreeSet::new(), BTreeMap::new());
        for Use { path, name, is_handed_on } in &source.uses {
            let Some((file, rest)) = self.definition(path, place, 0) else { continue };
            if rest.is_empty() {
                modules.insert(name.as_str(), file);
            } else if !is_handed_on || named.contains(name.as_str()) {
                used.insert(file);
            }
        }
        for word in words().filter(|word| word.contains("::")) {
            let path: Vec<String> = word.split("::").map(str::to_owned).collect();
            let definition = match modules.get(path[0].as_str()) {
                Some(module) => self.below(module.clone(), &path[1..], 0),
                None => self.definition(&path, place, 0),
            };
            used.extend(definition.filter(|(_, rest)| !rest.is_empty()).map(|(file, _)| file));
        }
        used.remove(place);
        used
    }

    /// The file that a path leads to, and what it names there; `None` where it leads to another crate.
    fn definition(&self, path: &Names, from: &Place, depth: usize) -> Option<(Place, Vec<String>)> {
        let mut place = from.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                place.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {}
            child => {
                self.0.get(&[from.as_slice(), &[child.to_owned()]].concat())?;
            }
        }
        while rest.first().is_some_and(|part| part == "super") {
            place.pop();
            rest = &rest[1..];
        }
        self.below(place, rest, depth)
    }

    fn below(&self, mut place: Place, path: &Names, depth: usize) -> Option<(Place, Vec<String>)> {
        let mut rest = path;
        while let Some((next, after)) = rest.split_first() {
            place.push(next.clone());
            if self.0.contains_key(&place) {
                rest = after;
                continue;
            }
            place.pop();
            let mut uses = self.0.get(&place)?.uses.iter();
            let handed_on = uses.find(|own| own.is_handed_on && own.name == *next);
            if let Some(own) = handed_on.filter(|_| depth < HANDED_ON) {
                let path = [own.path.as_slice(), after].concat();
                if let Some(found) = self.definition(&path, &place, depth + 1) {
                    return Some(found);
                }
            }
            break;
        }
        self.0.contains_key(&place).then(|| (place, rest.to_vec()))
    }
}

impl Source {
    fn read(text: &str) -> Self {
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        // Where a module is said to be there, nothing of it is used.
        let lines = lines.filter(|line| !(line.contains("mod ") && line.ends_with(';')));
        let lines = lines.collect::<Vec<_>>().join("\n");
        // What stands between two quotation marks names nothing.
        let code = lines.split('"').step_by(2).collect::<Vec<_>>().join(" ");
        let mut source = Self::default();
        for (number, line) in code.split("\nuse ").enumerate().flat_map(|(number, part)| {
            // `pub use` and `pub(crate) use` stand behind their visibility.
            let parts = part.split(" use ").enumerate();
            parts.map(move |(inner, line)| ((number, inner), line))
        }) {
            source.add(number, line);
        }
        source
    }

    fn add(&mut self, (number, inner): (usize, usize), part: &str) {
        let Some((tree, after)) = part.split_once(';').filter(|_| number > 0 || inner > 0) else {
            self.body.push_str(part);
            return;
        };
        let is_handed_on = inner > 0;
        for mut path in paths(tree) {
            let mut name = path.last().cloned().unwrap_or_default();
            if let Some((own, other)) = name.clone().split_once(" as ") {
                name = other.to_owned();
                path.pop();
                path.push(own.to_owned());
            }
            self.uses.push(Use { path, name, is_handed_on });
        }
        self.body.push_str(after);
    }
}

/// The text without names of methods and fields. They belong to a value: `image.clone()` does not use the function `clone` of another file.
fn without_members(text: &str) -> String {
    let (mut kept, mut before) = (String::new(), "");
    for (at, part) in text.split('.').enumerate() {
        // Behind two dots a name is the end of a range, or what a structure is filled up from.
        let is_member = at > 0 && !before.is_empty();
        let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        kept.push('.');
        kept.push_str(if is_member { part.trim_start_matches(of_name) } else { part });
        before = part;
    }
    kept
}

#[test]
fn members_of_values_are_left_out() {
    let code = "..Image::clone(image)\n    .files.clone() 0..=last clone(draft)";
    let left = without_members(code);
    for (word, is_left) in [
        ("Image::clone", true),
        ("clone(draft)", true),
        ("last", true),
        ("files", false),
        (".clone", false),
    ] {
        assert_eq!(left.contains(word), is_left, "{word} in {left}");
    }
}

fn reached_from<'a>(
    place: &'a Place,
    uses: &'a BTreeMap<&'a Place, BTreeSet<Place>>,
) -> BTreeSet<&'a Place> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![place]);
    while let Some(place) = next.pop() {
        next.extend(uses[place].iter().filter(|other| reached.insert(*other)));
    }
    reached
}

fn place(file: &Path, root: &str) -> Place {
    let parts = file.with_extension("");
    let mut place: Place = parts.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if place.last().is_some_and(|last| last == root || last == "mod") {
        place.pop();
    }
    place
}

fn is_of_tests(place: &Place) -> bool {
    place.iter().any(|part| part == "tests")
}

fn is_of_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// What a tree of `use` names, each as a whole path.
fn paths(tree: &str) -> Vec<Vec<String>> {
    let parts =
        |text: &str| text.split("::").map(|part| part.trim().to_owned()).collect::<Vec<_>>();
    let Some((head, list)) = tree.trim().split_once('{') else { return vec![parts(tree)] };
    let list = list.strip_suffix('}').unwrap_or(list);
    let (mut depth, mut items) = (0, vec![String::new()]);
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if character == ',' && depth == 0 {
            items.push(String::new());
        } else if let Some(item) = items.last_mut() {
            item.push(character);
        }
    }
    let head: Vec<String> = parts(head).into_iter().filter(|part| !part.is_empty()).collect();
    let items = items.iter().filter(|item| !item.trim().is_empty());
    let whole = |path: Vec<String>| {
        let path = head.iter().cloned().chain(path).collect::<Vec<_>>();
        match path.split_last() {
            Some((last, before)) if last == "self" => before.to_vec(),
            _ => path,
        }
    };
    items.flat_map(|item| paths(item)).map(whole).collect()
}
