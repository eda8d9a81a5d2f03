//! The program of a plugin: an executable, or a Python file of an existing site that a small program of ours calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;

use crate::control::is_executable;
use crate::program::{self, Limits, User};

/// What calls the class of a Python file: its standard input is the same as any program's.
const SHIM: &str = include_str!("shim.py");
const LIMITS: Limits = Limits { time: Duration::from_mins(5), output: 1 << 20 };
/// As many hooks run at one moment.
const AT_ONCE: usize = 4;

/// Finds and calls plugins below one directory.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    plugins: Option<PathBuf>,
    python: PathBuf,
    user: Option<User>,
    turns: Arc<Semaphore>,
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
        Self { plugins, python, user, turns: Arc::new(Semaphore::new(AT_ONCE)) }
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
        let question = format!("{question}\n");
        let words = self.words(&found);
        let words: Vec<&Path> = words.iter().map(PathBuf::as_path).collect();
        Some(program::ask_as(&words, &question, LIMITS, self.user).await)
    }

    fn words(&self, found: &Found) -> Vec<PathBuf> {
        if !found.is_class {
            return vec![found.path.clone()];
        }
        // Isolated: nothing of the daemon's surroundings decides what is run.
        vec![self.python.clone(), "-I".into(), "-c".into(), SHIM.into(), found.path.clone()]
    }
}
