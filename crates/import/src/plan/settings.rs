//! The cluster as a whole, and its controllers.

use perilune_model::Name;
use perilune_model::controller::{Controller, DEFAULT_PORT};
use perilune_model::provisioning::InstallPolicy;
use perilune_model::settings::Settings;

use super::planner::Planner;
use crate::reading::Reading;
use crate::report::Verdict;

/// What a method should be, in a report.
const METHOD: &str = "http, torrent, kickstart or the name of a plugin";

impl Planner<'_> {
    pub(super) fn settings(&mut self) {
        let (first, others) = match self.source.rows("cluster") {
            [] => {
                let message = "there is no row; the settings are those of a new cluster".to_owned();
                self.report.table(Verdict::Odd, "cluster", message);
                return;
            }
            [first, others @ ..] => (first, others),
        };
        let mut reading = Reading::new("cluster", first, &mut self.report);
        let usual = Settings::default();
        let settings = Settings {
            name: usual.name.clone(),
            title: reading
                .checked("name", |text| Name::general(text).is_ok())
                .unwrap_or(usual.title),
            user: reading.text("user"),
            domain_search: reading.list("domain_search"),
            nameserver_ip: reading.addresses("nameserver_ip"),
            forwardserver_ip: reading.addresses("forwardserver_ip"),
            ntp_server: reading.addresses("ntp_server"),
            technical_contacts: reading.text("technical_contacts"),
            provision_method: reading.parsed("provision_method", METHOD),
            provision_fallback: reading.parsed("provision_fallback", METHOD),
            install_policy: install_policy(&mut reading),
            debug: reading.boolean("debug").unwrap_or(usual.debug),
            security: reading.boolean("security").unwrap_or(usual.security),
            packing_bootpause: reading
                .boolean("packing_bootpause")
                .unwrap_or(usual.packing_bootpause),
            createnode_ondemand: reading
                .boolean("createnode_ondemand")
                .unwrap_or(usual.createnode_ondemand),
            createnode_macashost: reading
                .boolean("createnode_macashost")
                .unwrap_or(usual.createnode_macashost),
            nextnode_discover: reading
                .boolean("nextnode_discover")
                .unwrap_or(usual.nextnode_discover),
            bind_legacy: reading.boolean("bind_legacy").unwrap_or(usual.bind_legacy),
            dnssec_enable: reading.boolean("dnssec_enable"),
            dnssec_validation: reading.boolean("dnssec_validation"),
            user_generation: usual.user_generation,
        };
        // A draft has the settings of a new cluster from the beginning; these take their place.
        match self.draft.put(settings) {
            Ok(()) => self.report.count("cluster", 1),
            Err(error) => {
                self.report.row(Verdict::Refused, "cluster", first.id, error.to_string());
            }
        }
        for row in others {
            let message = "there is one cluster; the row with the lowest id is taken".to_owned();
            self.report.row(Verdict::Refused, "cluster", row.id, message);
        }
    }

    pub(super) fn controllers(&mut self) {
        let rows = self.source.rows("controller");
        let mut has_beacon = false;
        for row in rows {
            let mut reading = Reading::new("controller", row, &mut self.report);
            let Some(name) = reading.own_name("hostname", Name::host) else {
                self.names.refused("controller", row.id);
                continue;
            };
            let mut beacon = reading.boolean("beacon").unwrap_or(false);
            if beacon && has_beacon {
                reading.odd("beacon", "another controller is the beacon already; this one is not");
                beacon = false;
            }
            let controller = Controller {
                name,
                beacon,
                shadow: reading.boolean("shadow").unwrap_or(false),
                serverport: reading.number("serverport").unwrap_or(DEFAULT_PORT),
                status: reading.text("status"),
                vendor: reading.text("vendor"),
                ..Controller::default()
            };
            has_beacon |= beacon;
            let place = self.place("controller", row, controller.name.as_str());
            let (addresses, network) = (place.addresses, place.network);
            self.take("controller", row, Controller { addresses, network, ..controller });
        }
        let first = self.draft.controllers().values().next().cloned();
        match first {
            Some(first) if !has_beacon => {
                let message = format!("no controller is the beacon; '{}' becomes it", first.name);
                self.report.table(Verdict::Odd, "controller", message);
                let beacon = Controller { beacon: true, ..Controller::clone(&first) };
                // It was put a moment ago, and differs in nothing that could be refused.
                self.draft.put(beacon).ok();
            }
            Some(_) => {}
            None => {
                let message = "no controller is taken; set its address afterwards".to_owned();
                self.report.table(Verdict::Odd, "controller", message);
            }
        }
    }
}

/// When nodes are installed, by our own word, or by that of newer databases.
fn install_policy(reading: &mut Reading<'_>) -> Option<InstallPolicy> {
    let ours = reading.word("install_policy", |word| {
        InstallPolicy::ALL.into_iter().find(|policy| policy.word() == word)
    });
    let theirs = reading.word("install_mode", |word| match word {
        "auto" => Some(None),
        "full" => Some(Some(InstallPolicy::Always)),
        "local" => Some(Some(InstallPolicy::Never)),
        "memboot" => Some(Some(InstallPolicy::Memory)),
        _ => None,
    });
    ours.or(theirs.flatten())
}
