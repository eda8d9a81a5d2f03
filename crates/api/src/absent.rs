//! Routes that existing clients know and that are not served yet. They answer as such, behind the guard that the route has: an empty
//! 404 looks like a wrong address, and some clients cannot read it.

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::answer::shown;
use crate::permissions::viewers;
use crate::problem::ApiError;
use crate::state::State;

/// Asked for by GET, with a token.
const ASKED: [&str; 6] = [
    "/config/profiles",
    "/config/profiles/status",
    "/config/profiles/status/{node}",
    "/config/profiles/{name}/_delete",
    "/config/profiles/{name}/_member",
    "/config/profiles/{name}/{file}/_delete",
];
/// Asked for by GET and POST, with a token.
const ASKED_AND_POSTED: [&str; 1] = ["/config/profiles/{name}"];
/// Asked for by POST, with a token.
const POSTED: [&str; 1] = ["/config/profiles/{name}/_clone"];
/// Nothing is there by the API's own document; what is meant is one level below.
const NOTHING: [&str; 3] = ["/config/secrets/node", "/config/secrets/group", "/control/power"];

pub(super) fn routes() -> Router<State> {
    let both = || get(not_yet_for_callers).post(not_yet_for_callers);
    let mut router = Router::new();
    for path in ASKED {
        router = router.route(path, get(not_yet_for_callers));
    }
    for path in ASKED_AND_POSTED {
        router = router.route(path, both());
    }
    for path in POSTED {
        router = router.route(path, post(not_yet_for_callers));
    }
    for path in NOTHING {
        router = router.route(path, get(nothing).post(nothing));
    }
    router
}

async fn not_yet_for_callers(Shared(state): Shared<State>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    match viewers().admit(&mut parts, &state).await {
        Ok(_) => not_yet(&parts.method, &parts.uri),
        Err(refusal) => refusal.into_response(),
    }
}

fn not_yet(method: &Method, uri: &Uri) -> Response {
    let path = shown(uri.path());
    ApiError::Absent(format!("{method} {path} is not served by this version")).into_response()
}

async fn nothing(uri: Uri) -> Response {
    let path = shown(uri.path());
    ApiError::NotFound(format!("there is nothing at {path}; name one of what is below it"))
        .into_response()
}
