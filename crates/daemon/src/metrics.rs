//! What monitoring reads of the daemon, in the format of `OpenMetrics`: `docs/metrics.md`. What happens is counted where it happens; what is
//! so is read from the published cluster and the boards when somebody asks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use perilune_boards::News;
use perilune_boot::tftp;
use perilune_dhcp::Count;
use perilune_model::{Family as AddressFamily, Name};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::state::State;
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
    method: String,
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Job {
    kind: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Message {
    protocol: &'static str,
    kind: &'static str,
    fate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Came {
    fate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Server {
    server: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Network {
    network: String,
}

impl Metrics {
    /// A request was answered.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = Answered { method: method.to_owned(), route: route.to_owned(), status };
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
                News::Changes(changes) => {
                    for change in changes {
                        self.note(&mut begun, change.key, change.value.as_deref());
                    }
                }
                News::Whole(_) => begun.clear(),
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

/// All metrics as text. It looks at every node: for a thread that may block.
pub fn render(state: &State) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("perilune");
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The program that runs", build);
    counted(&mut registry, state);
    described(&mut registry, state);
    happening(&mut registry, state);
    let mut process = Registry::with_prefix("process");
    of_process(&mut process, state.metrics.0.started);
    let mut text = String::new();
    encode(&mut text, &process)?;
    // One document has one end.
    let mut whole = text.trim_end().trim_end_matches("# EOF").to_owned();
    encode(&mut whole, &registry)?;
    Ok(whole)
}

/// What is counted where it happens.
fn counted(registry: &mut Registry, state: &State) {
    let Inner { requests, phases, installations, dhcp, tftp, dns, .. } = &*state.metrics.0;
    let by_fate = |all: &mut dyn Iterator<Item = (&'static str, u64)>| {
        let family = Family::<Came, Counter>::default();
        for (fate, count) in all {
            family.get_or_create(&Came { fate }).inc_by(count);
        }
        family
    };
    registry.register(
        "tftp_transfers",
        "Transfers of TFTP by how they ended",
        by_fate(&mut tftp.read()),
    );
    registry.register(
        "dns_questions",
        "Questions of DNS by what became of them",
        by_fate(&mut dns.read()),
    );
    let messages = Family::<Message, Counter>::default();
    for Count { protocol, fate, kind, count } in dhcp.read() {
        messages.get_or_create(&Message { protocol, kind, fate }).inc_by(count);
    }
    registry.register(
        "dhcp_messages",
        "Messages of DHCP and DHCPv6 by kind, and whether they were heard, sent, or shed",
        messages,
    );
    registry.register_with_unit(
        "http_request_duration",
        "Requests by route and status, and how long their answers took to begin",
        Unit::Seconds,
        requests.clone(),
    );
    registry.register_with_unit(
        "install_phase_duration",
        "How long nodes were in a phase of their installation",
        Unit::Seconds,
        phases.clone(),
    );
    registry.register("installations", "Installations that ended", installations.clone());
    registry.register_with_unit(
        "commit_duration",
        "How long changes took to be decided and stored, many at once",
        Unit::Seconds,
        state.cluster.durations(),
    );
    registry.register(
        "bmc_actions",
        "What BMCs were asked for, and whether they did it",
        state.control.outcomes(),
    );
}

/// What the cluster is described as.
fn described(registry: &mut Registry, state: &State) {
    let cluster = state.cluster.published();
    let objects = Family::<Kind, Gauge>::default();
    for (kind, count) in [
        ("node", cluster.nodes().len()),
        ("group", cluster.groups().len()),
        ("osimage", cluster.images().len()),
        ("network", cluster.networks().len()),
        ("user", cluster.users().len()),
    ] {
        objects.get_or_create(&Kind { kind }).set(number(count));
    }
    registry.register("objects", "Objects that are described", objects);
    let revision = Gauge::<i64>::default();
    revision.set(i64::try_from(cluster.revision()).unwrap_or(i64::MAX));
    registry.register("revision", "The number of the last change of the configuration", revision);

    let (size, lent) = (Family::<Network, Gauge>::default(), Family::<Network, Gauge>::default());
    let now = clock::milliseconds();
    for network in cluster.networks().values() {
        let Some((IpAddr::V4(first), IpAddr::V4(last))) = network.lent_range(AddressFamily::V4)
        else {
            continue;
        };
        let labels = Network { network: network.name.to_string() };
        let all = i64::from(u32::from(last).saturating_sub(u32::from(first))) + 1;
        size.get_or_create(&labels).set(all);
        let within = state.leases.lent_within(IpAddr::V4(first)..=IpAddr::V4(last), now);
        lent.get_or_create(&labels).set(i64::try_from(within).unwrap_or(i64::MAX));
    }
    registry.register("dhcp_pool_addresses", "Addresses for unknown machines", size);
    registry.register("dhcp_pool_lent", "Addresses of those that are lent", lent);
}

/// What happens now.
fn happening(registry: &mut Registry, state: &State) {
    let mut by_state: BTreeMap<String, i64> = usual().map(|state| (state, 0)).collect();
    let cluster = state.cluster.published();
    let states = state.status.all();
    for node in cluster.nodes().keys() {
        let word = match states.get(node) {
            None => "none",
            Some(known) if by_state.contains_key(&known.state) => &known.state,
            Some(known) => known.power().unwrap_or(OTHER),
        };
        *by_state.entry(word.to_owned()).or_default() += 1;
    }
    let nodes = Family::<InState, Gauge>::default();
    for (state, count) in by_state {
        nodes.get_or_create(&InState { state }).set(count);
    }
    registry.register("nodes", "Nodes by what they last reported", nodes);

    let jobs = Family::<Job, Gauge>::default();
    for listed in state.jobs.list() {
        let (kind, _) = listed.job.work.task();
        let state = if listed.runs { "running" } else { "waiting" };
        jobs.get_or_create(&Job { kind: kind.to_owned(), state }).inc();
    }
    registry.register("jobs", "Jobs that are not done", jobs);
    let behind = Family::<Server, Gauge>::default();
    for (server, is_behind) in state.servers.behind() {
        behind.get_or_create(&Server { server }).set(i64::from(is_behind));
    }
    registry.register(
        "server_behind",
        "Servers of the site whose files are written, 1 where one does not know the cluster as it is",
        behind,
    );
    if let Some(expiry) = state.certificate.expiry() {
        let gauge = Gauge::<i64>::default();
        gauge.set(expiry);
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the certificate of https runs out, since 1970",
            gauge,
        );
    }
}

fn of_process(registry: &mut Registry, started: u64) {
    let memory = Gauge::<i64>::default();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<i64>().ok());
    memory.set(kibibytes.unwrap_or_default() * 1024);
    registry.register("resident_memory_bytes", "Memory of the daemon", memory);
    let files = Gauge::<i64>::default();
    files.set(number(std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)));
    registry.register("open_fds", "Open files and connections of the daemon", files);
    let time = Counter::<f64, AtomicU64>::default();
    time.inc_by(processor_seconds().unwrap_or_default());
    registry.register("cpu_seconds", "Processor time of the daemon", time);
    let start = Gauge::<i64>::default();
    start.set(i64::try_from(started).unwrap_or(i64::MAX));
    registry.register("start_time_seconds", "When the daemon started, since 1970", start);
}

/// proc(5), `/proc/pid/stat`, fields 14 and 15: in hundredths of a second for every program of Linux.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().ok());
    Some(ticks.sum::<Option<f64>>()? / 100.0)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
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
