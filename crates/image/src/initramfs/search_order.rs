//! Which of several modules of one name is loaded: depmod.d(5).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::module_index::normal;
use crate::tree::Tree;

/// Files of an earlier directory hide those of the same name in later ones.
const DIRECTORIES: [&str; 5] =
    ["etc/depmod.d", "run/depmod.d", "usr/local/lib/depmod.d", "usr/lib/depmod.d", "lib/depmod.d"];
/// What came with the kernel, and whatever else no other word stands for.
const BUILT_IN: &str = "built-in";

pub(super) struct SearchOrder {
    /// Directories below that of the kernel's modules, the preferred first.
    directories: Vec<String>,
    /// The directory that is preferred for one module.
    overrides: BTreeMap<String, String>,
}

impl SearchOrder {
    pub(super) fn read(tree: &Tree, kernel_version: &str) -> Self {
        let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
        for directory in DIRECTORIES.map(Path::new) {
            let found = tree.directory(directory);
            let entries = found.and_then(|found| fs::read_dir(found).ok()).into_iter().flatten();
            for name in entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
                if Path::new(&name).extension().is_some_and(|end| end == "conf") {
                    files.entry(name.clone()).or_insert_with(|| directory.join(name));
                }
            }
        }
        let mut order = Self { directories: Vec::new(), overrides: BTreeMap::new() };
        for file in files.values().filter_map(|file| fs::read_to_string(tree.file(file)?).ok()) {
            file.lines().for_each(|line| order.add_line(line, kernel_version));
        }
        if order.directories.is_empty() {
            order.directories = ["updates", BUILT_IN].map(str::to_owned).to_vec();
        }
        order
    }

    fn add_line(&mut self, line: &str, kernel_version: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["search", directories @ ..] => {
                self.directories.extend(directories.iter().copied().map(str::to_owned));
            }
            ["override", name, version, directory] if ["*", kernel_version].contains(version) => {
                self.overrides.insert(normal(name), (*directory).to_owned());
            }
            _ => {}
        }
    }

    /// The lower, the sooner is the module at `path` taken.
    pub(super) fn rank(&self, name: &str, path: &str) -> usize {
        let lies_in = |directory: &str| {
            path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
        };
        if self.overrides.get(name).is_some_and(|directory| lies_in(directory)) {
            return 0;
        }
        let place = |wanted: &dyn Fn(&str) -> bool| {
            self.directories.iter().position(|directory| wanted(directory))
        };
        let found = place(&lies_in).or_else(|| place(&|directory| directory == BUILT_IN));
        found.unwrap_or(self.directories.len()) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_preferred_as_the_image_says() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::new(root.path());
        let of = |order: &SearchOrder, path| order.rank("card", path);
        let usual = SearchOrder::read(&tree, "6.1");
        assert!(of(&usual, "updates/dkms/card.ko") < of(&usual, "kernel/net/card.ko"));
        assert_eq!(of(&usual, "extra/card.ko"), of(&usual, "kernel/net/card.ko"));
        fs::create_dir_all(root.path().join("lib/depmod.d")).unwrap();
        let file = root.path().join("lib/depmod.d/dist.conf");
        let text = "# EL\nsearch updates extra built-in weak-updates\noverride card 6.1 weak-updates/maker\noverride other 5.* extra\n";
        fs::write(file, text).unwrap();
        let order = SearchOrder::read(&tree, "6.1");
        let ranks = [
            "weak-updates/maker/card.ko",
            "updates/card.ko",
            "extra/a/card.ko",
            "kernel/card.ko",
            "weak-updates/card.ko",
        ];
        assert!(ranks.map(|path| of(&order, path)).is_sorted(), "{ranks:?}");
    }
}
