//! `/monitor/plugin`: the hooks of the site, how they went, and calling one by hand.

use std::collections::BTreeMap;

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::clock::rfc3339;
use perilune_daemon::hooks::{Hook, Outcome};
use perilune_daemon::unserved;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::extract::{Body, Caller};
use crate::json::Json;
use crate::permissions::{Routes, admins, operators};
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// As much of what a program says is shown.
const SHOWN: usize = 64 << 10;

pub(super) fn routes() -> Routes {
    Routes::new()
        .add(operators().answers_at("monitor plugin *"), routes!(list))
        .add(admins().acts(), routes!(run))
}

/// A hook of the site.
#[derive(Serialize, ToSchema)]
struct Plugin {
    /// The file that runs; null where there is none.
    file: Option<String>,
    /// When it last ended, RFC 3339; null where it was not called yet.
    at: Option<String>,
    /// How often it failed since it last went well.
    failures: u32,
    /// Why it failed the last time; null when it went well.
    failure: Option<String>,
    /// Nobody tries again before something else changes.
    given_up: bool,
}

/// The hooks that there can be, with how they went, and files of the plugins' directory that will not run.
#[utoipa::path(get, path = "/monitor/plugin", tag = "monitor", responses(
    (status = 200, description = "Hooks by their paths, below monitor and plugin; files by their directories below not_run", body = Plugin),
))]
async fn list(state: axum::extract::State<State>) -> Response {
    let shown = |hook: Hook| {
        let outcome = state.hooks.outcome(hook);
        let file = state.hooks.file(hook).map(|file| file.display().to_string());
        let at = outcome.as_ref().map(|outcome| rfc3339(outcome.at));
        let Outcome { failures, failure, given_up, .. } = outcome.unwrap_or_default();
        (hook.path(), Plugin { file, at, failures, failure, given_up })
    };
    let hooks: BTreeMap<&str, Plugin> = Hook::ALL.into_iter().map(shown).collect();
    let not_run = unserved::of_settings(&state.settings);
    Json(json!({ "monitor": { "plugin": hooks, "not_run": not_run } })).into_response()
}

/// Which hook is called.
#[derive(Deserialize, ToSchema)]
struct PluginRequest {
    /// Its path, such as `hooks/config/node`.
    plugin: String,
}

/// What a hook said.
#[derive(serde::Serialize, ToSchema)]
struct PluginSaid {
    /// The beginning of it.
    output: String,
}

/// Calls a hook once with all that there is, as if everything had to be told anew.
#[utoipa::path(post, path = "/monitor/plugin", tag = "monitor", request_body = PluginRequest, responses(
    (status = 200, description = "It went well: `output` is what it said", body = PluginSaid),
    (status = 400, description = "The request cannot be read", body = Problem),
    (status = 404, description = "There is no such hook, or no program of it", body = Problem),
    (status = 409, description = "It failed; the message says why", body = Problem),
))]
async fn run(
    state: axum::extract::State<State>,
    _: Caller,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let PluginRequest { plugin } = serde_json::from_value(body).map_err(|error| {
        ApiError::Malformed(format!("data structure incomplete or incorrect: {error}"))
    })?;
    let hook = Hook::from_path(&plugin).filter(|hook| state.hooks.file(*hook).is_some());
    let hook = hook.ok_or_else(|| {
        let shown = crate::answer::shown(&plugin);
        ApiError::NotFound(format!(
            "there is no program of a hook '{shown}'; see perilune plugin list"
        ))
    })?;
    let cluster = state.cluster.published();
    let output = state.hooks.run_once(hook, &cluster).await;
    let output = output.map_err(|reason| ApiError::Conflict(format!("{plugin}: {reason}")))?;
    let output = String::from_utf8_lossy(&output).chars().take(SHOWN).collect();
    Ok(Json(PluginSaid { output }).into_response())
}
