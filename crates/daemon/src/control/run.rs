//! One request for many machines, and what became of each.

use std::sync::Arc;
use std::time::Duration;

use imbl::Vector;
use perilune_bmc::{Action, Outcome, PowerState, Reply, UnknownAction};
use tokio_util::sync::CancellationToken;

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
    /// The power as it was last seen, where it was looked at.
    pub power: Option<PowerState>,
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
        Self::impossible(node, reason.to_string(), reason.brief())
    }

    pub(super) fn impossible(node: &str, text: String, brief: &str) -> Self {
        Self {
            node: node.to_owned(),
            verdict: Verdict::Impossible,
            text,
            brief: Some(brief.to_owned()),
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
            power,
            reply,
            tries: outcome.tries,
            elapsed: outcome.elapsed,
        }
    }
}

/// A request for many machines, with its results so far.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was asked.
    pub request: Arc<Request>,
    /// Every machine has its verdict.
    pub is_over: bool,
    rows: Vector<Arc<Row>>,
    /// Bytes of memory that the results take, about.
    pub(super) size: usize,
}

/// What was asked of many machines.
#[derive(Debug)]
pub struct Request {
    /// Its identifier.
    pub id: String,
    /// The words.
    pub order: Order,
    /// How many machines it is for.
    pub total: usize,
    /// Who asked.
    pub user: String,
    /// When: milliseconds since 1970.
    pub begun: u64,
    pub(super) cancel: CancellationToken,
}

/// What is asked of machines. Its words are read once, where the request comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The first word of the command, such as `power`.
    pub subsystem: String,
    /// The second word, such as `status`.
    pub action: String,
    /// What they mean.
    pub meant: Result<Action, UnknownAction>,
}

impl Order {
    /// The meaning of two words.
    pub fn read(subsystem: &str, action: &str) -> Self {
        let meant = format!("{subsystem} {action}").parse();
        Self { subsystem: subsystem.to_owned(), action: action.to_owned(), meant }
    }
}

impl Request {
    /// Stops what has not begun; what may have happened is said to be so.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl Run {
    pub(super) fn new(request: Arc<Request>, rows: Vec<Row>) -> Self {
        let size = rows.iter().map(Row::size).sum();
        let rows = rows.into_iter().map(Arc::new).collect();
        Self { request, is_over: false, rows, size }
    }

    /// The same with one more result.
    pub(super) fn with(&self, row: Row) -> Self {
        let mut run = self.clone();
        run.size += row.size();
        run.rows.push_back(Arc::new(row));
        run
    }

    /// The same when there will be no more.
    pub(super) fn ended(&self) -> Self {
        Self { is_over: true, ..self.clone() }
    }

    /// How many results there are.
    pub fn done(&self) -> usize {
        self.rows.len()
    }

    /// The results that come after the first `known`.
    pub fn after(&self, known: usize) -> Vec<Arc<Row>> {
        self.rows.skip(known.min(self.rows.len())).into_iter().collect()
    }
}
