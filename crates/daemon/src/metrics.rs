//! What monitoring reads of the daemon, in the format of `OpenMetrics`: `docs/metrics.md`. What happens is counted where it happens; what is
//! so is read from the published cluster and the boards when somebody asks.

pub mod text;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use perilune_boards::Since;
use perilune_boot::tftp;
use perilune_model::Name;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::status::{ERROR, NodeState, SUCCESS, Status, usual};
use crate::{clock, names};

/// What requests take, in seconds: from a look into memory to a bulk of thousands.
const REQUESTS: [f64; 7] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];
/// What a phase of an installation takes, in seconds.
const PHASES: [f64; 9] = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];
/// A state of a site's own scripts: there may be any number of them.
const OTHER: &str = "other";
const INSTALLER: &str = "install.";

/// What was counted since the daemon started; clones share it.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    requests: Family<Answered, Histogram, fn() -> Histogram>,
    phases: Family<Phase, Histogram, fn() -> Histogram>,
    installations: Family<Ended, Counter>,
    dhcp: Arc<perilune_dhcp::Counters>,
    tftp: Arc<tftp::Counters>,
    dns: Arc<names::Counters>,
    started: u64,
    /// Who may have all of it written down: that looks at every node, and any user of the controller may ask.
    turns: Semaphore,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            requests: Family::new_with_constructor(|| Histogram::new(REQUESTS)),
            phases: Family::new_with_constructor(|| Histogram::new(PHASES)),
            installations: Family::default(),
            dhcp: Arc::default(),
            tftp: Arc::default(),
            dns: Arc::default(),
            started: clock::seconds(),
            turns: Semaphore::new(1),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    /// As it is declared, such as `/config/node/{name}`: never what a client wrote.
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

impl Metrics {
    /// A request was answered.
    pub fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let labels = Answered { method, route: route.to_owned(), status };
        self.0.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A turn to have all of it written down; `None` when the daemon stops.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.0.turns.acquire().await.ok()
    }

    /// What counts messages of DHCP.
    pub(crate) fn dhcp(&self) -> Arc<perilune_dhcp::Counters> {
        Arc::clone(&self.0.dhcp)
    }

    /// What counts transfers of TFTP.
    pub(crate) fn tftp(&self) -> Arc<tftp::Counters> {
        Arc::clone(&self.0.tftp)
    }

    /// What counts questions of DNS.
    pub(crate) fn dns(&self) -> Arc<names::Counters> {
        Arc::clone(&self.0.dns)
    }

    /// Times the phases of installations, until `stop`. A node that is away for longer than its changes are kept begins anew.
    pub(crate) async fn follow(self, status: Status, stop: CancellationToken) {
        let (_, mut news) = status.follow();
        let mut begun: BTreeMap<Name, (String, u64)> = BTreeMap::new();
        while let Some(Some(news)) = stop.run_until_cancelled(news.next()).await {
            match news {
                Since::Changes(changes) => {
                    for change in changes {
                        self.note(&mut begun, change.key, change.value.as_deref());
                    }
                }
                Since::Whole(_) => begun.clear(),
            }
        }
    }

    fn note(
        &self,
        begun: &mut BTreeMap<Name, (String, u64)>,
        node: Name,
        state: Option<&NodeState>,
    ) {
        let former = begun.remove(&node);
        let Some(state) = state.filter(|state| state.state.starts_with(INSTALLER)) else { return };
        if let Some((phase, since)) = former {
            if phase == state.state {
                begun.insert(node, (phase, since));
                return;
            }
            let milliseconds = state.since.saturating_sub(since);
            let labels = Phase { phase: usual_phase(&phase) };
            self.0.phases.get_or_create(&labels).observe(seconds(milliseconds));
        }
        let outcome = match state.state.as_str() {
            SUCCESS => "success",
            ERROR => "error",
            _ => {
                begun.insert(node, (state.state.clone(), state.since));
                return;
            }
        };
        self.0.installations.get_or_create(&Ended { outcome }).inc();
    }
}

fn seconds(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}

/// The phase without what all of them begin with.
fn usual_phase(state: &str) -> String {
    let known = usual().find(|usual| usual == state);
    known.map_or_else(|| OTHER.to_owned(), |known| known.trim_start_matches(INSTALLER).to_owned())
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    fn state(word: &str, since: u64) -> NodeState {
        serde_json::from_value(serde_json::json!({ "state": word, "status": null, "since": since }))
            .unwrap()
    }

    #[test]
    fn phases_are_timed_and_what_no_site_has_in_common_is_one_label() {
        let metrics = Metrics::default();
        let mut begun = BTreeMap::new();
        let node = Name::trusted("node001");
        for (word, since) in [
            ("install.unpack", 1_000),
            ("install.unpack", 1_000),
            ("install.my-own", 31_000),
            ("install.success", 32_000),
            ("power off", 40_000),
            ("install.error", 50_000),
        ] {
            metrics.note(&mut begun, node.clone(), Some(&state(word, since)));
        }
        assert!(begun.is_empty(), "nothing is kept of who is not installed now");
        let mut registry = Registry::default();
        registry.register("phases", "x", metrics.0.phases.clone());
        registry.register("ended", "x", metrics.0.installations.clone());
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "phases_sum{phase=\"unpack\"} 30.0",
            "phases_count{phase=\"other\"} 1",
            "ended_total{outcome=\"success\"} 1",
            "ended_total{outcome=\"error\"} 1",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
