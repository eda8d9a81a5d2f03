//! All modules of one kernel: where they are, what they need, what they answer to; and which of them go in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{apart, elf::ModuleFacts, expand, rules, search_order::SearchOrder};
use crate::{Error, tree::Tree};

/// The directories of modprobe's configuration. What two of them name alike is read twice, which does no harm.
pub(super) const CONFIGURATION: [&str; 5] = [
    "etc/modprobe.d",
    "run/modprobe.d",
    "usr/local/lib/modprobe.d",
    "usr/lib/modprobe.d",
    "lib/modprobe.d",
];
/// depmod goes no deeper either.
const DEEPEST: usize = 32;
/// As many modules are named in one warning.
const NAMED: usize = 5;

pub(super) struct Index {
    /// `lib/modules/<version>`, as the image names it.
    pub(super) directory: PathBuf,
    pub(super) modules: BTreeMap<String, Module>,
    /// Every module file below the directory by its name, also those that depmod passed over for another one.
    files: BTreeMap<String, Vec<String>>,
    /// Other names of modules, without wildcards.
    aliases: BTreeMap<String, Vec<String>>,
    /// Modules that another one asks for without needing their symbols.
    soft: BTreeMap<String, Vec<String>>,
    builtin: BTreeSet<String>,
}

pub(super) struct Module {
    /// Relative to the index's directory.
    pub(super) path: String,
    pub(super) needs: Vec<String>,
}

impl Module {
    /// Whether it came with the kernel.
    fn is_own(&self) -> bool {
        self.path.starts_with("kernel/")
    }
}

impl Index {
    pub(super) fn read(
        tree: &Tree,
        kernel_version: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let directory = Path::new("lib/modules").join(kernel_version);
        let no_index = || Error::NoModuleIndex { version: kernel_version.to_owned() };
        let list = tree.file(&directory.join("modules.dep")).ok_or_else(no_index)?;
        let text = fs::read_to_string(&list).map_err(|error| Error::read(&list, error))?;
        let order = SearchOrder::read(tree, kernel_version);
        let mut index = Self {
            modules: BTreeMap::new(),
            files: BTreeMap::new(),
            directory,
            aliases: BTreeMap::new(),
            soft: BTreeMap::new(),
            builtin: BTreeSet::new(),
        };
        index.find_files(tree, Path::new(""), 0);
        for line in text.lines() {
            index.add_line(line, &order);
        }
        index.check(tree, kernel_version, &order, warnings);
        for line in index.lines(tree, "modules.alias") {
            if let ["alias", alias, module] = line.split_whitespace().collect::<Vec<_>>().as_slice()
            {
                index.aliases.entry(normal(alias)).or_default().push(normal(module));
            }
        }
        let mut soft = index.lines(tree, "modules.softdep");
        soft.extend(index.lines(tree, "modules.weakdep"));
        soft.extend(configured(tree));
        for line in soft {
            let mut words = line.split_whitespace();
            if !matches!(words.next(), Some("softdep" | "weakdep")) {
                continue;
            }
            let Some(module) = words.next() else { continue };
            let others = words.filter(|word| !word.ends_with(':')).map(normal);
            index.soft.entry(normal(module)).or_default().extend(others);
        }
        index.builtin =
            index.lines(tree, "modules.builtin").iter().map(|path| name_of(path)).collect();
        Ok(index)
    }

    /// A line of `modules.dep`. depmod lists each name once; a list that does not is read by depmod's rule.
    fn add_line(&mut self, line: &str, order: &SearchOrder) {
        let Some((path, needs)) = line.split_once(':') else { return };
        // Old lists have whole paths.
        let start = format!("/{}/", self.directory.display());
        let path = path.split_once(start.as_str()).map_or(path, |(_, rest)| rest);
        let name = name_of(path);
        let is_better = self
            .modules
            .get(&name)
            .is_none_or(|known| order.rank(&name, path) <= order.rank(&name, &known.path));
        if is_better {
            let needs = needs.split_whitespace().map(name_of).collect();
            self.modules.insert(name, Module { path: path.to_owned(), needs });
        }
    }

    /// Finds all module files below a directory of the index, as depmod does.
    fn find_files(&mut self, tree: &Tree, below: &Path, depth: usize) {
        let found = tree.directory(&self.directory.join(below));
        let entries = found.and_then(|found| fs::read_dir(found).ok()).into_iter().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        for name in names {
            let path = below.join(&name);
            if is_module(&name) {
                let is_there = tree.file(&self.directory.join(&path)).is_some();
                if let Some(text) = path.to_str().filter(|_| is_there) {
                    self.files.entry(name_of(&name)).or_default().push(text.to_owned());
                }
            } else if !name.contains('.') || tree.directory(&self.directory.join(&path)).is_some() {
                // These lead to the sources that the kernel was built from.
                let is_source = depth == 0 && (name == "build" || name == "source");
                if depth < DEEPEST && !is_source {
                    self.find_files(tree, &path, depth + 1);
                }
            }
        }
    }

    /// Finds what the list does not have right: modules that are gone, for which another of the same name is taken where there is one,
    /// and modules that came after the list was made, which no machine would load.
    fn check(
        &mut self,
        tree: &Tree,
        kernel_version: &str,
        order: &SearchOrder,
        warnings: &mut Vec<String>,
    ) {
        let mut unlisted = Vec::new();
        for (name, files) in &self.files {
            let Some(best) = files.iter().min_by_key(|path| order.rank(name, path)) else {
                continue;
            };
            let Some(module) = self.modules.get_mut(name) else {
                unlisted.push(best.clone());
                continue;
            };
            if files.contains(&module.path) {
                if order.rank(name, best) < order.rank(name, &module.path) {
                    unlisted.push(best.clone());
                }
                continue;
            }
            warnings.push(format!(
                "the kernel module {} is listed but not in the image, and {best} is taken in its place; run `chroot IMAGE depmod {kernel_version}`",
                module.path
            ));
            let facts = tree.file(&self.directory.join(best)).and_then(|file| facts_of(&file).ok());
            module.path.clone_from(best);
            module.needs =
                facts.iter().flat_map(|facts| facts.values("depends")).flat_map(names_in).collect();
        }
        if !unlisted.is_empty() {
            let named = unlisted.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            let more = unlisted.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            warnings.push(format!(
                "modules.dep does not list {named}{more}, so no machine would load them and they stay out; run `chroot IMAGE depmod {kernel_version}`"
            ));
        }
    }

    pub(super) fn lines(&self, tree: &Tree, list: &str) -> Vec<String> {
        let file = tree.file(&self.directory.join(list));
        let text = file.and_then(|file| fs::read(file).ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    /// Which modules the rules want.
    fn by_rule(&self, tree: &Tree, warnings: &mut Vec<String>) -> Vec<String> {
        let (mut wanted, mut open) = (Vec::new(), Vec::new());
        for (name, module) in &self.modules {
            let paths = self.files.get(name).into_iter().flatten().chain([&module.path]);
            // One that takes the place of the kernel's own is wanted as that is.
            let mut paths =
                paths.filter(|path| **path == module.path || path.starts_with("kernel/"));
            if paths.any(|path| rules::wants(path, name)) {
                wanted.push(name.clone());
            } else if !module.is_own() {
                open.push((name, module));
            }
        }
        if open.is_empty() {
            return wanted;
        }
        let mut aliases_of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (alias, names) in &self.aliases {
            for name in names {
                aliases_of.entry(name).or_default().push(alias.clone());
            }
        }
        let of_wanted = wanted.iter().filter_map(|name| aliases_of.get(name.as_str())).flatten();
        let known: BTreeSet<&str> = of_wanted.filter_map(|alias| apart::device_of(alias)).collect();
        let is_known =
            |alias: &str| apart::device_of(alias).is_some_and(|device| known.contains(device));
        let mut apart = Vec::new();
        for (name, module) in open {
            let Some(file) = tree.file(&self.directory.join(&module.path)) else { continue };
            let facts = match facts_of(&file) {
                Ok(facts) => facts,
                Err(error) => {
                    warnings.push(format!("the kernel module {} stays out: {error}", module.path));
                    continue;
                }
            };
            let aliases = aliases_of.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
            if apart::wants(&facts, aliases, is_known) {
                apart.push(name.clone());
            }
        }
        wanted.extend(apart);
        wanted
    }

    /// The names of all modules that go in. `asked` adds to the rules, and with a leading `-` overrides them.
    pub(super) fn choose(
        &self,
        tree: &Tree,
        asked: &[String],
        warnings: &mut Vec<String>,
    ) -> BTreeSet<String> {
        let mut omitted = BTreeSet::new();
        let mut pending = self.by_rule(tree, warnings);
        let words = asked.iter().flat_map(|list| list.split(',')).map(str::trim);
        for word in words.filter(|word| !word.is_empty()) {
            let (name, is_omitted) =
                word.strip_prefix('-').map_or((word, false), |rest| (rest, true));
            let names = self.named(&name_of(name));
            if names.is_empty() && !self.builtin.contains(&name_of(name)) {
                warnings.push(format!("the kernel of the image has no module {name}"));
            }
            if is_omitted {
                omitted.extend(names);
            } else {
                pending.extend(names);
            }
        }
        let mut chosen = BTreeSet::new();
        for name in pending {
            let mut needs = BTreeSet::new();
            self.close(&name, &mut needs);
            // A module without what it needs cannot be loaded.
            if needs.is_disjoint(&omitted) {
                chosen.append(&mut needs);
                self.close_softly(&name, &omitted, &mut chosen);
            }
        }
        chosen
    }

    /// The modules behind a name or an alias.
    fn named(&self, name: &str) -> Vec<String> {
        if self.modules.contains_key(name) {
            return vec![name.to_owned()];
        }
        let names = self.aliases.get(name).cloned().unwrap_or_default();
        names.into_iter().filter(|name| self.modules.contains_key(name)).collect()
    }

    /// `name` and all that it needs.
    fn close(&self, name: &str, closed: &mut BTreeSet<String>) {
        let Some(module) = self.modules.get(name) else { return };
        if closed.insert(name.to_owned()) {
            for need in &module.needs {
                self.close(need, closed);
            }
        }
    }

    /// What the module and its needs ask for softly; it stays out when it is omitted.
    fn close_softly(&self, name: &str, omitted: &BTreeSet<String>, chosen: &mut BTreeSet<String>) {
        let mut pending = vec![name.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(name) = pending.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let Some(module) = self.modules.get(&name) else { continue };
            pending.extend(module.needs.iter().cloned());
            for soft in self.soft.get(&name).into_iter().flatten().flat_map(|soft| self.named(soft))
            {
                let mut needs = BTreeSet::new();
                self.close(&soft, &mut needs);
                if needs.is_disjoint(omitted) {
                    chosen.append(&mut needs);
                    pending.push(soft);
                }
            }
        }
    }
}

/// What a module file says about itself, whatever it is compressed with.
fn facts_of(file: &Path) -> Result<ModuleFacts, Error> {
    let data = expand::read(file)?;
    ModuleFacts::parse(&data).map_err(|error| Error::malformed(file, &error))
}

/// Modules separated by commas, as a module lists what it depends on.
fn names_in(list: &str) -> impl Iterator<Item = String> {
    list.split(',').filter(|name| !name.is_empty()).map(normal)
}

/// The lines of modprobe's configuration.
fn configured(tree: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    for directory in CONFIGURATION {
        let found = tree.directory(Path::new(directory));
        let entries = found.and_then(|found| fs::read_dir(found).ok()).into_iter().flatten();
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(Path::new(directory).join(entry.ok()?.file_name())))
            .filter(|path| path.extension().is_some_and(|end| end == "conf"))
            .collect();
        files.sort();
        for file in files.iter().filter_map(|file| fs::read(tree.file(file)?).ok()) {
            lines.extend(String::from_utf8_lossy(&file).lines().map(|line| line.trim().to_owned()));
        }
    }
    lines
}

/// The kernel takes dashes and underscores in the names of modules for the same.
pub(super) fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// As `normal`, but a set of characters in brackets stays as it is.
pub(super) fn normal_pattern(pattern: &str) -> String {
    let mut in_brackets = false;
    let characters = pattern.chars().map(|character| {
        in_brackets = match character {
            '[' => true,
            ']' => false,
            _ => in_brackets,
        };
        if character == '-' && !in_brackets { '_' } else { character }
    });
    characters.collect()
}

/// The module's name, of its path or file name.
pub(super) fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(stem_of(file).unwrap_or(file))
}

/// The path of the module once it is expanded.
pub(super) fn plain_path(path: &str) -> String {
    stem_of(path).map_or_else(|| path.to_owned(), |stem| format!("{stem}.ko"))
}

fn is_module(file: &str) -> bool {
    stem_of(file).is_some()
}

/// What stands before the ending of a module, compressed or not.
fn stem_of(path: &str) -> Option<&str> {
    [".ko", ".ko.xz", ".ko.zst", ".ko.gz"].iter().find_map(|end| path.strip_suffix(end))
}
