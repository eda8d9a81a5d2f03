//! What the compiler does not check: which crate may use which, how long files are, licences, the list of
//! dependencies, and words that do not belong in the tree.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "a test asks cargo and git, and waits for them")]

#[path = "tidy/absences.rs"]
mod absences;
#[path = "tidy/circles.rs"]
mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const LONGEST_FILE: usize = 600;

/// Who may use whom (beside `perilune-testkit`, which any crate's tests may use). `xtask` uses the testkit and, to attack as a machine that boots, the words of a boot.
const LAYERS: &[(&str, &[&str])] = &[
    ("perilune-model", &[]),
    ("perilune-plan", &[]),
    ("perilune-notation", &[]),
    ("perilune-select", &[]),
    ("perilune-archive", &[]),
    ("perilune-seal", &[]),
    ("perilune-torrent", &[]),
    ("perilune-wire", &["perilune-model", "perilune-notation", "perilune-plan"]),
    ("perilune-store", &["perilune-model"]),
    ("perilune-boards", &["perilune-store"]),
    ("perilune-datagrams", &[]),
    ("perilune-dhcp", &["perilune-datagrams", "perilune-model"]),
    ("perilune-dns", &["perilune-model"]),
    ("perilune-ndp", &[]),
    ("perilune-boot", &["perilune-model", "perilune-plan"]),
    ("perilune-render", &["perilune-boot", "perilune-dns", "perilune-model"]),
    ("perilune-image", &["perilune-archive"]),
    ("perilune-directory", &["perilune-model"]),
    ("perilune-import", &["perilune-model", "perilune-plan", "perilune-wire"]),
    ("perilune-program", &[]),
    ("perilune-bmc", &["perilune-program"]),
    ("perilune-switch", &["perilune-model"]),
    ("perilune-agent", &["perilune-archive", "perilune-plan", "perilune-seal", "perilune-torrent"]),
    (
        "perilune-daemon",
        &[
            "perilune-bmc",
            "perilune-boards",
            "perilune-boot",
            "perilune-datagrams",
            "perilune-dhcp",
            "perilune-directory",
            "perilune-dns",
            "perilune-image",
            "perilune-import",
            "perilune-model",
            "perilune-ndp",
            "perilune-notation",
            "perilune-plan",
            "perilune-program",
            "perilune-render",
            "perilune-seal",
            "perilune-select",
            "perilune-store",
            "perilune-switch",
            "perilune-torrent",
            "perilune-wire",
        ],
    ),
    (
        "perilune-api",
        &[
            "perilune-bmc",
            "perilune-boards",
            "perilune-boot",
            "perilune-daemon",
            "perilune-directory",
            "perilune-image",
            "perilune-import",
            "perilune-model",
            "perilune-notation",
            "perilune-plan",
            "perilune-program",
            "perilune-seal",
            "perilune-select",
            "perilune-store",
            "perilune-switch",
            "perilune-torrent",
            "perilune-wire",
        ],
    ),
    (
        "perilune",
        &[
            "perilune-api",
            "perilune-daemon",
            "perilune-model",
            "perilune-notation",
            "perilune-select",
            "perilune-wire",
        ],
    ),
    ("perilune-testkit", &["perilune-model"]),
    ("xtask", &["perilune-plan", "perilune-seal", "perilune-testkit", "perilune-torrent"]),
];

/// Who alone may use a crate from outside, so that there is one place for what it does.
const CONFINED: &[(&str, &[&str])] = &[
    ("rusqlite", &["perilune-store", "perilune-import", "perilune-testkit"]),
    ("deadpool-postgres", &["perilune-store"]),
    ("tokio-postgres", &["perilune-store"]),
    // A service that could name an answer or a route would answer requests before long.
    ("axum", &["perilune-api", "perilune-testkit"]),
    ("tower", &["perilune-api"]),
    ("tower-http", &["perilune-api"]),
    // The plan describes itself there by a feature, without which the agent is built.
    ("utoipa", &["perilune-api", "perilune-plan", "perilune-wire"]),
    ("utoipa-axum", &["perilune-api"]),
    ("anyhow", &["perilune", "perilune-agent", "xtask"]),
];

/// Parts of words that say where somebody worked, not what the software does. Each is split here, so that this
/// file does not hold it.
const FORBIDDEN: &[(&str, &str)] = &[
    ("/work", "/main"),
    ("/work", "/shared"),
    ("/work", "/brief"),
    ("/tmp", "/target-"),
    ("crates", ".io"),
    ("pypi", ".org"),
    ("npmjs", ".org"),
    ("deb.debian", ".org"),
];
/// Files that another program writes.
const GENERATED: &[&str] = &["Cargo.lock"];

#[test]
fn crates_use_only_what_is_below_them() {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in packages() {
        let Some(allowed) = layers.get(package.name.as_str()) else {
            wrong.push(format!(
                "{} is not in the list of layers: a new crate needs a reason",
                package.name
            ));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.is_ours) {
            let name = dependency.name.as_str();
            let for_tests = dependency.is_for_tests
                && (name == "perilune-testkit" || is_above(&package.name, name));
            if !allowed.contains(&name) && !for_tests {
                wrong.push(format!("{} must not use {name}", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Tests may use what their crate is allowed to reach through others: `daemon` tests with `archive`, for instance.
fn is_above(package: &str, dependency: &str) -> bool {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let direct = layers.get(package).copied().unwrap_or_default();
    direct.iter().any(|below| *below == dependency || is_above(below, dependency))
}

#[test]
fn the_layers_have_no_cycle() {
    for (name, _) in LAYERS {
        assert!(!is_above(name, name), "{name} uses itself by way of others");
    }
}

#[test]
fn some_crates_are_used_in_one_place() {
    let confined: BTreeMap<_, _> = CONFINED.iter().copied().collect();
    for package in packages() {
        for dependency in &package.dependencies {
            let allowed = confined
                .get(dependency.name.as_str())
                .is_none_or(|users| users.contains(&package.name.as_str()));
            assert!(
                allowed,
                "{} must not use {}: {:?} may",
                package.name,
                dependency.name,
                confined[dependency.name.as_str()]
            );
        }
    }
}

/// A handler reads what there is, and changes it by the services: it has no way to write the store.
#[test]
fn no_handler_has_the_store() {
    let api = root().join("crates/api/src");
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let has_store = |line: &str| {
        line.starts_with("use perilune_store")
            && line.split(|c| !is_of_word(c)).any(|word| word == "Store")
            || line.contains("perilune_store::Store")
    };
    for path in files().into_iter().filter(|path| path.starts_with(&api)) {
        let found = text(&path).lines().position(has_store);
        assert!(found.is_none(), "{}:{}: the store", path.display(), found.unwrap_or_default() + 1);
    }
}

#[test]
fn files_have_one_subject_and_end() {
    let is_source = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "rs")
            && path.iter().any(|part| part == "src")
    };
    let too_long: Vec<String> = files()
        .into_iter()
        .filter(is_source)
        .map(|path| (text(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .map(|(lines, path)| format!("{}: {lines} lines; split it by subject", path.display()))
        .collect();
    assert!(too_long.is_empty(), "more than {LONGEST_FILE} lines:\n{}", too_long.join("\n"));
}

/// Else an editor shows many files of one name.
#[test]
fn modules_are_named_as_their_files() {
    let named: Vec<PathBuf> = files().into_iter().filter(|path| path.ends_with("mod.rs")).collect();
    assert!(named.is_empty(), "write name.rs beside the directory name: {named:?}");
}

/// Of two types of one name the document of the API has the last, in both places.
#[test]
fn schemas_of_the_api_have_names_of_their_own() {
    let mut known: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut twice = Vec::new();
    let sources = files().into_iter().filter(|path| path.iter().any(|part| part == "src"));
    for path in sources.filter(|path| path.extension().is_some_and(|end| end == "rs")) {
        for name in schemas(&text(&path)) {
            if let Some(other) = known.insert(name.clone(), path.clone()) {
                twice.push(format!("{name}: {} and {}", other.display(), path.display()));
            }
        }
    }
    assert!(known.len() > 100, "{known:?}");
    assert!(twice.is_empty(), "{twice:#?}");
}

/// Names of the types that derive a schema.
fn schemas(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if !(line.starts_with("#[derive(") && line.contains("ToSchema")) {
            continue;
        }
        let mut own = None;
        for line in lines.by_ref().take(8) {
            if let Some((_, rest)) = line.split_once("schema(as = ") {
                own = Some(rest.trim_end_matches([')', ']']).to_owned());
            }
            let mut words = line.split([' ', '<', '(', '{', ';']);
            if words.any(|word| word == "struct" || word == "enum") {
                names.extend(own.or_else(|| words.next().map(str::to_owned)));
                break;
            }
        }
    }
    names
}

/// Where a line of a text was broken without a backslash, or with one that a tool has joined. Columns are nearer to each other.
#[test]
fn no_message_has_a_gap_between_two_words() {
    const GAP: &str = "          ";
    let is_source = |file: &PathBuf| {
        let place = file.strip_prefix(root()).unwrap_or(file);
        let is_rust = place.extension().is_some_and(|extension| extension == "rs");
        is_rust
            && place.starts_with("crates")
            && place.components().any(|part| part.as_os_str() == "src")
    };
    let sources = files().into_iter().filter(is_source);
    for file in sources {
        for (number, line) in text(&file).lines().enumerate() {
            for (before, after) in line.match_indices(GAP).map(|(at, _)| line.split_at(at)) {
                let is_in_text =
                    before.matches('"').count() % 2 == 1 && !line.trim_start().starts_with("//");
                let ends_a_word =
                    before.ends_with(|c: char| c.is_ascii_lowercase() || ".,;:".contains(c));
                let is_indentation = before.ends_with("\\n");
                let begins_a_word =
                    after.trim_start().starts_with(|c: char| c.is_ascii_alphabetic());
                assert!(
                    !(is_in_text && ends_a_word && begins_a_word && !is_indentation),
                    "{}:{}: a gap in a message",
                    file.display(),
                    number + 1
                );
            }
        }
    }
}

#[test]
fn every_package_says_its_licence_and_follows_the_lints() {
    for package in packages() {
        assert_eq!(package.licence.as_deref(), Some("MIT OR Apache-2.0"), "{}", package.name);
        let manifest = text(&package.manifest);
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} does not follow the workspace's lints",
            package.name
        );
        let own_versions =
            manifest.lines().filter(|line| line.contains("version = \"")).collect::<Vec<_>>();
        assert!(
            own_versions.is_empty(),
            "{}: versions stand in the root Cargo.toml: {own_versions:?}",
            package.name
        );
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(text(&root().join(licence)).len() > 1000, "{licence} has its full text");
    }
}

#[test]
fn every_dependency_is_explained() {
    let page = text(&root().join("docs/dependencies.md"));
    let explained: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|rest| rest.split_once('`').map(|(name, _)| name))
        .collect();
    let used: BTreeSet<String> = packages()
        .into_iter()
        .flat_map(|package| package.dependencies)
        .filter(|dependency| !dependency.is_ours)
        .map(|dependency| dependency.name)
        .collect();
    let unexplained: Vec<_> =
        used.iter().filter(|name| !explained.contains(name.as_str())).collect();
    assert!(unexplained.is_empty(), "no row in docs/dependencies.md: {unexplained:?}");
    let declared = text(&root().join("Cargo.toml"));
    let gone: Vec<_> =
        explained.iter().filter(|name| !declared.contains(&format!("\n{name} = "))).collect();
    assert!(
        gone.is_empty(),
        "docs/dependencies.md explains what the workspace does not declare: {gone:?}"
    );
}

/// Licences, two versions of one crate, and cryptography that must not be there: the rules are in `xtask/dependencies.txt`.
#[test]
fn dependencies_are_as_the_rules_say() {
    let answer = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("dependencies")
        .env("CARGO", env!("CARGO"))
        .output()
        .expect("xtask runs");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
}

#[test]
fn nothing_tells_where_it_was_written() {
    let mut found = Vec::new();
    for path in
        files().into_iter().filter(|path| !GENERATED.iter().any(|name| path.ends_with(name)))
    {
        let Ok(content) = fs::read_to_string(&path) else { continue };
        for (number, line) in content.lines().enumerate() {
            for (one, two) in FORBIDDEN {
                if line.contains(&format!("{one}{two}")) {
                    found.push(format!("{}:{}: {line}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

struct Package {
    name: String,
    manifest: PathBuf,
    licence: Option<String>,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    is_ours: bool,
    is_for_tests: bool,
}

fn packages() -> Vec<Package> {
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version=1"];
    let answer = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&answer.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 3, "cargo knows the workspace");
    packages.iter().map(package).collect()
}

fn package(entry: &Value) -> Package {
    let string = |value: &Value| value.as_str().expect("a string").to_owned();
    let dependencies = entry["dependencies"].as_array().expect("a list of dependencies").iter();
    let dependency = |entry: &Value| Dependency {
        name: string(&entry["name"]),
        is_ours: entry["path"].is_string(),
        is_for_tests: entry["kind"] == "dev",
    };
    Package {
        name: string(&entry["name"]),
        manifest: PathBuf::from(string(&entry["manifest_path"])),
        licence: entry["license"].as_str().map(str::to_owned),
        dependencies: dependencies.map(dependency).collect(),
    }
}

/// Every file that is committed, or would be.
fn files() -> Vec<PathBuf> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let answer =
        Command::new("git").args(arguments).current_dir(root()).output().expect("git runs");
    let names = String::from_utf8(answer.stdout).expect("names in UTF-8");
    let files: Vec<PathBuf> =
        names.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name)).collect();
    assert!(files.len() > 20, "git knows the tree");
    files.into_iter().filter(|path| path.is_file()).collect()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root")
}
