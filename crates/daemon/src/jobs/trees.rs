//! Who works on trees of operating systems: they have every owner and mode in them, so that takes what root alone may. A daemon that is
//! root does it itself; one that is not asks the privileged worker (`worker.rs`), in the same words.

mod agent;
mod ask;
mod certificates;
mod fence;
mod perform;
mod rsync;
mod task;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use ask::{Answer, Failure, line, read_line};
pub(crate) use fence::Fence;
pub(crate) use perform::Performer;
use perilune_image::{CancelFlag, Packed};
pub use task::{Count, Finding};
pub(crate) use task::{Done, Grab, Host, HostName, Pack, Plugin, Push, Report, Task, Told};

use super::error::{Error, chain};
use crate::plugins;

/// Who works on trees.
#[derive(Debug, Clone)]
pub enum Trees {
    /// This process.
    Own(Box<Performer>),
    /// The privileged worker that listens on this socket.
    Worker(PathBuf),
}

impl Trees {
    /// Has something done. Once it is cancelled, it ends as soon as it can.
    pub(crate) async fn perform(
        &self,
        task: Task,
        report: Report,
        cancel: &CancelFlag,
    ) -> Result<Done, Error> {
        match self {
            Self::Own(performer) => performer.perform(task, report, cancel.clone()).await,
            Self::Worker(socket) => ask::ask(socket, task, report, cancel).await,
        }
    }

    /// Has something done that is over soon, and tells nothing meanwhile.
    pub(crate) async fn at_once(&self, task: Task) -> Result<Done, Error> {
        self.perform(task, Arc::new(|_| {}), &CancelFlag::default()).await
    }

    /// What runs plugins as root for a daemon that is not.
    pub(crate) fn plugins(&self) -> Option<plugins::Worker> {
        let Self::Worker(_) = self else { return None };
        let trees = self.clone();
        Some(plugins::Worker::new(move |asked| {
            let trees = trees.clone();
            Box::pin(async move { trees.run(asked).await })
        }))
    }

    async fn run(&self, asked: plugins::Asked) -> Result<Vec<u8>, String> {
        let plugins::Asked { plugin, arguments, question, limits } = asked;
        let (seconds, output) = (limits.time.as_secs(), limits.output);
        let task = Task::Plugin(Plugin { path: plugin, arguments, question, seconds, output });
        match self.at_once(task).await {
            Ok(Done::Said(said)) => Ok(said.into_bytes()),
            Ok(_) => Err(chain(&Error::Defect)),
            Err(error) => Err(chain(&error)),
        }
    }

    /// That nobody works on trees.
    pub(crate) fn warning(&self) -> Option<String> {
        let Self::Worker(socket) = self else { return None };
        (!socket.exists()).then(|| {
            format!(
                "images cannot be worked on: {} does not exist. Start perilune-worker.socket, or the daemon without --worker, as root",
                socket.display()
            )
        })
    }

    /// Moves a tree to a place where nothing is.
    pub async fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        let task = Task::Move { from: from.to_owned(), to: to.to_owned() };
        self.at_once(task).await.map(drop)
    }

    /// Looks through a tree for what a node would lack, and for what should not be in it.
    pub async fn check(
        &self,
        tree: PathBuf,
        kernel_version: Option<String>,
        kernel_modules: Vec<String>,
    ) -> Result<Vec<Finding>, Error> {
        match self.at_once(Task::Check { tree, kernel_version, kernel_modules }).await? {
            Done::Findings(findings) => Ok(findings),
            _ => Err(Error::Defect),
        }
    }
}

impl Done {
    pub(super) fn packed(self) -> Result<Packed, Error> {
        if let Self::Packed(packed) = self { Ok(packed) } else { Err(Error::Defect) }
    }

    pub(super) fn notes(self) -> Result<Vec<String>, Error> {
        if let Self::Notes(notes) = self { Ok(notes) } else { Err(Error::Defect) }
    }

    pub(super) fn count(self) -> Result<Count, Error> {
        if let Self::Count(count) = self { Ok(count) } else { Err(Error::Defect) }
    }
}
