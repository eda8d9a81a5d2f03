//! One request for many machines, and what became of each.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perilune_bmc::{Outcome, Reply};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::power_word;
use super::targets::Missing;

/// What became of one machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The node.
    pub node: String,
    /// What became of it.
    pub verdict: Verdict,
    /// What the BMC answered, or why it was not done.
    pub text: String,
    /// Why it was not done, in words that are the same for all machines to which it happened.
    pub brief: Option<String>,
    /// The power as it was last seen, where it was looked at: `on` or `off`.
    pub power: Option<&'static str>,
    /// What the BMC answered, where that is a list.
    pub reply: Option<serde_json::Value>,
    /// How often it was tried.
    pub tries: u32,
    /// How long it took.
    pub elapsed: Duration,
}

/// What became of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was done.
    Done,
    /// It was tried and failed.
    Failed,
    /// There was nothing to try: no node, no BMC, no setup.
    Impossible,
}

impl Row {
    pub(super) fn without_target(node: &str, reason: &Missing) -> Self {
        Self {
            node: node.to_owned(),
            verdict: Verdict::Impossible,
            text: reason.to_string(),
            brief: Some(reason.brief().to_owned()),
            power: None,
            reply: None,
            tries: 0,
            elapsed: Duration::ZERO,
        }
    }

    /// Bytes of memory, about. A list is kept as text and, somewhat larger, as values.
    fn size(&self) -> usize {
        let texts = self.node.len() + self.text.len();
        let values = if self.reply.is_some() { self.text.len() * 8 } else { 0 };
        size_of::<Self>() + texts + values
    }

    pub(super) fn of(outcome: Outcome) -> Self {
        let power = match &outcome.result {
            Ok(Reply::Power(state)) => Some(*state),
            Ok(Reply::Done | Reply::Events(_) | Reply::Sensors(_) | Reply::Inventory(_))
            | Err(_) => outcome.power,
        };
        let (verdict, text, reply) = match &outcome.result {
            Ok(Reply::Done) => (Verdict::Done, outcome.action.as_str().to_owned(), None),
            Ok(reply @ Reply::Power(_)) => (Verdict::Done, reply.to_string(), None),
            Ok(reply) => (Verdict::Done, reply.to_string(), serde_json::to_value(reply).ok()),
            Err(error) => (Verdict::Failed, error.chain(), None),
        };
        Self {
            node: outcome.name,
            verdict,
            text,
            brief: outcome.result.as_ref().err().map(perilune_bmc::Error::brief),
            power: power_word(power),
            reply,
            tries: outcome.tries,
            elapsed: outcome.elapsed,
        }
    }
}

/// A request and its results.
#[derive(Debug)]
pub struct Run {
    /// Its identifier.
    pub id: String,
    /// The first word of the command, such as `power`.
    pub subsystem: String,
    /// The second word, such as `status`.
    pub action: String,
    /// How many machines it is for.
    pub total: usize,
    /// Who asked.
    pub user: String,
    /// When: milliseconds since 1970.
    pub begun: u64,
    pub(super) cancel: CancellationToken,
    results: Mutex<Results>,
    /// How many results there are, and whether there will be more.
    progress: watch::Sender<(usize, bool)>,
}

#[derive(Debug, Default)]
struct Results {
    rows: Vec<Row>,
    /// Bytes of memory, about.
    size: usize,
    is_over: bool,
}

impl Run {
    pub(super) fn new(
        id: &str,
        (subsystem, action): (&str, &str),
        total: usize,
        user: &str,
        begun: u64,
    ) -> Self {
        Self {
            id: id.to_owned(),
            subsystem: subsystem.to_owned(),
            action: action.to_owned(),
            total,
            user: user.to_owned(),
            begun,
            cancel: CancellationToken::new(),
            results: Mutex::default(),
            progress: watch::Sender::new((0, false)),
        }
    }

    /// Stops what has not begun; what may have happened is said to be so.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Whether every machine has its verdict.
    pub fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// Bytes of memory that the results take, about.
    pub(super) fn size(&self) -> usize {
        self.lock().size
    }

    /// The results that come after the first `after`, and whether there will be more.
    pub fn after(&self, after: usize) -> (Vec<Row>, bool) {
        let results = self.lock();
        (results.rows.iter().skip(after).cloned().collect(), results.is_over)
    }

    /// Waits until there are more than `after` results, or it is over, or `patience` has passed.
    pub async fn more_than(&self, after: usize, patience: Duration) {
        let mut progress = self.progress.subscribe();
        let more = progress.wait_for(|(count, is_over)| *is_over || *count > after);
        // Both ways of ending mean the same to whoever looks next.
        drop(tokio::time::timeout(patience, more).await);
    }

    /// Waits until it is over, or `patience` has passed.
    pub async fn over(&self, patience: Duration) {
        self.more_than(usize::MAX, patience).await;
    }

    pub(super) fn note(&self, row: Row) {
        let mut results = self.lock();
        results.size += row.size();
        results.rows.push(row);
        let count = results.rows.len();
        drop(results);
        self.progress.send_modify(|progress| progress.0 = count);
    }

    pub(super) fn end(&self) {
        self.lock().is_over = true;
        self.progress.send_modify(|progress| progress.1 = true);
    }

    fn lock(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
