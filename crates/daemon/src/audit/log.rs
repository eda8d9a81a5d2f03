//! The audit as lines of JSON, for collectors: a file, or the system's journal.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use tokio::sync::mpsc;

use super::Entry;
use crate::clock::rfc3339;

/// Where systemd's journal takes entries: systemd.journal-fields(7), "Native Journal Protocol".
const JOURNAL: &str = "/run/systemd/journal/socket";
/// As many lines wait to be written. More are counted, and that is written: nobody waits for a collector.
const WAITING: usize = 4096;
const BATCH: usize = 256;

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The system's journal.
    Journal,
    /// A file, which is opened anew for each batch of lines: whoever moves it away needs to tell nobody.
    File(PathBuf),
}

/// Takes lines; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    sender: mpsc::Sender<String>,
    lost: Arc<AtomicU64>,
}

impl Lines {
    /// What takes lines, and what must run for them to be written. It ends when the last of the former is gone.
    pub(crate) fn start(destination: Destination) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, lines) = mpsc::channel(WAITING);
        let lost = Arc::default();
        (Self { sender, lost: Arc::clone(&lost) }, write(destination, lines, lost))
    }

    pub(super) fn write(&self, number: u64, entry: &Entry) {
        let line = json!({
            "number": number, "at": rfc3339(entry.at), "kind": entry.kind, "who": entry.who,
            "from": entry.from, "what": entry.what, "revision": entry.revision,
        });
        if self.sender.try_send(line.to_string()).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn write(destination: Destination, mut lines: mpsc::Receiver<String>, lost: Arc<AtomicU64>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut is_failing = false;
    while lines.recv_many(&mut batch, BATCH).await > 0 {
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            batch.push(json!({ "kind": "lost", "count": missing }).to_string());
        }
        // What is not written now is lost, and so is the word that others were.
        let unwritten = missing + batch.len() as u64 - u64::from(missing > 0);
        let (destination, taken) = (destination.clone(), std::mem::take(&mut batch));
        let written = tokio::task::spawn_blocking(move || destination.write(&taken)).await;
        match written.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(()) => is_failing = false,
            Err(error) => {
                lost.fetch_add(unwritten, Ordering::Relaxed);
                if !is_failing {
                    tracing::error!(%error, "the audit is not written for collectors ([AUDIT] LOG); it is stored, and shown by perilune audit");
                }
                is_failing = true;
            }
        }
    }
}

impl Destination {
    fn write(&self, lines: &[String]) -> std::io::Result<()> {
        match self {
            Self::Journal => to_journal(Path::new(JOURNAL), lines),
            Self::File(path) => {
                let mut file = File::options().append(true).create(true).mode(0o600).open(path)?;
                let mut text = lines.join("\n");
                text.push('\n');
                file.write_all(text.as_bytes())
            }
        }
    }
}

fn to_journal(socket: &Path, lines: &[String]) -> std::io::Result<()> {
    let journal = UnixDatagram::unbound()?;
    for line in lines {
        // JSON has no line feed in it, which would end the field.
        let entry = format!("SYSLOG_IDENTIFIER=perilune-audit\nPRIORITY=5\nMESSAGE={line}\n");
        journal.send_to(entry.as_bytes(), socket)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, entry};
    use super::*;

    #[tokio::test]
    async fn lines_are_appended_to_a_file_also_after_somebody_moved_it_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.json");
        for round in ["one", "two"] {
            let (lines, writing) = Lines::start(Destination::File(path.clone()));
            lines.write(7, &entry(Kind::Secret, "ann", "192.0.2.1", round, (0, None)));
            drop(lines);
            writing.await;
            let text = std::fs::read_to_string(&path).unwrap();
            let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
            assert_eq!((&line["what"], &line["kind"]), (&json!(round), &json!("secret")));
            assert_eq!(line["at"], "1970-01-01T00:00:00Z");
            std::fs::rename(&path, directory.path().join(round)).unwrap();
        }
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_counted_and_nobody_waits_for_it() {
        let (lines, writing) = Lines::start(Destination::File("/dev/full".into()));
        for number in 0..2 * WAITING as u64 {
            lines.write(number, &entry(Kind::Done, "ann", "192.0.2.1", "it", (0, None)));
        }
        assert_eq!(lines.lost.load(Ordering::Relaxed), WAITING as u64);
        let lost = Arc::clone(&lines.lost);
        drop(lines);
        writing.await;
        assert!(lost.load(Ordering::Relaxed) >= 2 * WAITING as u64);
    }

    #[test]
    fn the_journal_is_given_one_datagram_for_each_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        to_journal(&path, &["{\"a\":1}".to_owned(), "{\"b\":2}".to_owned()]).unwrap();
        let mut bytes = [0; 512];
        for expected in ["MESSAGE={\"a\":1}\n", "MESSAGE={\"b\":2}\n"] {
            let length = journal.recv(&mut bytes).unwrap();
            let text = std::str::from_utf8(&bytes[..length]).unwrap();
            assert!(text.ends_with(expected), "{text}");
        }
        assert!(to_journal(&directory.path().join("none"), &[String::new()]).is_err());
    }
}
