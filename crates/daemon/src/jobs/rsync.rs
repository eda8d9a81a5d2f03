//! Runs `rsync`: what is the same for grabbing and pushing, what it says, and its end.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use perilune_image::CancelFlag;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::error::Error;
use super::message::Progress;
use super::run::Context;
use super::tree;

/// How `rsync` reaches nodes, unless its own variable `RSYNC_RSH` says otherwise. Nobody can answer a question here.
const REMOTE_SHELL: &str = "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15";
/// Nothing moved for so many seconds: the node is gone.
const SILENCE: &str = "--timeout=120";
/// A node that is asked for what it has mounted has so long to answer, and says no more than this.
const ASKING: Duration = Duration::from_secs(30);
const LONGEST_MOUNTINFO: u64 = 1 << 20;
/// As many changes of a trial are told one by one.
const TOLD: usize = 20;
/// Whether somebody wants to stop is looked at this often.
const LOOK: Duration = Duration::from_millis(200);
/// Files that went away while they were copied are none to worry about (rsync(1), exit values).
const VANISHED: i32 = 24;
/// As much of what `rsync` complains about as is told.
const COMPLAINT: u64 = 2000;

/// What is the same for both directions. File names are not read by the shell of the other side. What is mounted is
/// left to the caller: rsync's own `--one-file-system` takes a subvolume for another file system.
pub(super) fn rsync(exclude: &[String], really: bool) -> Command {
    let mut command = Command::new("rsync");
    command.args(["-aHAXRs", "--numeric-ids", "--itemize-changes", SILENCE]);
    if !really {
        command.arg("-n");
    }
    if std::env::var_os("RSYNC_RSH").is_none() {
        command.args(["-e", REMOTE_SHELL]);
    }
    // What only one machine may have: neither an image nor another node gets it.
    for pattern in perilune_image::identity_patterns() {
        command.arg(format!("--exclude={pattern}"));
    }
    for pattern in exclude {
        command.arg(format!("--exclude={pattern}"));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Where a node that is reached so (`user@address`) has something mounted; `None` where it does not say.
pub(super) async fn mounts_on(host: &str) -> Option<Vec<PathBuf>> {
    let (user, address) = host.rsplit_once('@')?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    // As rsync does: the words of the variable, then who and where.
    let mut command = Command::new("sh");
    command.args(["-c", "exec $RSYNC_RSH \"$@\"", "sh", "-l", user, address]);
    command.args(["cat", "/proc/self/mountinfo"]);
    if std::env::var_os("RSYNC_RSH").is_none() {
        command.env("RSYNC_RSH", REMOTE_SHELL);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    let stream = child.stdout.take()?;
    let read = async {
        let mut bytes = Vec::new();
        stream.take(LONGEST_MOUNTINFO).read_to_end(&mut bytes).await.ok()?;
        child.wait().await.ok().filter(std::process::ExitStatus::success)?;
        Some(bytes)
    };
    let bytes = tokio::time::timeout(ASKING, read).await.ok()??;
    let points = tree::mount_points_of(&bytes);
    // Every machine has its root mounted.
    points.iter().any(|point| point.as_os_str() == "/").then_some(points)
}

/// What differed.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) files: usize,
    first: Vec<String>,
}

impl Count {
    pub(super) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.first.extend(other.first);
        self.first.truncate(TOLD);
    }

    /// A trial tells what would change.
    pub(super) fn tell(&self, context: &Context, really: bool) {
        if really {
            return;
        }
        for line in &self.first {
            context.tell(&format!("would change: {line}"));
        }
        if let Some(more) = self.files.checked_sub(self.first.len()).filter(|more| *more > 0) {
            context.tell(&format!("would change: {more} more"));
        }
    }
}

pub(super) async fn run_one(
    context: &Context,
    mut command: Command,
    step: &str,
) -> Result<Count, Error> {
    let mut child = command.spawn().map_err(Error::NoRsync)?;
    let complaints = child.stderr.take().map(|stream| {
        let mut stream = stream.take(COMPLAINT);
        async move {
            let mut bytes = Vec::new();
            // What is not read is only not told.
            stream.read_to_end(&mut bytes).await.ok();
            tokio::io::copy(&mut stream.into_inner(), &mut tokio::io::sink()).await.ok();
            String::from_utf8_lossy(&bytes).trim().replace('\n', "; ")
        }
    });
    let changes = changes(context, &mut child, step);
    let read = async {
        match complaints {
            Some(complaints) => tokio::join!(changes, complaints),
            None => (changes.await, String::new()),
        }
    };
    let (count, complaint) = tokio::select! {
        read = read => read,
        () = cancelled(&context.cancel) => return Err(Error::Image(perilune_image::Error::Cancelled)),
    };
    let status = child.wait().await.map_err(Error::NoRsync)?;
    match status.code() {
        Some(0) => Ok(count),
        Some(VANISHED) => {
            tracing::info!(complaint, "files went away while they were copied");
            Ok(count)
        }
        code => Err(Error::Rsync { code, complaint }),
    }
}

/// Reads what `rsync` says that it changes, a line for each.
async fn changes(context: &Context, child: &mut Child, step: &str) -> Count {
    let mut count = Count::default();
    let Some(stream) = child.stdout.take() else { return count };
    let mut lines = BufReader::new(stream).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        count.files += 1;
        if count.first.len() < TOLD {
            count.first.push(String::from_utf8_lossy(&line).into_owned());
        }
        context.progress(Progress {
            step: step.to_owned(),
            done: count.files.try_into().unwrap_or(u64::MAX),
            total: None,
            unit: "files",
            rate: None,
            seconds_left: None,
        });
    }
    count
}

async fn cancelled(flag: &CancelFlag) {
    while !flag.is_cancelled() {
        tokio::time::sleep(LOOK).await;
    }
}
