//! Kea with the same network, range and nodes as the daemon is measured with.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use perilune_testkit::lab::BRIDGE;
use perilune_testkit::process::{end, wait_for};
use perilune_testkit::{Lab, Limit};
use serde_json::{Value, json};

use super::super::{NODES, mac, processor_seconds};
use super::{CONTROLLER, RANGE};

const PROGRAM: &str = "/usr/sbin/kea-dhcp4";

pub(super) struct Kea(Child);

impl Kea {
    /// Starts it; none where it is not installed.
    pub(super) fn start(network: &Lab, directory: &Path) -> Result<Option<Self>> {
        if !Path::new(PROGRAM).exists() {
            return Ok(None);
        }
        let file = directory.join("kea.json");
        let leases = directory.join("kea-leases4.csv");
        fs::write(&file, configuration(&leases).to_string())?;
        let log = directory.join("kea.log");
        let child = network
            .command(PROGRAM)
            .arg("-c")
            .arg(&file)
            .env("KEA_PIDFILE_DIR", directory)
            .env("KEA_LOCKFILE_DIR", directory)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("Kea does not start")?;
        let kea = Self(child);
        // It makes this file when it has read the other.
        let serves = wait_for(&Limit::seconds(20), || leases.exists().then_some(()))?;
        let told = || fs::read_to_string(&log).unwrap_or_default();
        ensure!(serves.is_some(), "Kea does not serve:\n{}", told());
        Ok(Some(kea))
    }

    pub(super) fn processor_seconds(&self) -> Result<f64> {
        processor_seconds(&self.0)
    }

    pub(super) fn stop(&mut self) {
        end(&mut self.0);
    }
}

impl Drop for Kea {
    fn drop(&mut self) {
        self.stop();
    }
}

fn configuration(leases: &Path) -> Value {
    let reservations: Vec<Value> = (0..NODES)
        .map(|number| {
            let address = format!("10.141.{}.{}", number / 250, number % 250 + 1);
            json!({ "hw-address": mac(number), "ip-address": address, "hostname": format!("node{number:04}") })
        })
        .collect();
    json!({ "Dhcp4": {
        "interfaces-config": { "interfaces": [BRIDGE], "dhcp-socket-type": "udp" },
        "lease-database": { "type": "memfile", "persist": true, "name": leases, "lfc-interval": 0 },
        "valid-lifetime": 28800,
        "loggers": [{ "name": "kea-dhcp4", "severity": "ERROR", "output_options": [{ "output": "stderr" }] }],
        "subnet4": [{
            "id": 1,
            "subnet": "10.141.0.0/16",
            "pools": [{ "pool": format!("{} - {}", RANGE.0, RANGE.1) }],
            "option-data": [
                { "name": "domain-name", "data": "cluster" },
                { "name": "domain-name-servers", "data": CONTROLLER },
            ],
            "reservations": reservations,
        }],
    } })
}
