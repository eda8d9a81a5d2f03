//! A site's own program that is told of every outcome, such as one that silences an alarm for a machine that was switched off.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use perilune_bmc::Action;
use perilune_model::Cluster;
use tokio::sync::Semaphore;

use super::targets::is_executable;

/// How long a hook may take.
const LONGEST: Duration = Duration::from_secs(30);

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
    let command = tokio::process::Command::new(hook)
        .args([method(action), node, group])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let hook = hook.display();
    match tokio::time::timeout(LONGEST, command).await {
        Ok(Ok(output)) if output.status.success() => {}
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let (status, said) = (output.status, said.trim());
            tracing::warn!(%hook, node, %status, said, "a hook of the site failed");
        }
        Ok(Err(error)) => tracing::warn!(%hook, node, %error, "a hook of the site did not start"),
        Err(_) => tracing::warn!(%hook, node, "a hook of the site took too long and was ended"),
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
