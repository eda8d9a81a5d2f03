//! The cluster's settings, as clients read and ask for them.

use std::net::{IpAddr, Ipv4Addr};

use perilune_model::controller::{BEACON_KEY, Controller};
use perilune_model::plugins::Installed;
use perilune_model::provisioning::InstallPolicy;
use perilune_model::settings::{Request, Settings};
use perilune_model::{Cluster, Name, Patch};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use utoipa::ToSchema;

use crate::fields::Fields;
use crate::network::controllers;

/// The cluster's settings and its controllers, each under its name; the one that the cluster talks to is `controller`.
#[derive(Debug)]
pub struct ClusterKeys<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The configuration that the answering daemon reads.
    pub configuration: &'a str,
}

/// One controller.
#[derive(Debug, Serialize, ToSchema)]
pub struct ControllerKeys<'a> {
    hostname: &'a str,
    status: Option<&'a str>,
    vendor: Option<&'a str>,
    serverport: u16,
    #[schema(value_type = Option<String>)]
    ipaddress: Option<Ipv4Addr>,
    luna_config: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shadow: bool,
}

/// What `dnssec_enable` is while it has no meaning.
const NOT_APPLICABLE: &str = "N/A";

impl Serialize for ClusterKeys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings: &Settings = self.cluster.settings();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &settings.title)?;
        map.serialize_entry("user", &settings.user)?;
        map.serialize_entry("domain_search", &list(&settings.domain_search))?;
        map.serialize_entry("nameserver_ip", &list(&settings.nameserver_ip))?;
        map.serialize_entry("forwardserver_ip", &list(&settings.forwardserver_ip))?;
        map.serialize_entry("ntp_server", &list(&settings.ntp_server))?;
        map.serialize_entry("technical_contacts", &settings.technical_contacts)?;
        map.serialize_entry("provision_method", &settings.provision_method)?;
        map.serialize_entry("provision_fallback", &settings.provision_fallback)?;
        let policy = settings.install_policy;
        map.serialize_entry("install_policy", &policy.map(InstallPolicy::word))?;
        map.serialize_entry("install_mode", &policy.map(InstallPolicy::mode))?;
        map.serialize_entry("debug", &settings.debug)?;
        map.serialize_entry("security", &settings.security)?;
        map.serialize_entry("packing_bootpause", &settings.packing_bootpause)?;
        map.serialize_entry("createnode_ondemand", &settings.createnode_ondemand)?;
        map.serialize_entry("createnode_macashost", &settings.createnode_macashost)?;
        map.serialize_entry("nextnode_discover", &settings.nextnode_discover)?;
        map.serialize_entry("bind_legacy", &settings.bind_legacy)?;
        if settings.bind_legacy {
            map.serialize_entry("dnssec_enable", &settings.dnssec_enable)?;
        } else {
            map.serialize_entry("dnssec_enable", NOT_APPLICABLE)?;
        }
        map.serialize_entry("dnssec_validation", &settings.dnssec_validation)?;
        let beacon = self.cluster.beacon().map(|beacon| beacon.name.clone());
        if let Some(beacon) = self.cluster.beacon() {
            map.serialize_entry(BEACON_KEY, &ControllerKeys::new(beacon, self.configuration))?;
        }
        for controller in
            self.cluster.controllers().values().filter(|other| Some(&other.name) != beacon.as_ref())
        {
            map.serialize_entry(
                controller.name.as_str(),
                &ControllerKeys::new(controller, self.configuration),
            )?;
        }
        map.end()
    }
}

impl<'a> ControllerKeys<'a> {
    fn new(controller: &'a Controller, configuration: &'a str) -> Self {
        Self {
            hostname: controller.name.as_str(),
            status: controller.status.as_deref(),
            vendor: controller.vendor.as_deref(),
            serverport: controller.serverport,
            ipaddress: controller.addresses.ipv4,
            luna_config: configuration,
            shadow: controller.shadow,
        }
    }
}

fn list<T: ToString>(items: &[T]) -> Option<String> {
    (!items.is_empty()).then(|| items.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

/// The request of the cluster. `keys` are those by which clients may give controllers new addresses.
pub fn request(fields: &mut Fields<'_>, keys: &[String], installed: &Installed) -> Request {
    Request {
        title: fields.new_name("name", Name::general),
        controller_network: fields.new_name("controller_network", Name::domain),
        controllers: controllers(fields, keys),
        ..settings_request(fields, installed)
    }
}

/// The part of it that is neither the name nor about controllers.
pub(crate) fn settings_request(fields: &mut Fields<'_>, installed: &Installed) -> Request {
    let request = Request {
        user: fields.text("user"),
        domain_search: domains(fields),
        nameserver_ip: addresses(fields, "nameserver_ip"),
        forwardserver_ip: addresses(fields, "forwardserver_ip"),
        ntp_server: addresses(fields, "ntp_server"),
        technical_contacts: fields.text("technical_contacts"),
        provision_method: fields.text("provision_method"),
        provision_fallback: fields.text("provision_fallback"),
        install_policy: crate::requests::install_policy(fields),
        debug: fields.boolean("debug"),
        security: fields.boolean("security"),
        packing_bootpause: fields.boolean("packing_bootpause"),
        createnode_ondemand: fields.boolean("createnode_ondemand"),
        createnode_macashost: fields.boolean("createnode_macashost"),
        nextnode_discover: fields.boolean("nextnode_discover"),
        bind_legacy: fields.boolean("bind_legacy"),
        dnssec_enable: fields.boolean("dnssec_enable"),
        dnssec_validation: fields.boolean("dnssec_validation"),
        ..Request::default()
    };
    let provision = [&request.provision_method, &request.provision_fallback];
    for missing in installed.missing(provision, &Patch::Keep, &Patch::Keep) {
        fields.refuse(&missing.field, missing.reason);
    }
    request
}

/// Search domains reach files of many programs, in each of which other letters mean something else.
fn domains(fields: &mut Fields<'_>) -> Patch<Vec<String>> {
    const FIELD: &str = "domain_search";
    let list = fields.list(FIELD);
    let words = if let Patch::Set(words) = &list { words.as_slice() } else { &[] };
    let is_domain = |word: &&String| Name::domain(&word.to_ascii_lowercase()).is_ok();
    if let Some(word) = words.iter().find(|word| !is_domain(word)) {
        fields.refuse(FIELD, format!("'{word}' is no domain, such as cluster.example.org"));
    }
    list
}

fn addresses(fields: &mut Fields<'_>, field: &str) -> Patch<Vec<IpAddr>> {
    fields.converted(field, |text| {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        words
            .map(|word| word.parse().map_err(|_error| format!("'{word}' is not an IP address")))
            .collect()
    })
}
