//! The privileged worker: does with trees of operating systems what takes root, for a daemon that is not, and runs the plugins that its own
//! configuration names. It knows a few verbs and one directory of each kind, takes its orders over a socket from one user alone, and decides nothing.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use perilune_image::CancelFlag;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::jobs::Error;
use crate::jobs::trees::{Answer, Failure, Fence, Performer, Task, line, read_line};
use crate::plugins::Runner;

/// As many tasks are done at once: a daemon has eight workers, and pushes to nine nodes in each.
const AT_ONCE: usize = 80;
/// Who connects says what he wants soon, in a line that is no longer than this.
const ASKING: Duration = Duration::from_secs(10);
const LONGEST: u64 = 16 << 20;
/// As many lines wait for a daemon that reads slowly; how far a task is, is not worth more.
const WAITING: usize = 64;
/// A daemon that takes no line for so long is gone.
const PATIENCE: Duration = Duration::from_mins(1);
/// Nobody has asked for anything for so long: the service manager starts the worker anew when somebody does.
const IDLE: Duration = Duration::from_mins(2);

/// Where the worker works, and for whom.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The directory of images.
    pub images: PathBuf,
    /// What packing makes.
    pub files: PathBuf,
    /// The user whose daemon may ask.
    pub user: u32,
    /// The program that becomes `/init`; looked for in the usual places without it.
    pub agent: Option<PathBuf>,
    /// What it runs of the site's.
    pub plugins: Plugins,
}

/// The site's programs that the worker runs as root.
#[derive(Debug, Clone, Default)]
pub struct Plugins {
    /// Their directory; without it there are none.
    pub directory: Option<PathBuf>,
    /// Which of them: beginnings of their paths below it.
    pub privileged: Vec<String>,
    /// What runs Python files.
    pub python: PathBuf,
}

fn plugins(plugins: &Plugins) -> Runner {
    let Plugins { directory, privileged, python } = plugins.clone();
    // Which Python files are called, the daemon has decided.
    let every_kind = vec![String::new()];
    Runner::new(directory, python, None).with(privileged, every_kind)
}

/// Works until it is told to stop, or nobody has asked for a while.
pub async fn work(
    listener: StdListener,
    ground: Ground,
    stop: CancellationToken,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let performer = Performer {
        files: ground.files,
        agent: ground.agent,
        fence: Some(Fence { images: ground.images, user: ground.user }),
        plugins: Some(plugins(&ground.plugins)),
    };
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => told(ended),
            () = tokio::time::sleep(IDLE), if tasks.is_empty() => break,
            accepted = listener.accept() => match accepted {
                Err(error) => {
                    // Such as too many open files: it passes.
                    tracing::warn!(%error, "a connection cannot be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Ok((stream, _)) if is_from(&stream, ground.user) => {
                    // Without a place, whoever asks hears so at once.
                    let place = Arc::clone(&places).try_acquire_owned().ok();
                    let performer = performer.clone();
                    tasks.spawn(async move {
                        let answered = answer(stream, performer, place.is_some()).await;
                        if let Err(error) = answered {
                            tracing::warn!(%error, "a connection ended early");
                        }
                        drop(place);
                    });
                }
                Ok(_) => {}
            }
        }
    }
    // Who is cut off is told by the end of the connection; what was being made is made again.
    tasks.shutdown().await;
    Ok(())
}

fn told(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a task failed");
    }
}

/// The system says who is at the other end. What is written on the socket's file is one more lock.
fn is_from(stream: &UnixStream, user: u32) -> bool {
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == user || peer.uid() == 0 => true,
        Ok(peer) => {
            tracing::warn!(
                user = peer.uid(),
                process = peer.pid(),
                "refused a connection of another user"
            );
            false
        }
        Err(error) => {
            tracing::warn!(%error, "cannot tell which user connects");
            false
        }
    }
}

async fn answer(stream: UnixStream, performer: Performer, has_place: bool) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    let read = tokio::time::timeout(ASKING, read_line(&mut reading, LONGEST)).await;
    let Some(request) = read.map_err(|_elapsed| io::ErrorKind::TimedOut)?? else { return Ok(()) };
    let refused = |text: String| Answer::Failed(Failure::Other(text));
    let task: Task = match serde_json::from_slice(&request) {
        Ok(task) => task,
        Err(error) => {
            let text = format!(
                "the worker does not know what is asked ({error}); it is of another version than the daemon, perhaps"
            );
            return write(&mut writing, &refused(text)).await;
        }
    };
    if !has_place {
        return write(&mut writing, &refused("too much is done with trees already".to_owned()))
            .await;
    }
    let verb = task.verb();
    let subject = task.subject();
    tracing::info!(verb, subject, "begins");
    let last = match perform(task, performer, reading, &mut writing).await? {
        Ok(done) => Answer::Done(done),
        Err(error) => Answer::Failed(Failure::from(&error)),
    };
    match &last {
        Answer::Failed(failure) => tracing::info!(verb, subject, ?failure, "failed"),
        Answer::Told(_) | Answer::Done(_) => tracing::info!(verb, subject, "done"),
    }
    write(&mut writing, &last).await
}

/// Does it, and tells how far it is, until it is done or nobody wants it any more.
async fn perform(
    task: Task,
    performer: Performer,
    mut reading: BufReader<OwnedReadHalf>,
    writing: &mut OwnedWriteHalf,
) -> io::Result<Result<crate::jobs::trees::Done, Error>> {
    let cancel = CancelFlag::default();
    let guard = Cancelling(cancel.clone());
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let report = Arc::new(move |told| {
        // Who works does not wait for who listens.
        sender.try_send(told).ok();
    });
    let performed = performer.perform(task, report, cancel.clone());
    tokio::pin!(performed);
    let mut is_wanted = true;
    let performed = loop {
        let mut byte = [0];
        tokio::select! {
            biased;
            performed = &mut performed => break performed,
            Some(told) = receiver.recv() => write(writing, &Answer::Told(told)).await?,
            // Nothing more is to come: either end of it means the same.
            _ = reading.read(&mut byte), if is_wanted => {
                is_wanted = false;
                cancel.cancel();
            }
        }
    };
    while let Ok(told) = receiver.try_recv() {
        write(writing, &Answer::Told(told)).await?;
    }
    drop(guard);
    Ok(performed)
}

/// A task that nobody waits for any more is one that nobody wants.
struct Cancelling(CancelFlag);

impl Drop for Cancelling {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

async fn write(writing: &mut OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let line = line(answer)?;
    let written = tokio::time::timeout(PATIENCE, writing.write_all(&line)).await;
    written.map_err(|_elapsed| io::ErrorKind::TimedOut)?
}

#[cfg(test)]
mod tests;
