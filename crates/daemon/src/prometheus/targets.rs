//! What Prometheus is to ask: its `http_sd_config` reads the list.

use std::net::IpAddr;

use perilune_model::Cluster;
use serde_json::{Value, json};

/// One entry for each exporter and node: `{"labels": {"exporter", "hostname", "luna_group"}, "targets": ["10.141.0.1:14200"]}`. The
/// address is the one of the interface that the node is installed by, or its name where it has none that is known.
pub fn targets(cluster: &Cluster, exporters: &[(String, u16)]) -> Vec<Value> {
    let mut entries = Vec::with_capacity(cluster.nodes().len() * exporters.len());
    for (exporter, port) in exporters {
        for node in cluster.nodes().values() {
            let interface = node.provision_interface(cluster);
            let address = interface.and_then(|interface| interface.addresses.ipv4.map(IpAddr::V4));
            let hostname = node.hostname(cluster);
            let at = address.map_or_else(|| hostname.clone(), |address| address.to_string());
            entries.push(json!({
                "labels": { "exporter": exporter, "hostname": hostname, "luna_group": node.group },
                "targets": [format!("{at}:{port}")],
            }));
        }
    }
    entries
}
