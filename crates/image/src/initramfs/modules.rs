//! Kernel modules: those that the rules want, with all that they depend on, and the lists by which they are found.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{Contents, Wanted, elf, expand, firmware, index::binary_index, rules};
use crate::{CancelFlag, Error, tree::Tree};

/// All modules of one kernel.
struct Index {
    /// `lib/modules/<version>`, as the image names it.
    directory: PathBuf,
    modules: BTreeMap<String, Module>,
    /// Other names of modules, without wildcards.
    aliases: BTreeMap<String, Vec<String>>,
    /// Modules that another one asks for without needing their symbols.
    soft: BTreeMap<String, Vec<String>>,
    builtin: BTreeSet<String>,
}

struct Module {
    /// Relative to the index's directory.
    path: String,
    needs: Vec<String>,
}

pub(crate) fn add(
    contents: &mut Contents<'_>,
    wanted: &Wanted<'_>,
    warnings: &mut Vec<String>,
    cancel: &CancelFlag,
) -> Result<(), Error> {
    let index = Index::read(wanted.tree, wanted.kernel_version)?;
    let chosen = index.choose(wanted.kernel_modules, warnings);
    for name in &chosen {
        cancel.check()?;
        let Some(module) = index.modules.get(name) else { continue };
        let Some(file) = wanted.tree.file(&index.directory.join(&module.path)) else {
            warnings
                .push(format!("the kernel module {} is listed but not in the image", module.path));
            continue;
        };
        let data = expand::read(&file)?;
        for firmware in elf::module_information(&data, "firmware")
            .map_err(|error| Error::malformed(&file, &error))?
        {
            firmware::add(contents, wanted.kernel_version, &firmware)?;
        }
        contents.add_bytes(&index.directory.join(plain_path(&module.path)), data, 0o644);
    }
    index.add_lists(contents, &chosen);
    add_configuration(contents)
}

impl Index {
    fn read(tree: &Tree, kernel_version: &str) -> Result<Self, Error> {
        let directory = Path::new("lib/modules").join(kernel_version);
        let no_index = || Error::NoModuleIndex { version: kernel_version.to_owned() };
        let list = tree.file(&directory.join("modules.dep")).ok_or_else(no_index)?;
        let text = fs::read_to_string(&list).map_err(|error| Error::read(&list, error))?;
        let modules = text.lines().filter_map(|line| {
            let (path, needs) = line.split_once(':')?;
            let needs = needs.split_whitespace().map(name_of).collect();
            Some((name_of(path), Module { path: path.to_owned(), needs }))
        });
        let mut index = Self {
            modules: modules.collect(),
            directory,
            aliases: BTreeMap::new(),
            soft: BTreeMap::new(),
            builtin: BTreeSet::new(),
        };
        for line in index.lines(tree, "modules.alias") {
            if let ["alias", alias, module] = line.split_whitespace().collect::<Vec<_>>().as_slice()
            {
                index.aliases.entry(normal(alias)).or_default().push(normal(module));
            }
        }
        for line in index.lines(tree, "modules.softdep") {
            let mut words = line.split_whitespace().skip(1);
            let Some(module) = words.next() else { continue };
            let others = words.filter(|word| !word.ends_with(':')).map(normal);
            index.soft.entry(normal(module)).or_default().extend(others);
        }
        index.builtin =
            index.lines(tree, "modules.builtin").iter().map(|path| name_of(path)).collect();
        Ok(index)
    }

    fn lines(&self, tree: &Tree, list: &str) -> Vec<String> {
        let file = tree.file(&self.directory.join(list));
        let text = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    /// The names of all modules that go in. `asked` adds to the rules, and with a leading `-` overrides them.
    fn choose(&self, asked: &[String], warnings: &mut Vec<String>) -> BTreeSet<String> {
        let mut omitted = BTreeSet::new();
        let by_rule = self.modules.iter().filter(|(name, module)| rules::wants(&module.path, name));
        let mut pending: Vec<String> = by_rule.map(|(name, _)| name.clone()).collect();
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

    /// The lists, cut down to what is there and to the names that the files have now, as text and in the form
    /// that modprobe reads.
    fn add_lists(&self, contents: &mut Contents<'_>, chosen: &BTreeSet<String>) {
        let tree = contents.tree();
        let modules = chosen.iter().filter_map(|name| Some((name, self.modules.get(name)?)));
        let dependencies: Vec<(String, String)> =
            modules.map(|(name, module)| (name.clone(), self.line_of(module))).collect();
        self.add_list(contents, "modules.dep", dependencies.iter().map(|(_, line)| line.clone()));
        self.add_binary(contents, "modules.dep.bin", &dependencies);
        // Where the module stands in a line of each list.
        for (list, position) in [
            ("modules.alias", 2),
            ("modules.symbols", 2),
            ("modules.softdep", 1),
            ("modules.devname", 0),
        ] {
            let is_kept = |line: &String| {
                line.split_whitespace()
                    .nth(position)
                    .is_some_and(|name| chosen.contains(&normal(name)))
            };
            let lines: Vec<String> = self.lines(tree, list).into_iter().filter(is_kept).collect();
            self.add_list(contents, list, lines.iter().cloned());
            if position == 2 {
                let entries = lines.iter().filter_map(|line| {
                    let mut words = line.split_whitespace().skip(1);
                    Some((normal_pattern(words.next()?), words.next()?.to_owned()))
                });
                self.add_binary(contents, &format!("{list}.bin"), &entries.collect::<Vec<_>>());
            }
        }
        let order = self
            .lines(tree, "modules.order")
            .into_iter()
            .filter(|path| chosen.contains(&name_of(path)));
        self.add_list(contents, "modules.order", order.map(|path| plain_path(&path)));
        // What is built into the kernel stays as it is.
        for list in [
            "modules.builtin",
            "modules.builtin.bin",
            "modules.builtin.alias.bin",
            "modules.builtin.modinfo",
        ] {
            let file = tree.file(&self.directory.join(list));
            if let Some(data) = file.and_then(|file| fs::read(file).ok()) {
                contents.add_bytes(&self.directory.join(list), data, 0o644);
            }
        }
    }

    /// The module's line in `modules.dep`.
    fn line_of(&self, module: &Module) -> String {
        let needs = module.needs.iter().filter_map(|name| self.modules.get(name));
        let needs: String =
            needs.flat_map(|need| [" ".to_owned(), plain_path(&need.path)]).collect();
        format!("{}:{needs}", plain_path(&module.path))
    }

    fn add_list(
        &self,
        contents: &mut Contents<'_>,
        list: &str,
        lines: impl Iterator<Item = String>,
    ) {
        let text: String = lines.flat_map(|line| [line, "\n".to_owned()]).collect();
        contents.add_bytes(&self.directory.join(list), text.into_bytes(), 0o644);
    }

    fn add_binary(&self, contents: &mut Contents<'_>, list: &str, entries: &[(String, String)]) {
        contents.add_bytes(&self.directory.join(list), binary_index(entries), 0o644);
    }
}

/// The image's options and blacklists hold in the initramfs too.
fn add_configuration(contents: &mut Contents<'_>) -> Result<(), Error> {
    for directory in ["etc/modprobe.d", "lib/modprobe.d"].map(Path::new) {
        let Some(found) = contents.tree().directory(directory) else { continue };
        let entries = fs::read_dir(&found).map_err(|error| Error::read(&found, error))?;
        for entry in entries.filter_map(Result::ok) {
            if entry.file_name().to_string_lossy().ends_with(".conf") {
                contents.add(&directory.join(entry.file_name()))?;
            }
        }
    }
    Ok(())
}

/// The kernel takes dashes and underscores in the names of modules for the same.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// As `normal`, but a set of characters in brackets stays as it is.
fn normal_pattern(pattern: &str) -> String {
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
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(file.split_once(".ko").map_or(file, |(name, _)| name))
}

/// The path of the module once it is expanded.
fn plain_path(path: &str) -> String {
    path.split_once(".ko").map_or_else(|| path.to_owned(), |(name, _)| format!("{name}.ko"))
}
