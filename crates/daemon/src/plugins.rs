//! Programs of the site, for hooks and for what is done in place of the daemon: executables, or Python files of an existing site that a small
//! program of ours calls. There is one way to run them, with one set of bounds.

pub(crate) mod names;

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use perilune_program::{Ended, Limits, User};
use serde_json::Value;
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
pub(crate) struct Runner {
    plugins: Option<PathBuf>,
    python: PathBuf,
    user: Option<User>,
    /// Plugins that run as the daemon itself, by the beginnings of their paths.
    privileged: Vec<String>,
    /// Kinds whose Python files work in place of the daemon, likewise.
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

    /// The same, with plugins that run as the daemon itself, and kinds whose Python files work in its place: beginnings of paths.
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
        let class = PathBuf::from(format!("{}.py", path.display()));
        class.is_file().then_some(Found { path: class, is_class: true })
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
        let is_called = is_below(&self.working_classes, kind);
        names.iter().find_map(|name| {
            let plugin = format!("{kind}/{name}");
            let found = self.find(&plugin).filter(|found| is_called || !found.is_class)?;
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

    /// Asks an executable at once, whatever else runs: whoever calls has turns of its own.
    pub(crate) async fn ask(
        &self,
        plugin: &str,
        question: &Value,
        limits: Limits,
    ) -> Option<Result<Vec<u8>, String>> {
        let found = self.find(plugin).filter(|found| !found.is_class)?;
        Some(self.run(plugin, &found, question, limits).await)
    }

    /// The same with what it is told as arguments.
    pub(crate) async fn tell(
        &self,
        plugin: &str,
        arguments: [&str; 3],
        limits: Limits,
    ) -> Option<Result<Ended, String>> {
        let Found { path, .. } = self.find(plugin).filter(|found| !found.is_class)?;
        let user = match self.user_of(plugin, &path) {
            Ok(user) => user,
            Err(reason) => return Some(Err(reason)),
        };
        let words: Vec<&OsStr> =
            std::iter::once(path.as_os_str()).chain(arguments.map(OsStr::new)).collect();
        Some(perilune_program::run(&words, "", limits, user).await)
    }

    /// Whether there is an executable of this path.
    pub(crate) fn has_program(&self, plugin: &str) -> bool {
        self.find(plugin).is_some_and(|found| !found.is_class)
    }

    /// The first of these names in a directory that has an executable, as a path below the plugins' directory.
    pub(crate) fn first_program<'a>(
        &self,
        directory: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Option<String> {
        let mut plugins = names.into_iter().map(|name| format!("{directory}/{name}"));
        plugins.find(|plugin| self.has_program(plugin))
    }

    /// Where an executable is, and whom it runs as.
    pub(crate) fn program(&self, plugin: &str) -> Option<Result<perilune_bmc::Program, String>> {
        let Found { path, .. } = self.find(plugin).filter(|found| !found.is_class)?;
        let user = self.user_of(plugin, &path);
        Some(user.map(|user| perilune_bmc::Program { path, user }))
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
        let words = self.words(found);
        let words: Vec<&Path> = words.iter().map(PathBuf::as_path).collect();
        perilune_program::ask(&words, &question, limits, user).await
    }

    fn words(&self, found: &Found) -> Vec<PathBuf> {
        if !found.is_class {
            return vec![found.path.clone()];
        }
        // Isolated: nothing of the daemon's surroundings decides what is run.
        vec![self.python.clone(), "-I".into(), "-c".into(), SHIM.into(), found.path.clone()]
    }
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
