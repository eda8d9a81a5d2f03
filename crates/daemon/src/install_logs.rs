//! What the installers of nodes last said: of each node the log of its last installation, whether that went well or not.

use std::io::Read as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perilune_boards::{Board, Durability, Rules, Unreadable, Update, Writer};
use perilune_model::Name;
use perilune_plan::LONGEST_LOG;
use perilune_store::{Store, Table};
use serde::{Deserialize, Serialize};

/// Nodes whose logs are kept; beyond, the one that was not heard for longest goes. Together they take no more than some hundred
/// megabytes, however hostile the nodes are; usual logs take 3 KiB each.
const RULES: Rules = Rules { keys: 5_000, changes: 16 };
/// A node may say something again after so long: milliseconds.
const PAUSE: u64 = 1_000;
/// What a node may send beyond the length that its installer keeps to, so that no line is cut.
const ROOM: usize = 16 << 10;
const LEVEL: i32 = 3;

/// The log of one installation, compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallLog {
    /// When it came: milliseconds since 1970.
    pub at: u64,
    /// The text by zstd, in base64.
    packed: String,
}

/// Why a log is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is too long.
    #[error("a log of {0} bytes is too long; {longest} at most", longest = LONGEST_LOG + ROOM)]
    TooLong(usize),
    /// The last one came a moment ago.
    #[error("the log of this node came a moment ago; send it again in a second")]
    TooOften,
}

/// The logs; clones share them.
#[derive(Debug, Clone)]
pub struct InstallLogs {
    board: Board<Name, InstallLog>,
}

impl InstallLogs {
    /// Those of before, what stores new ones, and what could not be read.
    pub async fn open(
        store: &Store,
    ) -> Result<(Self, Writer<Name, InstallLog>, Vec<Unreadable>), perilune_store::Error> {
        let key = |text: &str| Some(Name::trusted(text));
        let (board, writer, unreadable) =
            Board::open(store, Table::InstallLogs, key, Durability::Behind, RULES).await?;
        Ok((Self { board }, writer, unreadable))
    }

    /// Takes the log of a node in place of the one before. `now` is in milliseconds since 1970.
    pub fn put(&self, node: &Name, text: &str, now: u64) -> Result<(), Refusal> {
        if text.len() > LONGEST_LOG + ROOM {
            return Err(Refusal::TooLong(text.len()));
        }
        // Before the work of packing it, which may be in vain where two come at once.
        let is_soon = |known: &Arc<InstallLog>| {
            // A clock that was set back must not keep a node silent.
            (known.at..known.at.saturating_add(PAUSE)).contains(&now)
        };
        if self.board.get(node).is_some_and(|known| is_soon(&known)) {
            return Err(Refusal::TooOften);
        }
        let plain: String =
            text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        let packed = zstd::encode_all(plain.as_bytes(), LEVEL).unwrap_or_default();
        let log = InstallLog { at: now, packed: STANDARD.encode(packed) };
        let mut taken = true;
        self.board.update(node, |known| {
            taken = !known.is_some_and(is_soon);
            if taken { Update::Put(log) } else { Update::Keep }
        });
        if taken { Ok(()) } else { Err(Refusal::TooOften) }
    }

    /// The log of a node, and when it came.
    pub fn get(&self, node: &str) -> Option<(u64, String)> {
        let log = self.board.get(node)?;
        Some((log.at, log.text()))
    }

    /// A node has another name now.
    pub fn rename(&self, old: &str, new: &Name) {
        let Some(log) = self.board.get(old) else { return };
        self.board.update(new, |_| Update::Put(InstallLog::clone(&log)));
        self.board.update(&Name::trusted(old), |_| Update::Remove);
    }

    /// A node is gone.
    pub fn remove(&self, node: &str) {
        self.board.update(&Name::trusted(node), |_| Update::Remove);
    }
}

impl InstallLog {
    /// The text; empty when what was stored is none.
    fn text(&self) -> String {
        let packed = STANDARD.decode(&self.packed).unwrap_or_default();
        let mut bytes = Vec::new();
        // What was stored is ours; yet nothing that is read may unpack without end.
        let longest = u64::try_from(LONGEST_LOG + ROOM).unwrap_or(u64::MAX);
        let unpacked = zstd::Decoder::new(packed.as_slice())
            .and_then(|decoder| decoder.take(longest).read_to_end(&mut bytes));
        match unpacked {
            Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(_damaged) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn logs(store: &Store) -> (InstallLogs, Writer<Name, InstallLog>) {
        let (logs, writer, _) = InstallLogs::open(store).await.unwrap();
        (logs, writer)
    }

    #[tokio::test]
    async fn the_last_log_of_a_node_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
        let (former, writer) = logs(&store).await;
        let node = Name::trusted("node001");
        former.put(&node, "one\n", 1_000).unwrap();
        assert_eq!(former.put(&node, "two\n", 1_500), Err(Refusal::TooOften));
        former.put(&node, "== Network\n\u{1b}[2Jtwo \u{e9}\n", 2_500).unwrap();
        drop(former);
        writer.run().await;
        let (again, _writer) = logs(&store).await;
        assert_eq!(again.get("node001"), Some((2_500, "== Network\n[2Jtwo \u{e9}\n".to_owned())));
        again.put(&node, "the clock was set back\n", 1_000).unwrap();
        again.rename("node001", &Name::trusted("login1"));
        assert_eq!(again.get("node001"), None);
        again.remove("login1");
        assert_eq!(again.get("login1"), None);
    }

    #[tokio::test]
    async fn a_log_is_as_long_as_an_installer_sends_it_and_no_longer() {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path(), &directory.path().join("luna.key")).unwrap();
        let (logs, _writer) = logs(&store).await;
        let node = Name::trusted("node001");
        let long = "x".repeat(LONGEST_LOG + ROOM);
        logs.put(&node, &long, 1).unwrap();
        assert_eq!(logs.get("node001").unwrap().1, long);
        let longer = format!("{long}x");
        assert_eq!(logs.put(&node, &longer, 5_000), Err(Refusal::TooLong(longer.len())));
    }
}
