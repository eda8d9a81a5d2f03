//! A site's own program that is told of every outcome, such as one that silences an alarm for a machine that was switched off.

use std::time::Duration;

use perilune_bmc::Action;
use perilune_model::Cluster;
use perilune_program::Limits;
use tokio::sync::Semaphore;

use crate::plugins::Runner;

/// What a hook may take.
const LIMITS: Limits = Limits::of(Duration::from_secs(30), 64 << 10);

/// The hook for a node, and the node's group: named after the node, its group, or `default`, in the plugins' directory `hooks/control`.
pub(super) fn find(runner: &Runner, cluster: &Cluster, node: &str) -> Option<(String, String)> {
    let group = cluster.node(node).ok()?.group.as_str();
    let hook = runner.first("hooks/control", [node, group, "default"])?;
    Some((hook, group.to_owned()))
}

/// Tells a hook what was done with a node, or was to be: `power_on NODE GROUP`. What comes of it is only logged.
pub(super) async fn call(
    (runner, turns): (&Runner, &Semaphore),
    hook: &str,
    action: Action,
    (node, group): (&str, &str),
) {
    // Nobody ever closes it.
    let Ok(_turn) = turns.acquire().await else { return };
    match runner.tell(hook, [method(action), node, group], LIMITS).await {
        // Without one, it was taken away a moment ago.
        Some(Ok(())) | None => {}
        Some(Err(error)) => {
            tracing::warn!(hook, node, error, "a hook of the site failed");
        }
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
