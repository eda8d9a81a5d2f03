//! Does what is to be done with trees. The same code runs in a daemon that is root and in the worker of one that is not.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perilune_image::{CancelFlag, CheckRequest, Packed, Request};
use perilune_program::Limits;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2};

use super::fence::Fence;
use super::rsync::cancelled;
use super::task::{Done, Finding, Pack, Plugin, Report, Task, Told};
use super::{agent, certificates, rsync};
use crate::jobs::blocking::blocking;
use crate::jobs::error::{Error, chain};
use crate::jobs::tree;
use crate::plugins::{Asked, Runner};

/// What a plugin may take at most, whatever the daemon says: a line of the worker's has room for so much, with what JSON adds.
const LONGEST: Duration = Duration::from_hours(4);
const LARGEST: u64 = 2 << 20;

/// Where things are for whoever works on trees.
#[derive(Debug, Clone)]
pub struct Performer {
    /// What packing makes.
    pub files: PathBuf,
    /// The program that becomes `/init`, when the configuration names it.
    pub agent: Option<PathBuf>,
    /// Where it may work, when it works for somebody who is not root.
    pub fence: Option<Fence>,
    /// What runs plugins for somebody who is not root.
    pub(crate) plugins: Option<Runner>,
}

impl Performer {
    /// Does it. Once it is cancelled, it ends as soon as it can.
    pub(crate) async fn perform(
        &self,
        task: Task,
        report: Report,
        cancel: CancelFlag,
    ) -> Result<Done, Error> {
        if let Some(fence) = &self.fence {
            fence.admits(&task)?;
        }
        let own = self.clone();
        match task {
            Task::Mounts { host } => Ok(Done::Mounts(rsync::mounts_on(&host).await)),
            Task::Grab(grab) => rsync::grab(&grab, &report, &cancel).await.map(Done::Count),
            Task::Push(push) => rsync::push(&push, &report, &cancel).await.map(Done::Count),
            Task::Plugin(plugin) => self.run(plugin, &cancel).await,
            task => blocking(move || own.perform_blocking(task, &report, &cancel)).await?,
        }
    }

    async fn run(&self, plugin: Plugin, cancel: &CancelFlag) -> Result<Done, Error> {
        let Some(runner) = &self.plugins else { return Err(Error::Defect) };
        let Plugin { path: plugin, arguments, question, seconds, output } = plugin;
        let time = Duration::from_secs(seconds).min(LONGEST);
        let limits = Limits::of(time, output.min(LARGEST));
        let asked = Asked { plugin, arguments, question, limits };
        let said = tokio::select! {
            said = runner.run_for_daemon(&asked) => said.map_err(|text| Error::Told { text })?,
            () = cancelled(cancel) => return Err(perilune_image::Error::Cancelled.into()),
        };
        let unreadable = |_error| Error::Told { text: "what it says is no UTF-8".to_owned() };
        String::from_utf8(said).map(Done::Said).map_err(unreadable)
    }

    fn perform_blocking(
        &self,
        task: Task,
        report: &Report,
        cancel: &CancelFlag,
    ) -> Result<Done, Error> {
        let done = match task {
            Task::Pack(pack) => Done::Packed(self.pack(pack, report, cancel)?),
            Task::Check { tree, kernel_version, kernel_modules } => {
                let request = CheckRequest { tree, kernel_version, kernel_modules };
                let found = perilune_image::check(&request, cancel)?;
                Done::Findings(found.into_iter().map(Finding::from).collect())
            }
            Task::Copy { from, to, request, mounts, may_replace } => {
                let mut told = |progress| report(Told::Bytes(progress));
                let how = (request.as_str(), mounts, may_replace);
                Done::Notes(tree::copy_aside((&from, &to), how, &mut told, cancel)?)
            }
            Task::Move { from, to } => {
                tree::rename(&from, &to)?;
                Done::Nothing
            }
            Task::Certificates { tree } => {
                Done::Notes(certificates::update(&tree, Path::new(certificates::PLACE))?)
            }
            Task::Leave { tree } => {
                tree::leave(&tree)?;
                Done::Nothing
            }
            Task::PutAside { tree, request } => Done::Aside(tree::put_aside(&tree, &request)?),
            Task::Remove { tree, request } => {
                tree::remove(&tree, &request)?;
                Done::Nothing
            }
            Task::Mounts { .. } | Task::Grab(_) | Task::Push(_) | Task::Plugin(_) => {
                return Err(Error::Defect);
            }
        };
        Ok(done)
    }

    fn pack(&self, pack: Pack, report: &Report, cancel: &CancelFlag) -> Result<Packed, Error> {
        let Pack {
            name,
            tree,
            kernel_version,
            kernel_modules,
            epoch,
            format,
            mounts,
            readers,
            parts,
        } = pack;
        let mut request = Request {
            name,
            tree,
            kernel_version,
            kernel_modules,
            agent: agent::find(self.agent.as_deref())?,
            files_dir: self.files.clone(),
            epoch,
            archive_format: format.into(),
            parts,
            mounts: mounts.into(),
            archive_readers: readers,
            owner: None,
        };
        let mut told = |progress| report(Told::Bytes(progress));
        let Some(fence) = &self.fence else {
            return Ok(perilune_image::pack(&request, &mut told, cancel)?);
        };
        // The directory belongs to a user who may put a link in its place at any time: it is opened once, and files are made in what was
        // opened. It is open until they are made.
        let directory = open(&self.files, fence.user)?;
        request.owner = Some(fence.user);
        request.files_dir = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        let reached = request.files_dir.display().to_string();
        let shown = |text: String| text.replace(&reached, &self.files.display().to_string());
        match perilune_image::pack(&request, &mut told, cancel) {
            Ok(mut packed) => {
                packed.warnings = packed.warnings.into_iter().map(shown).collect();
                Ok(packed)
            }
            Err(perilune_image::Error::Cancelled) => Err(perilune_image::Error::Cancelled.into()),
            Err(error) => Err(Error::Told { text: shown(chain(&error)) }),
        }
    }
}

/// Opens the directory of packed files: no link leads there, and it is root's or the user's own.
fn open(directory: &Path, user: u32) -> Result<fs::File, Error> {
    let refused = |reason: String| Error::Refused { path: directory.to_owned(), reason };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat2(CWD, directory, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    let opened = opened.map_err(|error| refused(format!("it cannot be opened: {error}")))?;
    let owner = fstat(&opened).map_err(|error| refused(error.to_string()))?.st_uid;
    if owner == 0 || owner == user {
        Ok(opened.into())
    } else {
        Err(refused(format!("it belongs to the user {owner}")))
    }
}
