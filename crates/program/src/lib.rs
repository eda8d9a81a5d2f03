//! Runs a program of the site: asked on its standard input, heard on its standard output, and ended with all that it has started. Whoever
//! has a plugin, a hook or a service's program run does it by this, within bounds of time, output, memory and processes.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// What a program may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until it has ended.
    pub time: Duration,
    /// Bytes of its answer, and of its complaints.
    pub output: u64,
    /// Bytes that each of its processes may fill. What is only reserved does not count.
    pub memory: u64,
}

impl Limits {
    /// With as much memory as is enough for what sites do.
    pub const fn of(time: Duration, output: u64) -> Self {
        Self { time, output, memory: MEMORY }
    }
}

const MEMORY: u64 = 2 << 30;
/// Sets bounds and becomes a program: a part of util-linux, which every distribution has.
const BOUNDS: &str = "prlimit";
/// Processes that its user may have in all, where that is not root: one that forks without end comes to its own. The system counts all of
/// the user's, and 256 machines may be controlled at once, each by a script with some processes.
const PROCESSES: u64 = 4096;

/// Whom a program runs as, where the daemon is root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub user: u32,
    pub group: u32,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it said on its standard output.
    pub answer: Vec<u8>,
    /// What it said on its standard error.
    pub complaint: Vec<u8>,
}

/// What a program with its arguments answers, or why it does not.
///
/// # Errors
///
/// In words for people: it cannot be started, fails, or does not end in time.
pub async fn ask(
    words: &[&Path],
    question: &str,
    limits: Limits,
    user: Option<User>,
) -> Result<Vec<u8>, String> {
    let Ended { status, answer, complaint } = run(words, question, limits, user).await?;
    if status.success() {
        return Ok(answer);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    let last = complaint.trim().lines().last().unwrap_or("it says nothing");
    Err(format!("it failed ({status}): {last}"))
}

/// How a program ends, and what it says.
///
/// # Errors
///
/// In words for people: it cannot be run to its end.
pub async fn run(
    words: &[impl AsRef<OsStr>],
    question: &str,
    limits: Limits,
    user: Option<User>,
) -> Result<Ended, String> {
    let [path, arguments @ ..] = words else { return Err("it has no name".to_owned()) };
    let command = match user {
        Some(user) => as_somebody_else(words, user, limits),
        None => {
            let mut command = Command::new(path);
            command.args(arguments);
            command
        }
    };
    let run = run_on(command, question, limits);
    let ended = timeout(limits.time, run).await;
    let ended = ended
        .unwrap_or_else(|_| Err(format!("it did not end within {} s", limits.time.as_secs())))?;
    match user.and_then(|_| not_started(&ended)) {
        Some(reason) => Err(reason),
        None => Ok(ended),
    }
}

/// Bounds of somebody else's process are not ours to set without `CAP_SYS_RESOURCE`, which root may lack in a container, and it could begin
/// others before. So it sets them itself, as that user, before it becomes the program.
fn as_somebody_else(words: &[impl AsRef<OsStr>], user: User, limits: Limits) -> Command {
    let mut command = Command::new(BOUNDS);
    command.arg(format!("--nproc={PROCESSES}")).arg(format!("--data={}", limits.memory)).arg("--");
    command.args(words);
    // Other groups of the daemon's are left, too.
    command.uid(user.user).gid(user.group);
    command
}

/// Why a program of somebody else did not begin.
fn not_started(ended: &Ended) -> Option<String> {
    // What shells and their like end with when they find no program, or may not run it.
    let is_told = matches!(ended.status.code(), Some(126 | 127));
    let complaint = String::from_utf8_lossy(&ended.complaint);
    let reason = complaint.trim().strip_prefix("prlimit: ").filter(|_| is_told)?;
    Some(format!(
        "it cannot be started: {reason}; whoever it runs as must be able to read it, and to go through the directories that it is in"
    ))
}

async fn run_on(mut command: Command, question: &str, limits: Limits) -> Result<Ended, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.process_group(0).kill_on_drop(true).spawn();
    let child = child.map_err(|error| format!("it cannot be started: {error}"))?;
    let mut group = Group::of(child);
    if let Some(id) = group.id {
        let limit = Rlimit { current: Some(limits.memory), maximum: Some(limits.memory) };
        // One that has ended already needs none, and somebody else's has its own.
        prlimit(Some(id), Resource::Data, limit).ok();
    }
    let child = &mut group.child;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program may end without having read; its answer says more than that.
            stdin.write_all(question.as_bytes()).await.ok();
        }
    };
    let ((), answer, complaint) =
        tokio::join!(write, read(stdout, limits.output), read(stderr, limits.output));
    let status = child.wait().await.map_err(|error| error.to_string())?;
    Ok(Ended { status, answer, complaint })
}

/// A program that says more than anybody reads is ended with its streams.
async fn read(stream: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What cannot be read is missing from the answer, which is then no JSON.
        stream.take(most).read_to_end(&mut bytes).await.ok();
    }
    bytes
}

/// A program and what it has started: all end when nobody waits for them any more, also what the program left behind when it ended.
struct Group {
    child: Child,
    /// Of the program, and of the group. As long as anybody is in the group, the system gives the number to nobody else.
    id: Option<Pid>,
}

impl Group {
    fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self { child, id }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        match self.id.map(|id| kill_process_group(id, Signal::KILL)) {
            // There is nobody left.
            None | Some(Ok(()) | Err(Errno::SRCH)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "a program of the site could not be ended");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const LIMITS: Limits = Limits::of(Duration::from_secs(30), 1024);

    fn program(directory: &Path, text: &str) -> std::path::PathBuf {
        let path = directory.join("program");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn what_a_program_leaves_behind_ends_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let left = program(directory.path(), "sleep 1000 >/dev/null 2>&1 </dev/null & echo $!");
        let answer = ask(&[left.as_path()], "", LIMITS, None).await.unwrap();
        let id = String::from_utf8(answer).unwrap();
        let state = format!("/proc/{}/stat", id.trim());
        // It is gone, or dead and not yet waited for by whoever has taken it over.
        let is_dead = || match std::fs::read_to_string(&state) {
            Ok(text) => text.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")),
            Err(_) => true,
        };
        for _ in 0..1000 {
            if is_dead() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it is still there");
    }

    /// Of a user that nobody is.
    const SOMEBODY: User = User { user: 65_533, group: 65_533 };

    /// A program that others can read; none where this is not root.
    fn for_others(text: &str) -> Option<(tempfile::TempDir, std::path::PathBuf)> {
        let directory = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).unwrap();
        let path = program(directory.path(), text);
        rustix::process::geteuid().is_root().then_some((directory, path))
    }

    #[tokio::test]
    async fn as_many_programs_as_control_machines_have_their_processes() {
        let script = "sleep 2; sleep 3 | sleep 3 | sleep 3 | sleep 3 | sleep 3; id -u";
        let Some((_directory, path)) = for_others(script) else { return };
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..256 {
            let path = path.clone();
            running.spawn(async move { ask(&[path.as_path()], "", LIMITS, Some(SOMEBODY)).await });
        }
        for answer in running.join_all().await {
            assert_eq!(answer.as_deref(), Ok(&b"65533\n"[..]));
        }
    }

    #[tokio::test]
    async fn a_program_of_somebody_else_has_its_bounds_from_the_beginning() {
        let script = "grep -E 'Max (processes|data)' /proc/self/limits";
        let Some((_directory, path)) = for_others(script) else { return };
        let answer = ask(&[path.as_path()], "", LIMITS, Some(SOMEBODY)).await.unwrap();
        let told = String::from_utf8(answer).unwrap();
        assert!(
            told.contains(&PROCESSES.to_string()) && told.contains(&MEMORY.to_string()),
            "{told}"
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let refused = ask(&[path.as_path()], "", LIMITS, Some(SOMEBODY)).await.unwrap_err();
        assert!(refused.starts_with("it cannot be started: "), "{refused}");
        assert!(refused.contains("must be able to read it"), "{refused}");
    }

    #[tokio::test]
    async fn a_program_that_floods_or_fails_is_told_so() {
        let directory = tempfile::tempdir().unwrap();
        let flood = program(directory.path(), "exec yes");
        assert!(ask(&[flood.as_path()], "", LIMITS, None).await.unwrap_err().contains("it failed"));
        let fails = program(directory.path(), "echo one >&2; echo two >&2; exit 3");
        assert!(ask(&[fails.as_path()], "", LIMITS, None).await.unwrap_err().ends_with("two"));
    }
}
