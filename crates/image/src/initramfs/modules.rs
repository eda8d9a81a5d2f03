//! Kernel modules: those that the rules want, with all that they depend on, and the lists by which they are found.

use std::{collections::BTreeSet, fs, path::Path};

use super::{
    Contents, Wanted,
    elf::ModuleFacts,
    expand, firmware,
    index::binary_index,
    module_index::{CONFIGURATION, Index, Module, name_of, normal, normal_pattern, plain_path},
};
use crate::{CancelFlag, Error};

pub(crate) fn add(
    contents: &mut Contents<'_>,
    wanted: &Wanted<'_>,
    warnings: &mut Vec<String>,
    cancel: &CancelFlag,
) -> Result<(), Error> {
    let index = Index::read(wanted.tree, wanted.kernel_version, warnings)?;
    let chosen = index.choose(wanted.tree, wanted.kernel_modules, warnings);
    for name in &chosen {
        cancel.check()?;
        let Some(module) = index.modules.get(name) else { continue };
        let Some(file) = wanted.tree.file(&index.directory.join(&module.path)) else {
            warnings
                .push(format!("the kernel module {} is listed but not in the image", module.path));
            continue;
        };
        let data = expand::read(&file)?;
        let facts = ModuleFacts::parse(&data).map_err(|error| Error::malformed(&file, &error))?;
        for name in facts.values("firmware") {
            firmware::add(contents, wanted.kernel_version, name)?;
        }
        contents.add_bytes(&index.directory.join(plain_path(&module.path)), data, 0o644);
    }
    index.add_lists(contents, &chosen);
    add_configuration(contents)
}

impl Index {
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
    for directory in CONFIGURATION.map(Path::new) {
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
