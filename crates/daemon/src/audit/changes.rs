//! Every change of what is described, noted as it is made or from the history: nobody who changes something can forget to.

use std::sync::Arc;

use perilune_model::{Cluster, Edit};
use perilune_store::Meta;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Audit;
use crate::cluster::Made;
use crate::history::History;
use perilune_wire::diff::{Differing, Net};

/// Commits that are read at once.
const PAGE: u64 = 256;
/// As many are noted that were made while nobody noted them. The history has all.
const BEHIND: u64 = 5_000;
/// As many objects, and fields of one, as an entry names.
const NAMED: usize = 5;

/// Notes changes until `stop` is cancelled. What was changed when the daemon was killed is noted when it starts again.
pub(crate) async fn follow(
    audit: Audit,
    history: History,
    (made, cluster): (Receiver<Made>, watch::Receiver<Arc<Cluster>>),
    stop: CancellationToken,
) {
    let newest = cluster.borrow().revision();
    // On a site that had no audit yet, the past is the history's.
    let noted = audit.last_revision().unwrap_or(newest).min(newest);
    let mut follower = Follower { audit, history, noted };
    stop.run_until_cancelled(follower.run(made, cluster)).await;
}

struct Follower {
    audit: Audit,
    history: History,
    /// The last revision that was noted.
    noted: u64,
}

impl Follower {
    async fn run(&mut self, mut made: Receiver<Made>, mut cluster: watch::Receiver<Arc<Cluster>>) {
        loop {
            let newest = cluster.borrow_and_update().revision();
            // A commit is told before its cluster is published, so that what is missing then was made elsewhere, or was too much at once.
            loop {
                match made.try_recv() {
                    Ok(made) => self.take(&made).await,
                    Err(TryRecvError::Lagged(_)) => {}
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            self.catch_up(newest).await;
            if cluster.changed().await.is_err() {
                return;
            }
        }
    }

    async fn take(&mut self, made: &Made) {
        self.catch_up(made.first - 1).await;
        for (revision, commit) in (made.first..).zip(made.commits.iter()) {
            if revision > self.noted {
                let change = &commit.change;
                self.note(revision, &commit.meta, &change.edits, &change.inverse);
            }
        }
    }

    /// Notes from the history what was made up to this revision.
    async fn catch_up(&mut self, newest: u64) {
        self.noted = self.noted.max(newest.saturating_sub(BEHIND));
        while self.noted < newest {
            let last = newest.min(self.noted.saturating_add(PAGE));
            match self.history.between(self.noted + 1, last).await {
                Ok(entries) => {
                    for entry in entries {
                        self.note(entry.revision, &entry.meta, &entry.edits, &entry.inverse);
                    }
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        error,
                        "changes are not noted in the audit; the history has them"
                    );
                }
            }
            self.noted = last;
        }
    }

    fn note(&mut self, revision: u64, meta: &Meta, edits: &[Edit], inverse: &[Edit]) {
        let mut net = Net::default();
        net.add(edits, inverse);
        self.audit.changed(meta.at, &meta.author, &meta.origin, &words(&net), revision);
        self.noted = revision;
    }
}

/// A commit in words, such as `change node node001 (comment, group)`.
fn words(net: &Net) -> String {
    let of_object = |object: Differing<'_>| {
        let Differing { kind, name, action, .. } = object;
        let text = format!("{action} {kind} {name}");
        if action != "change" {
            return text;
        }
        let change = object.change();
        let fields: Vec<&str> = change.fields.keys().take(NAMED).map(String::as_str).collect();
        let more = if change.fields.len() > NAMED { ", …" } else { "" };
        format!("{text} ({}{more})", fields.join(", "))
    };
    let mut differing = net.differing();
    let named: Vec<String> = differing.by_ref().take(NAMED).map(of_object).collect();
    let text = named.join("; ");
    match differing.count() {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}
