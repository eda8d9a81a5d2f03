//! `/select/node`: which nodes a selector means.

use crate::operations::routes;
use axum::response::{IntoResponse, Response};
use perilune_daemon::selection;
use perilune_select::{Selector, hostlist};
use perilune_wire::fields::Fields;
use perilune_wire::node_column::NodeColumn;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::Body;
use crate::json::Json;
use crate::permissions::{Routes, viewers};
use crate::problem::{ApiError, Problem};
use crate::state::State;

pub(super) fn routes() -> Routes {
    Routes::new().add(viewers(), routes!(nodes))
}

/// What is asked for.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the request in the API's document")]
struct SelectRequest {
    /// A selector, such as `rack:r1&state:install.error`.
    selector: String,
    /// A selector of nodes that are taken away from it.
    without: Option<String>,
    /// What is told of each, such as `status`, `since`, `rack`.
    columns: Option<Vec<String>>,
}

/// What it means now.
#[derive(Debug, Serialize, ToSchema)]
struct Selected {
    /// The names, in natural order: n2 before n10.
    nodes: Vec<String>,
    /// The same as one host list.
    hostlist: String,
    /// With `columns`: for each node, in the same order, a text for each of them; empty where there is nothing to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<Vec<String>>>,
}

/// The nodes that a selector means. It changes nothing; a selector may be too long for the address of a request.
#[utoipa::path(post, path = "/select/node", tag = "select", request_body = SelectRequest, responses(
    (status = 200, description = "Their names", body = Selected),
    (status = 400, description = "The selector cannot be read", body = Problem),
    (status = 404, description = "It means no node, or names what is not there", body = Problem),
))]
async fn nodes(state: axum::extract::State<State>, body: Body) -> Result<Response, ApiError> {
    let (selector, without, columns) = body.read(&[], |fields| {
        let columns = fields.list("columns").value().cloned().map(|words| {
            let columns = words.iter().map(|word| NodeColumn::read(word));
            columns.collect::<Result<Vec<_>, _>>().unwrap_or_else(|reason| {
                fields.refuse("columns", reason);
                Vec::new()
            })
        });
        let text = |fields: &mut Fields<'_>, field| fields.text(field).value().cloned();
        (text(fields, "selector"), text(fields, "without"), columns)
    })?;
    let selector = selector.ok_or_else(|| {
        ApiError::Malformed(
            "data structure incomplete or incorrect: selector is missing".to_owned(),
        )
    })?;
    let mut selector = Selector::parse(&selector)?;
    if let Some(without) = without {
        selector = selector.without(Selector::parse(&without)?);
    }
    let nodes = selection::select(&state, &selector)?;
    let hostlist = hostlist::fold(&nodes);
    let rows = columns.map(|columns| selection::rows(&state, &nodes, &columns));
    Ok(Json(Selected { nodes, hostlist, rows }).into_response())
}
