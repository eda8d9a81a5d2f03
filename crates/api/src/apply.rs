//! `/config/export` and `/config/apply`: the configuration as one document, and bringing the cluster to what one says.

use std::sync::Arc;

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_model::{Cluster, Draft, Violation};
use perilune_wire::document::{self, Document};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::AdditionalProperties::FreeForm;
use utoipa::openapi::{ObjectBuilder, Type};

use crate::answer::shown;
use crate::extract::{Body, Caller};
use crate::json::Json;
use crate::permissions::{Routes, admins};
use crate::problem::{ApiError, Problem};
use crate::query::{Query, boolean};
use crate::state::State;
use perilune_wire::diff::{Net, ObjectChange};

/// As large as a document may be: that of ten thousand nodes has some megabytes.
const LARGEST_DOCUMENT: usize = 128 << 20;

pub(super) fn routes() -> Routes {
    let apply = Routes::new().add(admins().changes().reads_at(""), routes!(apply));
    Routes::new()
        .add(admins().reveals("exported the configuration").answers_at(""), routes!(export))
        .merge(apply.bodies_up_to(LARGEST_DOCUMENT))
}

#[derive(Debug, Deserialize)]
struct Export {
    #[serde(default, deserialize_with = "boolean")]
    secrets: bool,
    at: Option<u64>,
}

/// As many commits as are taken back to show what was.
const LONGEST_WAY_BACK: u64 = 20_000;

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default, deserialize_with = "boolean")]
    prune: bool,
    #[serde(default, deserialize_with = "boolean")]
    merge: bool,
}

/// What was changed.
#[derive(Debug, Serialize, ToSchema)]
struct Applied {
    /// The objects that changed; none when all was as it is written.
    changes: Vec<ObjectChange>,
    /// What may be a slip and is taken, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

/// The whole configuration as one document: kind, name, and what each object itself says. Users, states and the files of images are not in it.
#[utoipa::path(get, path = "/config/export", tag = "apply", params(
    ("secrets" = Option<bool>, Query, description = "true: with the passwords of BMCs, and secrets as they are stored"),
    ("at" = Option<u64>, Query, description = "As it was after this revision"),
), responses(
    (status = 200, description = "Objects by kind and name", body = SomeDocument),
    (status = 400, description = "The query cannot be read, or the revision is too long ago", body = Problem),
    (status = 404, description = "There is no such revision", body = Problem),
))]
async fn export(
    state: axum::extract::State<State>,
    Query(choice): Query<Export>,
) -> Result<Response, ApiError> {
    let published = state.cluster.published();
    let cluster = match choice.at {
        Some(revision) => Arc::new(as_of(&state, &published, revision).await?),
        None => published,
    };
    Ok(Json(document::write(&cluster, choice.secrets)).into_response())
}

/// The cluster as it was after a revision: what came later is taken back, the last first.
async fn as_of(state: &State, now: &Cluster, revision: u64) -> Result<Cluster, ApiError> {
    let newest = now.revision();
    if revision > newest {
        let message = format!("there is no revision {revision}; the newest is {newest}");
        return Err(ApiError::NotFound(message));
    }
    if newest - revision > LONGEST_WAY_BACK {
        return Err(ApiError::Malformed(format!(
            "revision {revision} is more than {LONGEST_WAY_BACK} changes ago"
        )));
    }
    let later = state.history.between(revision + 1, newest).await?;
    let expected = newest - revision;
    if u64::try_from(later.len()).unwrap_or_default() != expected {
        let message = format!("the history does not go back to revision {revision} any more");
        return Err(ApiError::NotFound(message));
    }
    let mut cluster = now.clone();
    for edit in later.iter().rev().flat_map(|entry| &entry.inverse) {
        cluster.apply(edit);
    }
    Ok(cluster)
}

/// A document that says something: objects by kind and name, as `GET /config/export` answers them.
struct SomeDocument;

impl utoipa::PartialSchema for SomeDocument {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let object = ObjectBuilder::new().schema_type(Type::Object);
        object.min_properties(Some(1)).additional_properties(Some(FreeForm(true))).into()
    }
}

impl ToSchema for SomeDocument {}

/// Brings the cluster to what a document says, all of it in one change. Objects that it does not name stay, unless they are pruned.
#[utoipa::path(post, path = "/config/apply", tag = "apply", params(
    ("prune" = Option<bool>, Query, description = "true: objects of the kinds in the document that it does not name are removed, but for controllers"),
    ("merge" = Option<bool>, Query, description = "true: what the document does not say of an object stays as it is; null unsets a field"),
), request_body = SomeDocument, responses(
    (status = 200, description = "The cluster is as the document says", body = Applied),
    (status = 400, description = "The document cannot be, and why; nothing is changed", body = Problem),
))]
async fn apply(
    state: axum::extract::State<State>,
    caller: Caller,
    Query(choice): Query<Choice>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let Value::Object(mut said) = body else {
        let message =
            "the document is not an object of kinds and names; perilune export writes one";
        return Err(ApiError::Malformed(message.to_owned()));
    };
    if said.is_empty() {
        return Err(ApiError::Malformed("the document says nothing".to_owned()));
    }
    if choice.prune && choice.merge {
        let message = "prune and merge contradict each other: what is not said goes, or stays";
        return Err(ApiError::Malformed(message.to_owned()));
    }
    open_secrets(&state, &mut said)?;
    let installed = state.installed_plugins();
    let decide = move |draft: &mut Draft| -> Result<Applied, perilune_model::Error> {
        // What a document leaves as it is must be that of the moment of the change.
        let merged = choice.merge.then(|| document::merge(&said, draft));
        let Document { desired, kinds } =
            document::read(merged.as_ref().unwrap_or(&said), draft, &installed)
                .map_err(perilune_model::Error::Invalid)?;
        draft.bring_to(desired, if choice.prune { &kinds } else { &[] })?;
        let (_, change) = draft.clone().finish();
        let mut net = Net::default();
        net.add(&change.edits, &change.inverse);
        Ok(Applied { changes: net.changes(), remarks: draft.remarks() })
    };
    let applied = state.cluster.commit(caller.meta(), decide).await?;
    tracing::info!(user = caller.user, changes = applied.changes.len(), "a document was applied");
    Ok(Json(applied).into_response())
}

/// Contents of secrets may be tokens, as documents of before have them.
fn open_secrets(state: &State, said: &mut Map<String, Value>) -> Result<(), ApiError> {
    for kind in ["nodesecrets", "groupsecrets", "clustersecrets"] {
        let owners = said.get_mut(kind).and_then(Value::as_object_mut);
        for (owner, list) in owners.into_iter().flatten() {
            for secret in list.as_array_mut().into_iter().flatten() {
                if let Some(Value::String(content)) = secret.get_mut("content") {
                    let given = state.vault.given(content);
                    *content = given.map_err(|foreign| {
                        let field = format!("{kind} {}: content", shown(owner));
                        ApiError::Fields(vec![Violation { field, reason: foreign.to_string() }])
                    })?;
                }
            }
        }
    }
    Ok(())
}
