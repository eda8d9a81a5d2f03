//! Every change of what is described, noted from the history: nobody who changes something can forget to.

use std::sync::Arc;

use perilune_model::Cluster;
use perilune_store::{Entry, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Audit;
use crate::diff::{Net, ObjectChange};

/// Commits that are read at once.
const PAGE: u64 = 256;
/// As many are noted that were made while nobody noted them. The history has all.
const BEHIND: u64 = 5_000;
/// As many objects, and fields of one, as an entry names.
const NAMED: usize = 5;

/// Notes changes until `stop` is cancelled. What was changed when the daemon was killed is noted when it starts again.
pub(crate) async fn follow(
    audit: Audit,
    store: Store,
    mut cluster: watch::Receiver<Arc<Cluster>>,
    stop: CancellationToken,
) {
    let newest = cluster.borrow_and_update().revision();
    // On a site that had no audit yet, the past is the history's.
    let mut noted = audit.last_revision().unwrap_or(newest).min(newest);
    loop {
        let newest = cluster.borrow_and_update().revision();
        noted = noted.max(newest.saturating_sub(BEHIND));
        while noted < newest {
            let last = newest.min(noted.saturating_add(PAGE));
            match store.history_between(noted + 1, last).await {
                Ok(entries) => entries.iter().for_each(|entry| note(&audit, entry)),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        error,
                        "changes are not noted in the audit; the history has them"
                    );
                }
            }
            noted = last;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = cluster.changed() => if changed.is_err() { return },
        }
    }
}

fn note(audit: &Audit, entry: &Entry) {
    let meta = &entry.meta;
    let mut net = Net::default();
    net.add(&entry.edits, &entry.inverse);
    let what = words(&net.changes());
    audit.changed(meta.at, &meta.author, &meta.origin, &what, entry.revision);
}

/// A commit in words, such as `change node node001 (comment, group)`.
fn words(changes: &[ObjectChange]) -> String {
    let of_object = |change: &ObjectChange| {
        let object = format!("{} {} {}", change.action, change.kind, change.name);
        if change.action != "change" {
            return object;
        }
        let fields: Vec<&str> = change.fields.keys().take(NAMED).map(String::as_str).collect();
        let more = if change.fields.len() > NAMED { ", …" } else { "" };
        format!("{object} ({}{more})", fields.join(", "))
    };
    let named: Vec<String> = changes.iter().take(NAMED).map(of_object).collect();
    let text = named.join("; ");
    match changes.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}
