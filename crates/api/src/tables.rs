//! `/config/cluster/export` and `/import`: the cluster as tables of the old database, as existing clients keep and restore it.

use std::sync::Arc;

use crate::operations::routes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use perilune_import::{Finding, Plan, TablesError, Verdict};
use perilune_model::{Cluster, Draft, Error as Refusal, Violation};
use perilune_wire::import::FindingKeys;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::AdditionalProperties::FreeForm;
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};

use crate::extract::{Body, Caller};
use crate::import::finding_keys;
use crate::json::Json;
use crate::permissions::{Routes, admins};
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// As large as an export may be that is sent back: that of ten thousand nodes has some twenty megabytes.
const LARGEST_EXPORT: usize = 128 << 20;
/// As many rows as an answer tells of.
const TOLD: usize = 100;

pub(super) fn routes() -> Routes {
    let import = Routes::new().add(admins().changes().reads_at(""), routes!(import));
    Routes::new()
        .add(
            admins().reveals("exported the cluster with passwords").answers_at(""),
            routes!(export),
        )
        .merge(import.bodies_up_to(LARGEST_EXPORT))
}

/// What became of tables that were imported.
#[derive(Debug, Serialize, ToSchema)]
struct Imported {
    /// What was done.
    message: String,
    /// Rows and values that were not taken as they stood; at most a hundred.
    findings: Vec<FindingKeys>,
}

/// The whole cluster as tables of the old database: passwords of BMCs in the clear, secrets as tokens of the site's key, users without passwords.
#[utoipa::path(get, path = "/config/cluster/export", tag = "cluster", responses(
    (status = 200, description = "Each table: what describes it (SQLITE_SEQUENCE, STRUCTURE), then its rows", body = SomeTables),
))]
async fn export(state: axum::extract::State<State>) -> Result<Response, ApiError> {
    Ok(Json(exported(&state)?).into_response())
}

/// Every table, as of now.
pub(super) fn exported(state: &State) -> Result<Value, ApiError> {
    let cluster = state.cluster.published();
    let mut tables = perilune_import::export(&cluster);
    contents(&mut tables, |content| state.vault.token(content).map_err(ApiError::from))?;
    Ok(tables)
}

/// One table at least, each a list of rows.
pub(super) struct SomeTables;

impl utoipa::PartialSchema for SomeTables {
    fn schema() -> RefOr<Schema> {
        let row = ObjectBuilder::new().schema_type(Type::Object);
        let rows = ArrayBuilder::new().items(row.additional_properties(Some(FreeForm(true))));
        let object = ObjectBuilder::new().schema_type(Type::Object).min_properties(Some(1));
        object.additional_properties(Some(RefOr::<Schema>::from(rows))).into()
    }
}

impl ToSchema for SomeTables {}

/// Replaces tables of the cluster, all in one change; tables that are not named stay, and so do users. What `export` answers can be sent back.
#[utoipa::path(post, path = "/config/cluster/import", tag = "cluster", request_body = SomeTables, responses(
    (status = 201, description = "It is done", body = Imported),
    (status = 400, description = "A table or a row cannot be read or taken", body = Problem),
    (status = 404, description = "There is no such table, or rows of it cannot be together", body = Problem),
))]
async fn import(
    state: axum::extract::State<State>,
    caller: Caller,
    Body(mut body): Body,
) -> Result<Response, ApiError> {
    contents(&mut body, |content| {
        state.vault.given(content).map_err(|foreign| {
            let field = "content of a secret".to_owned();
            ApiError::Fields(vec![Violation { field, reason: foreign.to_string() }])
        })
    })?;
    let cluster = state.cluster.published();
    let body = Arc::new(body);
    let plan = plan(&state, Arc::clone(&body), Arc::clone(&cluster)).await?;
    refused(&plan).map_err(ApiError::Fields)?;
    let decide = move |draft: &mut Draft| decide(draft, (&cluster, &plan), &body);
    let (objects, findings) = state.cluster.commit(caller.meta(), decide).await?;
    tracing::info!(user = caller.user, objects, "tables were imported");
    let findings: Vec<FindingKeys> = findings.into_iter().take(TOLD).map(finding_keys).collect();
    let message = format!("tables imported; the cluster has {objects} objects");
    Ok((StatusCode::CREATED, Json(Imported { message, findings })).into_response())
}

/// Commits what was planned on a cluster. When that was changed meanwhile it is planned again, or what was changed would be lost.
fn decide(
    draft: &mut Draft,
    (cluster, plan): (&Cluster, &Plan),
    body: &Value,
) -> Result<(usize, Vec<Finding>), Refusal> {
    if **draft != *cluster {
        let plan = perilune_import::plan_tables(body, draft);
        let plan = plan.map_err(|error| Refusal::invalid("tables", error.to_string()))?;
        refused(&plan).map_err(Refusal::Invalid)?;
        return commit(draft, &plan);
    }
    commit(draft, plan)
}

fn commit(draft: &mut Draft, plan: &Plan) -> Result<(usize, Vec<Finding>), Refusal> {
    perilune_import::commit(plan, draft, true)?;
    Ok((plan.objects().count(), plan.report.findings.clone()))
}

/// The rows that cannot be taken.
fn refused(plan: &Plan) -> Result<(), Vec<Violation>> {
    let findings = plan.report.findings.iter();
    let refused = findings.filter(|finding| finding.verdict == Verdict::Refused).take(TOLD);
    let told = refused.map(|finding| {
        let row = finding.row.map(|row| format!(" row {row}")).unwrap_or_default();
        let name = finding.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let field = format!("table {}{row}{name}", finding.table);
        Violation { field, reason: finding.message.clone() }
    });
    let told: Vec<Violation> = told.collect();
    if told.is_empty() { Ok(()) } else { Err(told) }
}

/// Does something with the content of every secret.
fn contents(
    body: &mut Value,
    change: impl Fn(&str) -> Result<String, ApiError>,
) -> Result<(), ApiError> {
    for table in ["nodesecrets", "groupsecrets"] {
        let rows = body.get_mut(table).and_then(Value::as_array_mut);
        for row in rows.into_iter().flatten() {
            if let Some(Value::String(content)) = row.get_mut("content") {
                *content = change(content)?;
            }
        }
    }
    Ok(())
}

async fn plan(state: &State, body: Arc<Value>, cluster: Arc<Cluster>) -> Result<Plan, ApiError> {
    let alone = state.turns.import.acquire().await;
    let _alone = alone.map_err(|error| ApiError::Defect(error.to_string()))?;
    let plan = move || perilune_import::plan_tables(&body, &cluster);
    let plan = tokio::task::spawn_blocking(plan).await;
    let plan = plan.map_err(|error| ApiError::Defect(error.to_string()))?;
    plan.map_err(|error| match error {
        TablesError::Empty
        | TablesError::NoRow { .. }
        | TablesError::NoValue { .. }
        | TablesError::Needed(_) => ApiError::Malformed(error.to_string()),
        TablesError::NoTables
        | TablesError::Unknown(_)
        | TablesError::NoRows(_)
        | TablesError::NotUnique { .. } => ApiError::NotFound(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use perilune_model::Name;
    use perilune_model::group::Group;

    use super::*;

    fn with_group(cluster: &Cluster, name: &str) -> Cluster {
        let mut draft = Draft::new(cluster);
        draft.put(Group { name: Name::trusted(name), ..Group::default() }).unwrap();
        draft.finish().0
    }

    #[test]
    fn what_was_changed_since_the_tables_were_planned_is_not_lost() {
        let planned_on = with_group(&Cluster::default(), "compute");
        let body = serde_json::json!({ "network": [] });
        let plan = perilune_import::plan_tables(&body, &planned_on).unwrap();
        for (now, groups) in [(&planned_on, 1), (&with_group(&planned_on, "other"), 2)] {
            let mut draft = Draft::new(now);
            let (objects, _) = decide(&mut draft, (&planned_on, &plan), &body).unwrap();
            let (after, _) = draft.finish();
            assert_eq!((after.groups().len(), objects), (groups, after.objects().count()));
        }
    }
}
