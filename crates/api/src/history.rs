//! `/history`: who changed what, when and from where; what lies between two revisions; and taking a commit back.

use std::collections::BTreeSet;

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::clock;
use perilune_daemon::cluster;
use perilune_model::{Kind, Name};
use perilune_store::Entry;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::answer::{self, Message};
use crate::extract::{Caller, Path};
use crate::json::Json;
use crate::permissions::{Routes, admins, viewers};
use crate::problem::{ApiError, Problem};
use crate::query::Query;
use crate::state::State;
use perilune_wire::diff::{Net, ObjectChange};

/// As many commits as one request lists.
const LONGEST_LIST: u32 = 1000;
const USUAL_LIST: u32 = 50;
/// As many commits as are looked through for those of one object.
const SEARCHED: u32 = 20_000;
/// As many commits as may lie between two revisions that are compared.
const COMPARED: u64 = 20_000;
/// As many objects as a refusal names.
const NAMED: usize = 10;
/// Milliseconds.
const DAY: u64 = 86_400_000;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(viewers().answers_at("history []"), routes!(list))
        .add(viewers().answers_at("history changes []"), routes!(show))
        .add(viewers().answers_at("history changes []"), routes!(compare))
        .add(admins().changes(), routes!(undo))
}

/// A commit.
#[derive(Debug, Serialize, ToSchema)]
struct CommitKeys {
    revision: u64,
    /// When, RFC 3339.
    at: String,
    /// The user.
    author: String,
    /// The address that the request came from.
    origin: String,
    /// What was asked, such as `POST /config/node/node001`.
    action: String,
    /// The objects that it concerned, such as `node/node001`; the first hundred.
    objects: Vec<String>,
    /// How many objects it concerned.
    count: usize,
}

/// As many objects as a commit of a list names.
const LISTED: usize = 100;

impl CommitKeys {
    fn new(entry: &Entry) -> Self {
        let objects = objects(entry);
        Self {
            revision: entry.revision,
            at: clock::rfc3339(entry.meta.at),
            author: entry.meta.author.clone(),
            origin: entry.meta.origin.clone(),
            action: entry.meta.action.clone(),
            count: objects.len(),
            objects: objects
                .into_iter()
                .take(LISTED)
                .map(|(kind, name)| format!("{}/{name}", kind.word()))
                .collect(),
        }
    }
}

/// Which commits are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// How many at most; 50 unless it is given, never more than 1000.
    limit: Option<u32>,
    /// Only those before this revision.
    before: Option<u64>,
    /// Only those that concern this object, such as `node/node001`.
    object: Option<String>,
    /// Only those of this user.
    user: Option<String>,
    /// Only those from this time on: milliseconds since 1970.
    since: Option<u64>,
}

impl Which {
    /// Whether the commit is of the user, whoever is behind that.
    fn is_by(&self, author: &str) -> bool {
        self.user.as_ref().is_none_or(|user| {
            let behind = author.strip_prefix(user.as_str());
            let behind = behind.is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("));
            behind || author.ends_with(&format!(" ({user})"))
        })
    }
}

/// The latest commits, the newest first.
#[utoipa::path(get, path = "/history", tag = "history", params(Which), responses(
    (status = 200, description = "A list below history", body = CommitKeys),
    (status = 400, description = "The query cannot be read", body = Problem),
))]
async fn list(
    state: axum::extract::State<State>,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    let limit = which.limit.unwrap_or(USUAL_LIST).min(LONGEST_LIST);
    let wanted = which.object.as_deref().map(object).transpose()?;
    let mut found = Vec::new();
    let (mut before, mut searched) = (which.before, 0);
    while found.len() < limit as usize && searched < SEARCHED {
        let page = state.history.page(before, limit).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.revision);
        searched += u32::try_from(page.len()).unwrap_or(u32::MAX);
        let since = which.since.unwrap_or_default();
        let concerns = |entry: &&Entry| {
            let is_wanted = entry.meta.at >= since && which.is_by(&entry.meta.author);
            is_wanted && wanted.as_ref().is_none_or(|key| objects(entry).contains(key))
        };
        found.extend(page.iter().filter(concerns).map(CommitKeys::new));
        // Clocks are set back now and then, by less than a day.
        if last.meta.at + DAY < since {
            break;
        }
    }
    found.truncate(limit as usize);
    Ok(Json(json!({ "history": found })).into_response())
}

fn object(text: &str) -> Result<(Kind, Name), ApiError> {
    let parsed = text
        .split_once('/')
        .and_then(|(kind, name)| Some((Kind::from_word(kind)?, Name::trusted(name))));
    parsed.ok_or_else(|| {
        let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        ApiError::Malformed(format!(
            "object must be a kind and a name, such as node/node001; the kinds are {}",
            kinds.join(", ")
        ))
    })
}

/// What one commit changed.
#[utoipa::path(get, path = "/history/{revision}", tag = "history", responses(
    (status = 200, description = "The commit below history, with its changes", body = ObjectChange),
    (status = 400, description = "That is not a revision", body = Problem),
    (status = 404, description = "There is no such commit", body = Problem),
))]
async fn show(
    state: axum::extract::State<State>,
    Path(revision): Path<String>,
) -> Result<Response, ApiError> {
    let entry = entry(&state, number(&revision)?).await?;
    let mut net = Net::default();
    net.add(&entry.edits, &entry.inverse);
    let mut answer = json!(CommitKeys::new(&entry));
    if let Some(map) = answer.as_object_mut() {
        map.insert("changes".to_owned(), json!(net.changes()));
    }
    Ok(Json(json!({ "history": answer })).into_response())
}

/// What lies between two revisions, taken together.
#[utoipa::path(get, path = "/history/{from}/{to}", tag = "history", responses(
    (status = 200, description = "The changes after the first revision, up to and with the second, below history", body = ObjectChange),
    (status = 400, description = "These are no revisions, or too many lie between them", body = Problem),
    (status = 404, description = "There is no such revision", body = Problem),
))]
async fn compare(
    state: axum::extract::State<State>,
    Path((from, to)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (from, to) = (number(&from)?, number(&to)?);
    if from > to || to - from > COMPARED {
        return Err(ApiError::Malformed(format!(
            "give the earlier revision first, and at most {COMPARED} between them"
        )));
    }
    let newest = state.cluster.published().revision();
    if to > newest {
        return Err(ApiError::NotFound(format!(
            "there is no revision {to}; the newest is {newest}"
        )));
    }
    let mut net = Net::default();
    for entry in state.history.between(from + 1, to).await? {
        net.add(&entry.edits, &entry.inverse);
    }
    let answer = json!({ "from": from, "to": to, "changes": net.changes() });
    Ok(Json(json!({ "history": answer })).into_response())
}

/// Takes a commit back, as a new commit, when nothing of it was changed since. `40..42` takes back all three, as one.
#[utoipa::path(post, path = "/history/{revision}/_undo", tag = "history", responses(
    (status = 201, description = "It is taken back", body = Message),
    (status = 400, description = "That is not a revision", body = Problem),
    (status = 404, description = "There is no such commit", body = Problem),
    (status = 409, description = "It does not apply any more; the message says why", body = Problem),
))]
async fn undo(
    state: axum::extract::State<State>,
    caller: Caller,
    Path(revision): Path<String>,
) -> Result<Response, ApiError> {
    let (first, last) = match revision.split_once("..") {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(&revision)?, number(&revision)?),
    };
    if first > last || last - first > COMPARED {
        return Err(ApiError::Malformed(format!(
            "give the earlier revision first, and at most {COMPARED} of them"
        )));
    }
    // Both ends are there, so that nobody takes back less than was meant.
    entry(&state, first).await?;
    entry(&state, last).await?;
    let entries = state.history.between(first, last).await?;
    let mut net = Net::default();
    for entry in &entries {
        net.add(&entry.edits, &entry.inverse);
    }
    let inverse: Vec<_> = entries.into_iter().rev().flat_map(|entry| entry.inverse).collect();
    let decide = move |draft: &mut perilune_model::Draft| {
        let changed = net.after().iter().filter(|((kind, name), left)| {
            draft.object(*kind, name.as_str()).as_ref() != left.as_ref()
        });
        let changed: Vec<_> = changed.map(|((kind, name), _)| format!("{kind} '{name}'")).collect();
        if changed.is_empty() {
            return draft.replay(&inverse);
        }
        let named = changed.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = match changed.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let reason = format!("changed since: {named}{more}; take those changes back first");
        Err(perilune_model::Error::invalid("revision", reason))
    };
    match state.cluster.commit(caller.meta(), decide).await {
        Ok(()) => Ok(answer::created(format!("revision {revision} is taken back"))),
        Err(cluster::Error::Refused(refusal)) => Err(ApiError::Conflict(format!(
            "revision {revision} cannot be taken back any more: {refusal}"
        ))),
        Err(error) => Err(error.into()),
    }
}

fn number(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_error| {
        ApiError::Malformed("a revision is a number; GET /history lists them".to_owned())
    })
}

async fn entry(state: &State, revision: u64) -> Result<Entry, ApiError> {
    let entries = state.history.between(revision, revision).await?;
    entries
        .into_iter()
        .next()
        .ok_or_else(|| ApiError::NotFound(format!("there is no revision {revision}")))
}

fn objects(entry: &Entry) -> BTreeSet<(Kind, Name)> {
    let mut net = Net::default();
    net.add(&entry.edits, &entry.inverse);
    net.after().keys().cloned().collect()
}
