//! All of it as text: what was counted, and what is so when somebody asks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;

use perilune_dhcp::Count;
use perilune_model::Family as AddressFamily;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::{Inner, OTHER};
use crate::state::State;
use crate::status::usual;

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
    let now = state.leases.now();
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
