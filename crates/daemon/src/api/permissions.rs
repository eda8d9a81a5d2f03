//! Which role an operation needs, decided here for all of them: reading is for viewers, changing for operators, and what concerns
//! secrets, users and the whole site for administrators. `docs/permissions.md` lists the outcome.

use axum::http::Method;
use perilune_model::user::Role;

/// Reading these shows passwords, keys, or whole systems.
const NOT_FOR_VIEWERS: [&str; 7] = [
    "/config/bmcsetup",
    "/config/switch",
    "/boot/install/",
    "/kickstart/install/",
    "/boot/roles/",
    "/boot/scripts/",
    "/files",
];
/// Reading these shows secrets.
const FOR_ADMINISTRATORS: [&str; 8] = [
    "/config/secrets",
    "/config/user",
    "/config/apply",
    "/config/cluster/",
    "/config/export",
    "/config/import",
    "/config/osuser",
    "/config/osgroup",
];
/// Reading is for everybody, writing is for administrators.
const WRITTEN_BY_ADMINISTRATORS: [&str; 2] = ["/config/cluster", "/config/bmcsetup"];
/// Segments of paths that do something although they are asked by GET.
const ACTS: [&str; 5] = ["_delete", "_pack", "_cancel", "_nextfreeip", "_osgrab"];
/// Whoever is logged in may do this to what is their own; the handler looks whose it is.
const OWN: [&str; 1] = ["/config/user/{name}/_password"];
/// What of `/config` does more than change the description of the cluster.
const NOT_TRIED: [&str; 9] = [
    "_pack",
    "_cancel",
    "_nextfreeip",
    "_osgrab",
    "_ospush",
    "kernel",
    "/config/osimage/{name}/_clone",
    "/config/osuser",
    "/config/osgroup",
];

/// The role that an operation needs, by its method, its path as the router knows it, and its path as it was asked.
pub(super) fn needed(method: &Method, path: &str, asked: &str) -> Role {
    if OWN.contains(&path) {
        return Role::Viewer;
    }
    let begins = |list: &[&str]| list.iter().any(|prefix| path.starts_with(prefix));
    if begins(&FOR_ADMINISTRATORS) || path == "/boot/plan/{node}" {
        return Role::Admin;
    }
    if looks(method, path, asked) {
        return Role::Viewer;
    }
    if acts(method, path) {
        let is_admins = begins(&WRITTEN_BY_ADMINISTRATORS) || path.ends_with("_undo");
        return if is_admins { Role::Admin } else { Role::Operator };
    }
    if begins(&NOT_FOR_VIEWERS) { Role::Operator } else { Role::Viewer }
}

/// These paths are for looking and for acting; the last segment of what was asked says which.
fn looks(method: &Method, path: &str, asked: &str) -> bool {
    let words: &[&str] = match path {
        "/service/{name}/{action}" => &["status"],
        path if path.starts_with("/control/action/") => &["_status", "_list"],
        _ => &[],
    };
    let last = asked.rsplit('/').next().unwrap_or_default();
    method == Method::GET && words.contains(&last)
}

/// Whether an operation can be asked what it would change.
pub(super) fn can_be_tried(method: &Method, path: &str) -> bool {
    let is_description = path.starts_with("/config/") || path.starts_with("/history/");
    !acts(method, path) || (is_description && !NOT_TRIED.iter().any(|part| path.contains(part)))
}

/// Whether an operation does more than tell something.
pub(super) fn acts(method: &Method, path: &str) -> bool {
    // Whatever the action is: one that only looks is asked for by the same path.
    let is_control = path.starts_with("/control/action/");
    method == Method::POST
        || is_control
        || path.split('/').any(|segment| ACTS.contains(&segment))
        || path.starts_with("/service/") && !path.contains("status")
}
