//! `perilune worker`: works on trees of operating systems for a daemon that is not root. The service manager starts it when the daemon
//! first asks, with the socket as its standard input.

use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use perilune_daemon::owner;
use perilune_daemon::worker::{self, Ground, Plugins};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// The directory of images: no tree elsewhere is worked on
    #[arg(
        long,
        env = "PERILUNE_IMAGES",
        value_name = "DIR",
        default_value = "/var/lib/perilune/images"
    )]
    images: PathBuf,
    /// The directory of packed images
    #[arg(
        long,
        env = "PERILUNE_FILES",
        value_name = "DIR",
        default_value = "/var/lib/perilune/files"
    )]
    files: PathBuf,
    /// The user whose daemon may ask, and who owns what is packed
    #[arg(long, env = "PERILUNE_USER", value_name = "NAME", default_value = "perilune")]
    user: String,
    /// The directory of the site's programs of which some run as root; it and all above it must be root's
    #[arg(long, env = "PERILUNE_PLUGINS", value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Which of them run as root: beginnings of their paths below it, such as hooks/config/group, with commas
    #[arg(long, env = "PERILUNE_PRIVILEGED", value_name = "PATHS", value_delimiter = ',')]
    privileged: Vec<String>,
    /// What runs those that are Python files
    #[arg(long, env = "PERILUNE_PYTHON", value_name = "FILE", default_value = "/usr/bin/python3")]
    python: PathBuf,
    /// The static program that becomes /init of packed images; found beside this program without it
    #[arg(long, env = "PERILUNE_AGENT", hide_env_values = true, value_name = "FILE")]
    agent: Option<PathBuf>,
}

/// Works until it is told to stop, or nobody has asked for a while.
pub(crate) fn run(arguments: Worker) -> Result<(), Failure> {
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_ansi(terminal)
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    work(arguments).map_err(Failure::from)
}

fn work(arguments: Worker) -> anyhow::Result<()> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    let listener = UnixListener::from(socket);
    listener
        .local_addr()
        .context("standard input is no socket; the unit perilune-worker.socket gives it one")?;
    let user = owner::user_named(&arguments.user)?;
    let user = user.with_context(|| format!("there is no user '{}'", arguments.user))?;
    let Worker { images, files, agent, plugins, privileged, python, .. } = arguments;
    let privileged = privileged.iter().map(|path| path.trim().to_owned());
    let privileged = privileged.filter(|path| !path.is_empty()).collect();
    let plugins = Plugins { directory: plugins, privileged, python };
    let ground = Ground { images, files, user, agent, plugins };
    let runtime = tokio::runtime::Runtime::new().context("the runtime does not start")?;
    let worked = runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let told = stop.clone();
        let working = worker::work(listener, ground, stop);
        tokio::pin!(working);
        tokio::select! {
            worked = &mut working => return worked,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
        working.await
    });
    // Threads that pack or read a file are not waited for.
    runtime.shutdown_background();
    Ok(worked?)
}
