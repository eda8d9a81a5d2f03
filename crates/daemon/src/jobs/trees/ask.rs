//! How the daemon and its worker speak: over a socket of this machine, a connection for each task. The daemon writes the task as one line of
//! JSON; the worker answers in lines, of which the last says how it ended. Who hangs up, or closes his half, cancels.

use std::io;
use std::path::Path;
use std::time::Duration;

use perilune_image::CancelFlag;
use serde::{Deserialize, Serialize};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::UnixStream;

use super::rsync::cancelled;
use super::task::{Done, Report, Task, Told};
use crate::jobs::error::{Error, chain};

/// As long as a line of the worker's may be: the names of a node's mounts, notes about an image.
const LONGEST: u64 = 16 << 20;
/// A worker that was told to stop has so long to tidy up.
const LAST_WORK: Duration = Duration::from_secs(10);

/// A line of the worker's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    Told(Told),
    Done(Done),
    Failed(Failure),
}

/// Why a task was not done.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Failure {
    Cancelled,
    /// Something is where a new tree was to be.
    TreeThere(String),
    Other(String),
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match error {
            Error::Image(perilune_image::Error::Cancelled) => Self::Cancelled,
            Error::Image(perilune_image::Error::AlreadyThere { .. }) => {
                Self::TreeThere(error.to_string())
            }
            other => Self::Other(chain(other)),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Cancelled => Self::Image(perilune_image::Error::Cancelled),
            Failure::TreeThere(text) => Self::TreeThere(text),
            Failure::Other(text) => Self::Told { text },
        }
    }
}

/// Has the worker do something.
pub(super) async fn ask(
    socket: &Path,
    task: Task,
    report: Report,
    cancel: &CancelFlag,
) -> Result<Done, Error> {
    let unreached = |source| Error::NoWorker { socket: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).await.map_err(unreached)?;
    let (reading, mut writing) = stream.into_split();
    writing.write_all(&line(&task).map_err(unreached)?).await.map_err(unreached)?;
    let mut reading = BufReader::new(reading);
    let ended = async {
        loop {
            let line = read_line(&mut reading, LONGEST).await?;
            let line = line.ok_or(io::ErrorKind::UnexpectedEof)?;
            match serde_json::from_slice(&line)? {
                Answer::Told(told) => report(told),
                Answer::Done(done) => return io::Result::Ok(Ok(done)),
                Answer::Failed(failure) => return Ok(Err(Error::from(failure))),
            }
        }
    };
    tokio::pin!(ended);
    tokio::select! {
        ended = &mut ended => return ended.map_err(unreached)?,
        () = cancelled(cancel) => {}
    }
    // The worker sees the end of what is written to it, and stops; what it made is gone before this is told.
    writing.shutdown().await.ok();
    match tokio::time::timeout(LAST_WORK, ended).await {
        Ok(ended) => ended.map_err(unreached)?,
        Err(_elapsed) => Err(Error::Image(perilune_image::Error::Cancelled)),
    }
}

/// A line that says this.
pub(crate) fn line(what: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    Ok(line)
}

/// A line without its end; `None` where nothing follows. What is longer is an error.
pub(crate) async fn read_line(
    input: &mut (impl AsyncBufRead + Unpin),
    longest: u64,
) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    input.take(longest).read_until(b'\n', &mut bytes).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.pop() == Some(b'\n') {
        return Ok(Some(bytes));
    }
    let is_long = u64::try_from(bytes.len()).is_ok_and(|length| length + 1 >= longest);
    Err(if is_long { io::ErrorKind::FileTooLarge } else { io::ErrorKind::UnexpectedEof }.into())
}
