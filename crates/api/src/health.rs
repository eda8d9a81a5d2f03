//! `/monitor/osimage`, `/monitor/mother`, `/monitor/sync` and `/monitor/ha`: what existing clients know as rows of a table. The states of nodes are
//! in `monitor.rs`.

use std::collections::BTreeMap;

use crate::operations::routes;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use perilune_daemon::controllers::{Health, Known};
use perilune_daemon::warnings;
use serde_json::json;

use crate::answer::shown;
use crate::extract::Path;
use crate::json::Json;
use crate::monitor::Condition;
use crate::permissions::{Routes, everybody};
use crate::problem::{ApiError, Problem};
use crate::state::State;

const GOOD: &str = "200";
const WRONG: &str = "501";

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(everybody().answers_at("monitor status * *"), routes!(list))
        .add(everybody().answers_at("monitor status *"), routes!(item))
}

/// What something is: a state, and a status as existing clients know it.
struct Row {
    state: String,
    status: &'static str,
}

impl Row {
    fn good(state: impl Into<String>) -> Self {
        Self { state: state.into(), status: GOOD }
    }
}

/// How images, the daemon's own tasks (`mother`), and other controllers (`sync`, `ha`) are.
#[utoipa::path(get, path = "/monitor/{kind}", tag = "monitor", responses(
    (status = 200, description = "State and status of each, below monitor, status and the kind", body = Condition),
    (status = 404, description = "There is nothing of the kind", body = Problem),
))]
async fn list(state: Shared<State>, Path(kind): Path<String>) -> Result<Response, ApiError> {
    let rows = rows(&state, &kind).await?;
    if rows.is_empty() {
        return Err(ApiError::NotFound("no entries found".to_owned()));
    }
    let shown = |(name, row): (String, Row)| {
        let state = format!("{name} {}", row.state);
        (name, Condition { state, status: row.status.into() })
    };
    let entries: BTreeMap<String, Condition> = rows.into_iter().map(shown).collect();
    Ok(Json(json!({ "monitor": { "status": { kind: entries } } })).into_response())
}

/// How one of them is.
#[utoipa::path(get, path = "/monitor/{kind}/{name}", tag = "monitor", responses(
    (status = 200, description = "Its state and status, below monitor, status and its name", body = Condition),
    (status = 404, description = "There is none of the name", body = Problem),
))]
async fn item(
    state: Shared<State>,
    Path((kind, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let mut rows = rows(&state, &kind).await?;
    let Some(row) = rows.remove(&name) else {
        return Err(ApiError::NotFound(format!("{} not found", shown(&name))));
    };
    let text = if row.state == "ok" { format!("{name} ok") } else { row.state };
    let entry = Condition { state: text, status: row.status.into() };
    Ok(Json(json!({ "monitor": { "status": { name: entry } } })).into_response())
}

async fn rows(state: &State, kind: &str) -> Result<BTreeMap<String, Row>, ApiError> {
    match kind {
        "osimage" => {
            let all = state.clone();
            let rows = tokio::task::spawn_blocking(move || images(&all)).await;
            rows.map_err(|error| ApiError::Defect(error.to_string()))
        }
        "mother" => Ok(tasks(state)),
        "ha" => Ok(controllers(state)),
        // Images are not copied between controllers by a task.
        "sync" => Ok(BTreeMap::new()),
        other => Err(ApiError::NotFound(format!("nothing is known of '{}'", shown(other)))),
    }
}

/// Whether images are packed, and their files there.
fn images(state: &State) -> BTreeMap<String, Row> {
    let cluster = state.cluster.published();
    let jobs = state.jobs.list();
    let mut rows = BTreeMap::new();
    for image in cluster.images().values() {
        let job = jobs.iter().find(|listed| listed.job.work.images().contains(&&image.name));
        let row = match job {
            Some(listed) => {
                let (what, _) = listed.job.work.task();
                Row::good(format!("{what} {}", if listed.runs { "running" } else { "queued" }))
            }
            None => match warnings::lost_file(state, image) {
                Some(file) => Row {
                    state: format!(
                        "the file {file} is not there; do: perilune osimage pack {}",
                        image.name
                    ),
                    status: WRONG,
                },
                None => Row::good("ok"),
            },
        };
        rows.insert(image.name.to_string(), row);
    }
    rows
}

/// Whether this controller is in step, and hears the others. One controller has nobody to be in step with.
fn controllers(state: &State) -> BTreeMap<String, Row> {
    if !state.controllers.is_shared() {
        return BTreeMap::new();
    }
    let known = state.controllers.known();
    let insync = if state.cluster.is_in_sync() {
        Row::good("in sync")
    } else {
        Row { state: "out of sync".to_owned(), status: WRONG }
    };
    let all = &known.heard.controllers;
    let silent: Vec<&str> = all
        .iter()
        .filter(|one| Known::health(one) == Health::Silent)
        .map(|one| one.name.as_str())
        .collect();
    let ping = if silent.is_empty() {
        Row::good("pings ok")
    } else {
        Row { state: format!("not heard: {}", silent.join(", ")), status: WRONG }
    };
    [("insync".to_owned(), insync), ("ping".to_owned(), ping)].into()
}

/// The daemon's own tasks. One that fails stops the daemon, so those that are told of here run. Strangers may ask: nothing is looked for.
fn tasks(state: &State) -> BTreeMap<String, Row> {
    let waiting = state.jobs.list().len();
    let tasks = if waiting == 0 {
        Row::good("ok")
    } else {
        Row::good(format!("{waiting} jobs are not done"))
    };
    let unread = state.unreadable.len();
    let invalid = if unread == 0 {
        Row::good("ok")
    } else {
        Row {
            state: format!("{unread} stored records cannot be read; perilune status names them"),
            status: WRONG,
        }
    };
    [
        ("cleanup", Row::good("ok")),
        ("invalid", invalid),
        ("journal", Row::good("ok")),
        ("tasks", tasks),
    ]
    .map(|(name, row)| (name.to_owned(), row))
    .into()
}
