//! The cluster's settings, as clients read and ask for them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use perilune_model::controller::{BEACON_KEY, Controller};
use perilune_model::plugins::Installed;
use perilune_model::provisioning::{InstallPolicy, ProvisionMethod};
use perilune_model::settings::{Request, Settings};
use perilune_model::{Cluster, Name, Patch};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;
use crate::network::controllers;
use crate::provisioning::{install_policy, provision_fallback, provision_method};

/// The cluster's settings and its controllers, each under its name; the one that the cluster talks to is `controller`.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "these are the flags that clients read")]
pub struct ClusterKeys<'a> {
    name: &'a str,
    user: Option<&'a str>,
    /// Separated by commas, as all lists here.
    domain_search: Option<String>,
    nameserver_ip: Option<String>,
    forwardserver_ip: Option<String>,
    ntp_server: Option<String>,
    technical_contacts: Option<&'a str>,
    provision_method: Option<&'a str>,
    provision_fallback: Option<&'a str>,
    install_policy: Option<&'static str>,
    install_mode: Option<&'static str>,
    debug: bool,
    security: bool,
    packing_bootpause: bool,
    createnode_ondemand: bool,
    createnode_macashost: bool,
    nextnode_discover: bool,
    bind_legacy: bool,
    dnssec_enable: Applicable,
    dnssec_validation: Option<bool>,
    #[serde(flatten)]
    controllers: BTreeMap<&'a str, ControllerKeys<'a>>,
}

/// What has a meaning in some clusters only.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Applicable {
    /// It has.
    Yes(Option<bool>),
    /// `N/A`.
    No(&'static str),
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

impl<'a> ClusterKeys<'a> {
    /// Those of a cluster, by a daemon that reads this configuration.
    pub fn new(cluster: &'a Cluster, configuration: &'a str) -> Self {
        let settings: &Settings = cluster.settings();
        let beacon = cluster.beacon().map(|beacon| &beacon.name);
        let controllers = cluster.controllers().values().map(|controller| {
            let is_beacon = Some(&controller.name) == beacon;
            let key = if is_beacon { BEACON_KEY } else { controller.name.as_str() };
            (key, ControllerKeys::new(controller, configuration))
        });
        Self {
            name: &settings.title,
            user: settings.user.as_deref(),
            domain_search: list(&settings.domain_search),
            nameserver_ip: list(&settings.nameserver_ip),
            forwardserver_ip: list(&settings.forwardserver_ip),
            ntp_server: list(&settings.ntp_server),
            technical_contacts: settings.technical_contacts.as_deref(),
            provision_method: settings.provision_method.as_ref().map(ProvisionMethod::word),
            provision_fallback: settings.provision_fallback.as_ref().map(ProvisionMethod::word),
            install_policy: settings.install_policy.map(InstallPolicy::word),
            install_mode: settings.install_policy.map(InstallPolicy::mode),
            debug: settings.debug,
            security: settings.security,
            packing_bootpause: settings.packing_bootpause,
            createnode_ondemand: settings.createnode_ondemand,
            createnode_macashost: settings.createnode_macashost,
            nextnode_discover: settings.nextnode_discover,
            bind_legacy: settings.bind_legacy,
            dnssec_enable: if settings.bind_legacy {
                Applicable::Yes(settings.dnssec_enable)
            } else {
                Applicable::No(NOT_APPLICABLE)
            },
            dnssec_validation: settings.dnssec_validation,
            controllers: controllers.collect(),
        }
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
    let title = fields.help("Name of the cluster").new_name("name", Name::general);
    let settings = settings_request(fields, installed);
    Request {
        title,
        controllers: controllers(fields, keys),
        controller_network: fields
            .help("The network of that address")
            .of("network")
            .new_name("controller_network", Name::domain),
        ..settings
    }
}

/// The part of it that is neither the name nor about controllers.
pub(crate) fn settings_request(fields: &mut Fields<'_>, installed: &Installed) -> Request {
    let request = read(fields);
    let provision = [&request.provision_method, &request.provision_fallback];
    for missing in installed.missing(provision, &Patch::Keep, &Patch::Keep) {
        fields.refuse(&missing.field, missing.reason);
    }
    request
}

/// The same, whatever plugins are installed.
pub fn read(fields: &mut Fields<'_>) -> Request {
    Request {
        user: fields.help("Free text").text("user"),
        technical_contacts: fields.help("Whom to call").text("technical_contacts"),
        nameserver_ip: addresses(
            fields.help("DNS servers of the nodes, separated by commas"),
            "nameserver_ip",
        ),
        forwardserver_ip: addresses(
            fields.help("DNS servers that ours asks, separated by commas"),
            "forwardserver_ip",
        ),
        ntp_server: addresses(fields.help("Time servers, separated by commas"), "ntp_server"),
        domain_search: domains(fields.help("DNS search domains, separated by commas")),
        provision_method: provision_method(fields),
        provision_fallback: provision_fallback(fields),
        install_policy: install_policy(
            fields.help("When nodes are installed: always, once, never, memory"),
        ),
        createnode_ondemand: fields
            .help("Make nodes of machines that boot and are unknown")
            .boolean("createnode_ondemand"),
        createnode_macashost: fields
            .help("Name them after their MAC address")
            .boolean("createnode_macashost"),
        nextnode_discover: fields
            .help("Give unknown machines to the next node without a MAC address")
            .boolean("nextnode_discover"),
        packing_bootpause: fields
            .help("Hold nodes back while their image is being packed")
            .boolean("packing_bootpause"),
        security: fields.help("Nodes must show what their TPM measured").boolean("security"),
        debug: fields.help("More messages").boolean("debug"),
        bind_legacy: fields.help("Settings for old versions of BIND").boolean("bind_legacy"),
        dnssec_enable: fields.help("DNSSEC, with old versions of BIND").boolean("dnssec_enable"),
        dnssec_validation: fields.help("Check DNSSEC signatures").boolean("dnssec_validation"),
        ..Request::default()
    }
}

/// Search domains reach files of many programs, in each of which other letters mean something else.
fn domains(fields: &mut Fields<'_>) -> Patch<Vec<String>> {
    const FIELD: &str = "domain_search";
    let list = fields.list(FIELD);
    let words = if let Patch::Set(words) = &list { words.as_slice() } else { &[] };
    let is_domain = |word: &&String| Name::domain(&word.to_ascii_lowercase()).is_ok();
    if let Some(word) = words.iter().find(|word| !is_domain(word)) {
        fields.refuse(FIELD, format!("'{word}' is not a domain, such as cluster.example.org"));
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
