//! `/config/import`: takes over an existing site from its database.

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::Arc;

use crate::operations::routes;
use axum::body::Body as HttpBody;
use axum::extract::Request;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use perilune_daemon::causes::chain;
use perilune_daemon::unserved;
use perilune_daemon::{clock, cluster};
use perilune_import::{Finding, Outcome, Plan, Source, Verdict};
use perilune_model::{Cluster, Error as Refusal, Kind, Name};
use perilune_wire::import::{FindingKeys, ImportKeys, ObjectKeys};
use serde::Deserialize;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::answer::shown;
use crate::extract::Caller;
use crate::json::Json;
use crate::permissions::{Routes, admins};
use crate::problem::{ApiError, Problem};
use crate::query::{Query, boolean, time};
use crate::state::State;

/// As large as a database may be. That of a site with ten thousand nodes has some tens of megabytes.
const LARGEST_DATABASE: u64 = 256 << 20;

pub(super) fn routes() -> Routes {
    Routes::new().add(admins().changes().answers_at("import").reads_at(""), routes!(import))
}

#[derive(Debug, Deserialize)]
struct Choice {
    /// Whether nothing is to be changed.
    #[serde(default = "yes", deserialize_with = "boolean")]
    dry_run: bool,
    /// Whether the import takes the place of everything that is there.
    #[serde(default, deserialize_with = "boolean")]
    replace: bool,
    /// When the database was last written.
    #[serde(default, deserialize_with = "time")]
    as_of: Option<u64>,
}

fn yes() -> bool {
    true
}

/// Takes over the database of a Luna 2 site, the whole body of the request, in one change. Unless `dry_run` is false it only tells what would be taken.
#[utoipa::path(post, path = "/config/import", tag = "import", params(
    ("dry_run" = Option<bool>, Query, description = "false: do it. Else nothing changes; this is the default here"),
    ("as_of" = Option<String>, Query, description = "When the database was last written, RFC 3339: states of nodes are shown as of then. Now is the default"),
    ("replace" = Option<bool>, Query, description = "true: a cluster that is in use becomes what the database says, but for its users"),
), request_body(content = Vec<u8>, content_type = "application/vnd.sqlite3", description = "The file luna.db, at most 256 MiB"), responses(
    (status = 200, description = "What is taken, odd and refused, below import", body = ImportKeys),
    (status = 400, description = "The body is no such database, or the cluster already has what would be imported", body = Problem),
))]
async fn import(
    state: axum::extract::State<State>,
    caller: Caller,
    Query(choice): Query<Choice>,
    request: Request,
) -> Result<Response, ApiError> {
    let file = receive(&state.settings.data_dir, request).await?;
    let mut plan = plan(&state, file).await?;
    plan.open_secrets(&|content| state.vault.given(content).ok()).map_err(|foreign| {
        let (first, count) = (foreign.join(", "), foreign.len());
        ApiError::Malformed(format!(
            "{count} secrets of this database are encrypted with another key than that of this site, {} ([FILES] KEYFILE): {}; add the key of the old site as a second line there and start the daemon again",
            state.vault.key_file().display(),
            shown(&first)
        ))
    })?;
    let plan = Arc::new(plan);
    let decided = Arc::clone(&plan);
    let decide = move |draft: &mut perilune_model::Draft| {
        perilune_import::commit(&decided, draft, choice.replace)
    };
    let (outcome, obstacles) = if choice.dry_run {
        match state.cluster.check(decide).await {
            Ok(outcome) => (outcome, Vec::new()),
            Err(cluster::Error::Refused(refusal)) => (Outcome::default(), obstacles(&refusal)),
            Err(error) => return Err(error.into()),
        }
    } else {
        let before = state.cluster.published();
        let outcome = state.cluster.commit(caller.meta(), decide).await?;
        let is_known = |node: &Name| before.nodes().contains_key(node);
        let now = clock::milliseconds();
        let then = choice.as_of.unwrap_or(now);
        state.status.take_over(&plan.states, is_known, then, now).await?;
        tracing::info!(user = caller.user, objects = plan.objects().count(), "a site was imported");
        (outcome, Vec::new())
    };
    let (all, planned) = (State::clone(&state), Arc::clone(&plan));
    let of_site = tokio::task::spawn_blocking(move || of_site(&all, planned.cluster())).await;
    let of_site = of_site.map_err(|error| ApiError::Defect(error.to_string()))?;
    let mut keys = keys(&plan, outcome, obstacles, !choice.dry_run);
    keys.findings.extend(of_site);
    Ok(Json(json!({ "import": keys })).into_response())
}

/// Writes the body to a file that nobody else can read, and that goes when it is dropped.
async fn receive(directory: &Path, request: Request) -> Result<NamedTempFile, ApiError> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > LARGEST_DATABASE) {
        return Err(too_large());
    }
    let failed = |error: std::io::Error| {
        let told = format!(
            "the database cannot be kept in {} while it is read: {error}; make room there",
            directory.display()
        );
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ApiError::Full(told),
            _ => ApiError::Unavailable(told),
        }
    };
    let mut file = tempfile::Builder::new()
        .prefix("import-")
        .suffix(".db")
        .tempfile_in(directory)
        .map_err(failed)?;
    let mut stream = HttpBody::into_data_stream(request.into_body());
    let mut received: u64 = 0;
    let broken = |error: axum::Error| {
        ApiError::Malformed(format!("the database did not arrive whole: {error}"))
    };
    while let Some(piece) = stream.try_next().await.map_err(broken)? {
        received += piece.len() as u64;
        if received > LARGEST_DATABASE {
            return Err(too_large());
        }
        file.write_all(&piece).map_err(failed)?;
    }
    Ok(file)
}

fn too_large() -> ApiError {
    ApiError::TooLarge(format!(
        "the database has more than {} MiB, the most that is read; empty its tables queue, status and journal, then: sqlite3 luna.db VACUUM",
        LARGEST_DATABASE >> 20
    ))
}

async fn plan(state: &State, file: NamedTempFile) -> Result<Plan, ApiError> {
    let alone = state.turns.import.acquire().await;
    let _alone = alone.map_err(|error| ApiError::Defect(error.to_string()))?;
    let read = move || Source::read(file.path()).map(|source| perilune_import::plan(&source));
    let plan = tokio::task::spawn_blocking(read).await;
    let plan = plan.map_err(|error| ApiError::Defect(error.to_string()))?;
    plan.map_err(|error| match error {
        perilune_import::Error::File(error) => ApiError::Unavailable(error.to_string()),
        error => ApiError::Malformed(chain(&error)),
    })
}

fn obstacles(refusal: &Refusal) -> Vec<String> {
    match refusal {
        Refusal::Invalid(violations) => violations
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.reason))
            .collect(),
        other => vec![other.to_string()],
    }
}

/// A finding as answers tell of it.
pub(super) fn finding_keys(finding: Finding) -> FindingKeys {
    FindingKeys {
        verdict: finding.verdict.word(),
        table: finding.table,
        row: finding.row,
        name: finding.name,
        column: finding.column,
        message: finding.message,
    }
}

fn keys(plan: &Plan, outcome: Outcome, obstacles: Vec<String>, committed: bool) -> ImportKeys {
    let objects = |objects: Vec<(Kind, String)>| {
        objects
            .into_iter()
            .map(|(kind, name)| ObjectKeys { kind: kind.word().to_owned(), name })
            .collect()
    };
    let report = &plan.report;
    let findings = report.findings.iter().cloned().map(finding_keys);
    ImportKeys {
        committed,
        obstacles,
        taken: report.taken.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
        removed: objects(outcome.removed),
        replaced: objects(outcome.replaced),
        keeps_settings: outcome.keeps_settings,
        findings: findings.collect(),
        more_findings: report.more,
    }
}

/// What the site has that nobody does here, as findings.
fn of_site(state: &State, cluster: &Cluster) -> Vec<FindingKeys> {
    let finding = |verdict: Verdict, table: &str, name, column, message| FindingKeys {
        verdict: verdict.word(),
        table: table.to_owned(),
        row: None,
        name,
        column,
        message,
    };
    let missing =
        unserved::missing(cluster, &state.installed_plugins()).into_iter().map(|missing| {
            let message = format!(
                "{}; taken, and nodes that have it do not boot until it is installed",
                missing.violation.reason
            );
            let name = missing.name.map(|name| name.to_string());
            finding(Verdict::Odd, missing.kind.word(), name, Some(missing.violation.field), message)
        });
    let not_run = unserved::of_settings(&state.settings);
    let not_run = not_run.into_iter().map(|(kind, files)| {
        let message = unserved::not_run_told(&kind, &files);
        finding(Verdict::Left, "plugins", Some(kind), None, message)
    });
    let names = unserved::own_names(cluster).into_iter().map(|own| {
        let message = format!(
            "its nodes ask {} for names. If [SERVICES] DNS of luna.ini names a server, Perilune writes its files (docs/servers.md). Otherwise, \
             or with [DNS] SERVE = yes, Perilune serves names itself: stop the old server then",
            own.server
        );
        let name = Some(own.network.to_string());
        finding(Verdict::Left, "network", name, Some("nameserver_ip".to_owned()), message)
    });
    missing.chain(not_run).chain(names).collect()
}
