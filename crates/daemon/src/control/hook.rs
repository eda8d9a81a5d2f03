//! A site's own program that is told of every outcome, such as one that silences an alarm for a machine that was switched off.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use perilune_bmc::Action;
use perilune_model::Cluster;
use tokio::sync::Semaphore;

use super::targets::is_executable;
use crate::program::{self, Ended, Limits};

/// What a hook may take.
const LIMITS: Limits = Limits::of(Duration::from_secs(30), 64 << 10);

/// The hook for a node: named after the node, its group, or `default`, in the plugins' directory `hooks/control`.
pub(super) fn find(plugins: &Path, cluster: &Cluster, node: &str) -> Option<(PathBuf, String)> {
    let group = cluster.node(node).ok()?.group.as_str();
    let directory = plugins.join("hooks/control");
    let names = [node, group, "default"];
    let path = names.into_iter().map(|name| directory.join(name)).find(|path| is_executable(path));
    path.map(|path| (path, group.to_owned()))
}

/// Tells a hook what was done with a node, or was to be: `power_on NODE GROUP`, as arguments. What comes of it is only logged.
pub(super) async fn call(turns: &Semaphore, hook: &Path, action: Action, node: &str, group: &str) {
    // Nobody ever closes it.
    let Ok(_turn) = turns.acquire().await else { return };
    let arguments = [method(action), node, group].map(OsString::from);
    let ended = program::run(hook, &arguments, "", LIMITS).await;
    let hook = hook.display();
    match ended {
        Ok(ended) if ended.status.success() => {}
        Ok(Ended { status, complaint, .. }) => {
            let said = String::from_utf8_lossy(&complaint);
            let said = said.trim();
            tracing::warn!(%hook, node, %status, said, "a hook of the site failed");
        }
        Err(error) => tracing::warn!(%hook, node, error, "a hook of the site did not end well"),
    }
}

/// The names by which hooks know actions.
fn method(action: Action) -> &'static str {
    match action {
        Action::PowerStatus => "power_status",
        Action::PowerOn => "power_on",
        Action::PowerOff => "power_off",
        Action::PowerCycle => "power_cycle",
        Action::PowerReset => "power_reset",
        Action::PowerSoft => "power_soft",
        Action::Identify => "identify",
        Action::NoIdentify => "no_identify",
        Action::SelList => "sel_list",
        Action::SelClear => "sel_clear",
        Action::Sensors => "sensors",
        Action::Inventory => "inventory",
    }
}
