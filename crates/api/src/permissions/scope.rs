//! What an API token is good for: the operations and the nodes that it names.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{FromRequestParts as _, MatchedPath, RawPathParams};
use axum::http::Method;
use axum::http::request::Parts;
use perilune_model::user::ApiToken;
use perilune_select::hostlist;

use crate::problem::ApiError;
use crate::state::State;

/// Paths that are about one node, and the parameter that names it. What makes a node of another name is not among them.
const OF_ONE_NODE: [(&str, &str); 9] = [
    ("/config/node/{name}", "name"),
    ("/config/secrets/node/{name}", "name"),
    ("/monitor/node/{node}", "node"),
    ("/monitor/status/{node}", "node"),
    ("/boot/plan/{node}", "node"),
    ("/boot/install/{node}", "node"),
    ("/boot/progress/{node}", "node"),
    ("/control/power/{hostname}", "hostname"),
    ("/control/action/{subsystem}/{hostname}/{_action}", "hostname"),
];
/// Operations that name nodes in their bodies, and look whether the caller may do that to each; of a bulk, each part is checked as if it
/// were sent alone.
const OF_SEVERAL_NODES: [&str; 6] = [
    CONTROL,
    "POST /control/check",
    "GET /control/request/{request_id}",
    "POST /control/request/{request_id}/_cancel",
    "POST /boot/window",
    BULK,
];
const BULK: &str = "POST /bulk";
/// What belongs to doing something to machines: whoever may do that may be warned before it, follow it, and stop it.
const OF_CONTROL: [&str; 3] = [
    "POST /control/check",
    "GET /control/request/{request_id}",
    "POST /control/request/{request_id}/_cancel",
];
/// What acts on many machines.
const CONTROL: &str = "POST /control/action/{subsystem}/{_action}";

/// The nodes that a caller may do something to; all of them where there is no list.
pub(crate) type Nodes = Option<Arc<BTreeSet<String>>>;

/// Refuses an operation that the token is not good for; answers the nodes that its caller is held to.
pub(super) async fn check(
    token: &ApiToken,
    parts: &mut Parts,
    state: &State,
) -> Result<Nodes, ApiError> {
    let path = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let path = path.unwrap_or_default();
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let operation = format!("{method} {path}");
    let refuse = |reason: String| Err(ApiError::Forbidden(reason));
    if !token.routes.is_empty() && !is_good_for(&token.routes, &operation) {
        let routes = token.routes.join(", ");
        return refuse(format!("the token '{}' is good for {routes} alone", token.name));
    }
    let Some(list) = &token.nodes else { return Ok(None) };
    let nodes = hostlist::expand(list).map_err(|error| ApiError::Defect(error.to_string()))?;
    let nodes: BTreeSet<String> = nodes.into_iter().collect();
    if OF_SEVERAL_NODES.contains(&operation.as_str()) {
        return Ok(Some(Arc::new(nodes)));
    }
    let named = match parameter(&path) {
        Some(parameter) => {
            let given = RawPathParams::from_request_parts(parts, state).await;
            let given = given.map_err(|error| ApiError::Malformed(error.to_string()))?;
            let named = given.iter().find(|(key, _)| *key == parameter);
            named.map(|(_, value)| value.to_owned())
        }
        None => None,
    };
    match named {
        Some(node) if nodes.contains(&node) => Ok(Some(Arc::new(nodes))),
        _ => refuse(format!("the token '{}' is good for what concerns {list} alone", token.name)),
    }
}

/// Whether an operation is among those that a token names. The parts of a bulk are looked at one by one.
fn is_good_for(routes: &[String], operation: &str) -> bool {
    let names = |operation: &str| routes.iter().any(|route| route == operation);
    let belongs = OF_CONTROL.contains(&operation) && names(CONTROL);
    names(operation) || operation == BULK || belongs
}

fn parameter(path: &str) -> Option<&'static str> {
    let is_below = |prefix: &str| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let found = OF_ONE_NODE.iter().find(|(prefix, _)| is_below(prefix));
    found.filter(|_| !path.ends_with("/_clone")).map(|(_, parameter)| *parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_one_node_have_a_parameter_that_names_it() {
        assert_eq!(parameter("/config/node/{name}"), Some("name"));
        assert_eq!(parameter("/config/node/{name}/interfaces/{interface}"), Some("name"));
        assert_eq!(parameter("/control/power/{hostname}"), Some("hostname"));
        for other in [
            "/config/node",
            "/config/node/{name}/_clone",
            "/config/group/{name}",
            "/config/secrets/group/{name}",
            "/monitor/node",
            "",
        ] {
            assert_eq!(parameter(other), None, "{other}");
        }
    }
}
