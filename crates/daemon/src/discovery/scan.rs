//! Has an existing site's Python file read the switches, as it is used to: it keeps what it finds, and is asked for single machines later.

use std::time::Duration;

use perilune_program::Limits;
use serde_json::json;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use super::program::{SWITCH_PORT, switches};
use crate::cluster::ClusterService;
use crate::plugins::Runner;

/// As often as the former daemon did.
const PERIOD: Duration = Duration::from_mins(10);
const FIRST: Duration = Duration::from_secs(15);
/// It asks one switch after the other. Shorter than the period, so that one scan has ended when the next is due.
const LIMITS: Limits = Limits::of(Duration::from_mins(8), 1 << 20);

/// Calls `clear` once, and `scan` for every switch, again and again. Each controller has its own done, since what is found is kept in a file.
pub(crate) async fn run(runner: Runner, cluster: ClusterService, stop: CancellationToken) {
    let mut turns = interval_at(Instant::now() + FIRST, PERIOD);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = turns.tick() => {}
        }
        // An executable is told of all switches whenever it is asked.
        if !runner.is_class(SWITCH_PORT) {
            continue;
        }
        let question = json!({ "version": 1, "operation": "scan", "switches": switches(&cluster.published()) });
        let answer = tokio::select! {
            () = stop.cancelled() => return,
            answer = runner.ask(SWITCH_PORT, &question, LIMITS) => answer,
        };
        if let Some(Err(reason)) = answer {
            tracing::warn!(
                program = SWITCH_PORT,
                reason,
                "a program of the site could not read the switches"
            );
        }
    }
}
