//! Programs of the site, for hooks and for what is done in place of the daemon: executables, or Python files of an existing site that a small
//! program of ours calls. There is one way to run them, with one set of bounds.

pub(crate) mod names;

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use perilune_program::{Limits, User};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What calls the class of a Python file: its standard input is the same as any program's.
const SHIM: &str = include_str!("plugins/shim.py");
const LIMITS: Limits = Limits::of(Duration::from_mins(5), 1 << 20);
/// As many hooks run at one moment.
const AT_ONCE: usize = 4;
/// As many programs of one name answer clients at one moment: who asks for a slow one again and again keeps waiting who else asks for it.
const OF_ONE: usize = 4;
/// As long a client waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);
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
    /// Plugins that run as root, by the beginnings of their paths.
    privileged: Vec<String>,
    /// Who runs those of a daemon that is not root.
    worker: Option<Worker>,
    /// Kinds of which also those Python files are called that came with the former daemon, likewise.
    working_classes: Vec<String>,
    /// What a hook may take.
    limits: Limits,
    turns: Arc<Semaphore>,
    working: Arc<Semaphore>,
    exchanging: Arc<Mutex<BTreeMap<String, Arc<Semaphore>>>>,
}

/// Why a client has no answer of a plugin.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unanswered {
    /// Others have asked for it, and it is slow.
    #[error("{0} runs as often as it may at one moment; ask again")]
    Busy(String),
    /// In words for people.
    #[error("{0}")]
    Failed(String),
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
            worker: None,
            working_classes: Vec::new(),
            limits: LIMITS,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            working: Arc::new(Semaphore::new(WORKING_AT_ONCE)),
            exchanging: Arc::default(),
        }
    }

    /// The same, with plugins that run as the daemon itself, and kinds of which even the former daemon's Python files are called: beginnings
    /// of paths.
    pub(crate) fn with(self, privileged: Vec<String>, working_classes: Vec<String>) -> Self {
        Self { privileged, working_classes, ..self }
    }

    /// The same, whose privileged plugins somebody runs who is root.
    pub(crate) fn by_worker(self, worker: Option<Worker>) -> Self {
        Self { worker, ..self }
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
        Some(self.run(plugin, &found, &[], &question.to_string(), self.limits).await)
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
        let Working { plugin, found } = working;
        let answer = self.run(plugin, found, &[], &question.to_string(), limits).await?;
        if answer.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        // What is longer than may be was ended in the middle of its answer, with a failure of its own.
        let value = serde_json::from_slice(&answer);
        value.map_err(|error| format!("its answer is no JSON: {error}"))
    }

    /// Asks it for a client, who may be anybody; `None` where there is none. Names are few: the configuration allows each.
    pub async fn exchange(
        &self,
        plugin: &str,
        question: &Value,
        limits: Limits,
    ) -> Option<Result<Vec<u8>, Unanswered>> {
        self.find(plugin)?;
        let turns = {
            let mut all = self.exchanging.lock().unwrap_or_else(PoisonError::into_inner);
            let made = || Arc::new(Semaphore::new(OF_ONE));
            Arc::clone(all.entry(plugin.to_owned()).or_insert_with(made))
        };
        let turn = timeout(PATIENCE, turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Some(Err(Unanswered::Busy(plugin.to_owned()))) };
        let answer = self.ask(plugin, question, limits).await?;
        Some(answer.map_err(Unanswered::Failed))
    }

    /// Asks it at once, whatever else runs: whoever calls has turns of its own.
    pub(crate) async fn ask(
        &self,
        plugin: &str,
        question: &Value,
        limits: Limits,
    ) -> Option<Result<Vec<u8>, String>> {
        let found = self.find(plugin)?;
        Some(self.run(plugin, &found, &[], &question.to_string(), limits).await)
    }

    /// Tells what was done with a machine: an executable as its arguments (the action, the node, its group), a Python file as JSON.
    pub(crate) async fn tell(
        &self,
        plugin: &str,
        told: [&str; 3],
        limits: Limits,
    ) -> Option<Result<(), String>> {
        let found = self.find(plugin)?;
        let [action, name, group] = told;
        let question = json!({ "action": action, "name": name, "group": group }).to_string();
        let arguments = if found.is_class { [].as_slice() } else { told.as_slice() };
        Some(self.run(plugin, &found, arguments, &question, limits).await.map(drop))
    }

    /// Runs a privileged plugin as this process, which is root, for a daemon that is not: what nobody else can have put there.
    pub(crate) async fn run_for_daemon(&self, asked: &Asked) -> Result<Vec<u8>, String> {
        let Asked { plugin, arguments, question, limits } = asked;
        let is_plain =
            Path::new(plugin).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || !is_below(&self.privileged, plugin) {
            return Err(format!(
                "the worker does not run {}: PERILUNE_PRIVILEGED of /etc/perilune/worker.env does not name it",
                plugin.escape_debug()
            ));
        }
        let found = self.find(plugin).ok_or_else(|| {
            format!("the worker finds no {plugin} in the directory that PERILUNE_PLUGINS of /etc/perilune/worker.env names")
        })?;
        let real = found.path.canonicalize().map_err(|error| error.to_string())?;
        names::check_owners(&found.path, Path::new("/"))?;
        names::check_owners(&real, Path::new("/"))?;
        let words = self.words(plugin, &found);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        ask(&words, &arguments, question, *limits, None).await
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
        arguments: &[&str],
        question: &str,
        limits: Limits,
    ) -> Result<Vec<u8>, String> {
        if let Some(worker) = self.worker.as_ref().filter(|_| is_below(&self.privileged, plugin)) {
            let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
            let (plugin, question) = (plugin.to_owned(), question.to_owned());
            return worker.ask(Asked { plugin, arguments, question, limits }).await;
        }
        let user = self.user_of(plugin, &found.path)?;
        ask(&self.words(plugin, found), arguments, question, limits, user).await
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

async fn ask(
    words: &[PathBuf],
    arguments: &[&str],
    question: &str,
    limits: Limits,
    user: Option<User>,
) -> Result<Vec<u8>, String> {
    let words = words.iter().map(PathBuf::as_path).chain(arguments.iter().map(Path::new));
    let words: Vec<&Path> = words.collect();
    perilune_program::ask(&words, &format!("{question}\n"), limits, user).await
}

/// What is asked of a privileged plugin.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Its path below the plugins' directory, without an ending.
    pub(crate) plugin: String,
    pub(crate) arguments: Vec<String>,
    /// Its standard input.
    pub(crate) question: String,
    pub(crate) limits: Limits,
}

type Answering = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;

/// Runs privileged plugins for a daemon that is not root.
#[derive(Clone)]
pub(crate) struct Worker(Arc<dyn Fn(Asked) -> Answering + Send + Sync>);

impl Worker {
    /// By this function.
    pub(crate) fn new(ask: impl Fn(Asked) -> Answering + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    async fn ask(&self, asked: Asked) -> Result<Vec<u8>, String> {
        (self.0)(asked).await
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Worker")
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
