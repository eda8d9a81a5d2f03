//! Programs of the site, for hooks and for what is done in place of the daemon: executables, or Python files of an existing site that a small
//! program of ours calls. There is one way to run them, with one set of bounds.

pub(crate) mod names;

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use perilune_program::{Ended, Limits, User};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// What calls the class of a Python file: its standard input is the same as any program's.
const SHIM: &str = include_str!("plugins/shim.py");
const LIMITS: Limits = Limits::of(Duration::from_mins(5), 1 << 20);
/// As many hooks run at one moment.
const AT_ONCE: usize = 4;
/// As many programs run at one moment that work for a request or a job: they do not wait for hooks.
const WORKING_AT_ONCE: usize = 16;

/// A plugin that works in place of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Working {
    /// Its path below the plugins' directory, without an ending.
    pub(crate) plugin: String,
    found: Found,
}

/// Finds and calls plugins below one directory.
#[derive(Debug, Clone)]
pub struct Runner {
    plugins: Option<PathBuf>,
    python: PathBuf,
    user: Option<User>,
    /// Plugins that run as the daemon itself, by the beginnings of their paths.
    privileged: Vec<String>,
    /// Kinds of which also those Python files are called that came with the former daemon, likewise.
    working_classes: Vec<String>,
    /// What a hook may take.
    limits: Limits,
    turns: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

impl Default for Runner {
    fn default() -> Self {
        Self::new(None, PathBuf::from("/usr/bin/python3"), None)
    }
}

/// A plugin that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// It is a Python file that is no program by itself.
    is_class: bool,
}

impl Runner {
    /// Plugins of this directory, whose Python files this interpreter runs, as this user.
    pub(crate) fn new(plugins: Option<PathBuf>, python: PathBuf, user: Option<User>) -> Self {
        Self {
            plugins,
            python,
            user,
            privileged: Vec::new(),
            working_classes: Vec::new(),
            limits: LIMITS,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            working: Arc::new(Semaphore::new(WORKING_AT_ONCE)),
        }
    }

    /// The same, with plugins that run as the daemon itself, and kinds of which even the former daemon's Python files are called: beginnings
    /// of paths.
    pub(crate) fn with(self, privileged: Vec<String>, working_classes: Vec<String>) -> Self {
        Self { privileged, working_classes, ..self }
    }

    /// The same, with other bounds for hooks.
    #[cfg(test)]
    pub(crate) fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The plugin of this path below the directory: an executable, else a Python file.
    pub(crate) fn find(&self, plugin: &str) -> Option<Found> {
        let path = self.plugins.as_ref()?.join(plugin);
        if is_executable(&path) {
            return Some(Found { path, is_class: false });
        }
        let class = format!("{plugin}.py");
        if !is_called(&class, &self.working_classes) {
            return None;
        }
        let path = self.plugins.as_ref()?.join(class);
        path.is_file().then_some(Found { path, is_class: true })
    }

    /// Whether it is a Python file.
    pub(crate) fn is_class(&self, plugin: &str) -> bool {
        self.find(plugin).is_some_and(|found| found.is_class)
    }

    /// Asks the plugin; `None` where there is none.
    pub(crate) async fn call(
        &self,
        plugin: &str,
        question: &Value,
    ) -> Option<Result<Vec<u8>, String>> {
        let found = self.find(plugin)?;
        // Nobody ever closes it.
        let _turn = self.turns.acquire().await.ok()?;
        Some(self.run(plugin, &found, question, self.limits).await)
    }

    /// What works in place of the daemon: of these names below the directory of the kind, the first that is there.
    pub(crate) fn find_working(&self, kind: &str, names: &[String]) -> Option<Working> {
        names.iter().find_map(|name| {
            let plugin = format!("{kind}/{name}");
            let found = self.find(&plugin)?;
            Some(Working { plugin, found })
        })
    }

    /// Has it work, and reads its answer as JSON. The question has its kind beside what is asked.
    pub(crate) async fn work(
        &self,
        working: &Working,
        question: &Value,
        limits: Limits,
    ) -> Result<Value, String> {
        let Ok(_turn) = self.working.acquire().await else {
            return Err("it is too late".to_owned());
        };
        let answer = self.run(&working.plugin, &working.found, question, limits).await?;
        if answer.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        // What is longer than may be was ended in the middle of its answer, with a failure of its own.
        let value = serde_json::from_slice(&answer);
        value.map_err(|error| format!("its answer is no JSON: {error}"))
    }

    /// Asks it at once, whatever else runs: whoever calls has turns of its own.
    pub async fn ask(
        &self,
        plugin: &str,
        question: &Value,
        limits: Limits,
    ) -> Option<Result<Vec<u8>, String>> {
        let found = self.find(plugin)?;
        Some(self.run(plugin, &found, question, limits).await)
    }

    /// Tells what was done with a machine: an executable as its arguments (the action, the node, its group), a Python file as JSON.
    pub(crate) async fn tell(
        &self,
        plugin: &str,
        told: [&str; 3],
        limits: Limits,
    ) -> Option<Result<Ended, String>> {
        let found = self.find(plugin)?;
        let user = match self.user_of(plugin, &found.path) {
            Ok(user) => user,
            Err(reason) => return Some(Err(reason)),
        };
        let (words, [action, name, group]) = (self.words(plugin, &found), told);
        let arguments = if found.is_class { [].as_slice() } else { told.as_slice() };
        let words =
            words.iter().map(|word| word.as_os_str()).chain(arguments.iter().map(OsStr::new));
        let words: Vec<&OsStr> = words.collect();
        let question = json!({ "action": action, "name": name, "group": group }).to_string();
        Some(perilune_program::run(&words, &question, limits, user).await)
    }

    /// The first of these names in a directory that has a plugin, as a path below the plugins' directory.
    pub(crate) fn first<'a>(
        &self,
        directory: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Option<String> {
        let mut plugins = names.into_iter().map(|name| format!("{directory}/{name}"));
        plugins.find(|plugin| self.find(plugin).is_some())
    }

    /// How it is started, and whom it runs as.
    pub(crate) fn program(&self, plugin: &str) -> Option<Result<perilune_bmc::Program, String>> {
        let found = self.find(plugin)?;
        let (words, user) = (self.words(plugin, &found), self.user_of(plugin, &found.path));
        Some(user.map(|user| perilune_bmc::Program { path: found.path, words, user }))
    }

    /// Whom a plugin runs as; as the daemon itself without. What runs as root is written by nobody else.
    fn user_of(&self, plugin: &str, path: &Path) -> Result<Option<User>, String> {
        let is_privileged = is_below(&self.privileged, plugin);
        if is_privileged && self.user.is_some() {
            let top = self.plugins.as_deref().unwrap_or(Path::new("/"));
            names::check_owners(path, top)?;
        }
        Ok(self.user.filter(|_| !is_privileged))
    }

    async fn run(
        &self,
        plugin: &str,
        found: &Found,
        question: &Value,
        limits: Limits,
    ) -> Result<Vec<u8>, String> {
        let user = self.user_of(plugin, &found.path)?;
        let question = format!("{question}\n");
        let words = self.words(plugin, found);
        let words: Vec<&Path> = words.iter().map(PathBuf::as_path).collect();
        perilune_program::ask(&words, &question, limits, user).await
    }

    fn words(&self, plugin: &str, found: &Found) -> Vec<PathBuf> {
        if !found.is_class {
            return vec![found.path.clone()];
        }
        // Isolated: nothing of the daemon's surroundings decides what is run.
        let shim = [self.python.clone(), "-I".into(), "-c".into(), SHIM.into()];
        shim.into_iter().chain([found.path.clone(), plugin.into()]).collect()
    }
}

/// Whether a Python file is called, by its path below the plugins' directory. What came with the former daemon does what is done here, unless
/// the site has changed it and names its kind; hooks do nothing by themselves.
pub(crate) fn is_called(file: &str, working_classes: &[String]) -> bool {
    let is_hook = Path::new(file).starts_with("hooks");
    is_hook || !names::is_delivered(file) || is_below(working_classes, file)
}

/// Whether a plugin is one of these, or below one of these directories.
pub(crate) fn is_below(beginnings: &[String], plugin: &str) -> bool {
    beginnings.iter().any(|beginning| Path::new(plugin).starts_with(beginning))
}

/// Whether a site has put a program there.
pub(crate) fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests;
