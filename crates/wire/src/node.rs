//! Nodes, as clients read and ask for them.

use perilune_model::effective::Effective;
use perilune_model::node::{Node, Request};
use perilune_model::plugins::Installed;
use perilune_model::provisioning::{Provisioning, TagChoice};
use perilune_model::{Cluster, Name, Patch, Words};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ancestors::Ancestors;
use crate::fields::Fields;
use crate::hidden::View;
use crate::interface::NodeInterface;
use crate::kernel::{Kernel, KernelSources};
use crate::provisioning::{Installation, InstallationSources, Provision, ProvisionSources};
use crate::requests::{INTERFACES, comment, node_interface};
use crate::word::{PortNumber, TrueFalse};
use crate::{label, provisioning, route};

/// What a script that nobody set is in lists.
const EMPTY: &str = "<empty>";
const DEFAULT_TAG: &str = "default";

/// The request of a node. `name` is the node's in the URL.
pub fn request(fields: &mut Fields<'_>, name: &Name, installed: &Installed) -> Request {
    let renamed = fields.new_name("newnodename", Name::host);
    let named = fields.new_name("name", Name::host);
    let group = fields
        .help("The group it belongs to; needed for a new node")
        .of("group")
        .name("group", Name::general);
    if group == Patch::Clear {
        fields.refuse("group", "a node needs a group; give one");
    }
    let described = described(fields, installed);
    Request {
        new_name: renamed.or_else(|| named.filter(|named| named != name)),
        group: group.value().cloned(),
        status: fields.text("status"),
        labels: label::request(fields),
        interfaces: fields
            .help(INTERFACES)
            .objects("interfaces", node_interface)
            .unwrap_or_default(),
        ..described
    }
}

/// What requests and documents say alike.
pub(crate) fn described(fields: &mut Fields<'_>, installed: &Installed) -> Request {
    Request {
        provisioning: provisioning::request(fields, "bmcsetup", installed),
        switch: fields.help("The switch it hangs on").of("switch").name("switch", Name::host),
        switchport: fields.help("The port of that switch").text("switchport"),
        cloud: fields.help("The cloud it runs in").of("cloud").name("cloud", Name::general),
        service: fields.help("Stop in the installer with a shell").boolean("service"),
        vendor: fields.help("Who made it").text("vendor"),
        assettag: fields.help("Its inventory number").text("assettag"),
        tpm_uuid: fields.help("TPM: UUID").text("tpm_uuid"),
        tpm_pubkey: fields.help("TPM: public key").text("tpm_pubkey"),
        tpm_sha256: fields.help("TPM: measurement that it must show").secret("tpm_sha256"),
        comment: comment(fields),
        ..Request::default()
    }
}

/// What a node last reported.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reported<'a> {
    /// Its state in words.
    pub status: Option<&'a str>,
    /// Why its installation failed, where it did.
    pub failure: Option<&'a str>,
}

/// A node in a list: what is in effect, without where it comes from.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the shape that clients read")]
pub struct NodeEntry<'a> {
    name: &'a str,
    osimagetagid: Option<&'a str>,
    #[serde(flatten)]
    kernel: Kernel<'a>,
    switchport: Option<PortNumber<'a>>,
    service: bool,
    setupbmc: bool,
    status: Option<&'a str>,
    /// Why its installation failed, where it did.
    failure: Option<&'a str>,
    comment: Option<&'a str>,
    /// Its own, as `key=value` separated by commas; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<String>,
    /// Those of its group that it has no other value for; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    group_labels: Option<String>,
    roles: Option<String>,
    scripts: Option<String>,
    vendor: Option<&'a str>,
    assettag: Option<&'a str>,
    #[serde(flatten)]
    installation: Installation<'a>,
    /// Static routes: the node's own, else its group's, else those of its networks.
    routes: Option<String>,
    #[serde(rename = "_routes_source", skip_serializing_if = "Option::is_none")]
    routes_source: Option<&'static str>,
    netboot: bool,
    bootmenu: bool,
    #[serde(flatten)]
    provision: Provision<'a>,
    tpm_uuid: Option<&'a str>,
    tpm_pubkey: Option<&'a str>,
    tpm_sha256: Option<&'a str>,
    unmanaged_bmc_users: Option<&'a str>,
    #[serde(rename = "_override")]
    overrides: bool,
    group: &'a str,
    osimage: Option<&'a str>,
    bmcsetup: Option<&'a str>,
    switch: Option<&'a str>,
    cloud: Option<&'a str>,
    tpm_present: bool,
    hostname: String,
    interfaces: Vec<NodeInterface<'a>>,
}

impl<'a> NodeEntry<'a> {
    /// The entry of a node.
    pub fn new(cluster: &'a Cluster, node: &'a Node, reported: Reported<'a>, view: View) -> Self {
        let effective = Effective::of_node(cluster, node);
        let routes = route::Shown::new(node.routes(cluster));
        let tpm = [&node.tpm_uuid, &node.tpm_pubkey, &node.tpm_sha256];
        Self {
            name: node.name.as_str(),
            osimagetagid: own_tag(&node.provisioning),
            kernel: Kernel::in_effect(&effective),
            switchport: node.switchport.as_deref().map(PortNumber),
            service: node.service,
            setupbmc: effective.setupbmc().value,
            status: reported.status,
            failure: reported.failure,
            comment: node.comment.as_deref(),
            labels: label::shown(&node.labels),
            group_labels: inherited_labels(cluster, node),
            roles: effective.roles().value.map(Words::to_string),
            scripts: effective.scripts().value.map(Words::to_string),
            vendor: node.vendor.as_deref(),
            assettag: node.assettag.as_deref(),
            installation: Installation::in_effect(&effective, EMPTY),
            routes_source: routes.source(),
            routes: routes.value,
            netboot: effective.netboot().value,
            bootmenu: effective.bootmenu().value,
            provision: Provision::in_effect(&effective),
            tpm_uuid: node.tpm_uuid.as_deref(),
            tpm_pubkey: node.tpm_pubkey.as_deref(),
            tpm_sha256: view.optional(node.tpm_sha256.as_deref()),
            unmanaged_bmc_users: node
                .provisioning
                .unmanaged_bmc_users
                .map(perilune_model::provisioning::UnmanagedUsers::word),
            overrides: effective.is_overridden(),
            group: node.group.as_str(),
            osimage: effective.osimage().value.map(Name::as_str),
            bmcsetup: effective.bmcsetup().value.map(Name::as_str),
            switch: node.switch.as_ref().map(Name::as_str),
            cloud: node.cloud.as_ref().map(Name::as_str),
            tpm_present: tpm
                .into_iter()
                .any(|field| field.as_deref().is_some_and(|text| !text.is_empty())),
            hostname: node.hostname(cluster),
            interfaces: interfaces(cluster, node),
        }
    }
}

/// A node by itself: what is in effect, and where it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeDetail<'a> {
    name: &'a str,
    #[serde(flatten)]
    kernel: Kernel<'a>,
    switchport: Option<PortNumber<'a>>,
    service: bool,
    setupbmc: bool,
    status: Option<&'a str>,
    /// Why its installation failed, where it did.
    failure: Option<&'a str>,
    comment: Option<&'a str>,
    /// Its own, as `key=value` separated by commas; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<String>,
    /// Those of its group that it has no other value for; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    group_labels: Option<String>,
    roles: Option<String>,
    scripts: Option<String>,
    vendor: Option<&'a str>,
    assettag: Option<&'a str>,
    #[serde(flatten)]
    installation: Installation<'a>,
    /// Static routes: the node's own, else its group's, else those of its networks.
    routes: Option<String>,
    #[serde(rename = "_routes_source", skip_serializing_if = "Option::is_none")]
    routes_source: Option<&'static str>,
    netboot: TrueFalse,
    bootmenu: TrueFalse,
    #[serde(flatten)]
    provision: Provision<'a>,
    tpm_uuid: Option<&'a str>,
    tpm_pubkey: Option<&'a str>,
    tpm_sha256: Option<&'a str>,
    unmanaged_bmc_users: Option<&'a str>,
    group: &'a str,
    #[serde(rename = "_override")]
    overrides: bool,
    osimage: Option<&'a str>,
    bmcsetup: Option<&'a str>,
    osimagetag: &'a str,
    switch: Option<&'a str>,
    cloud: Option<&'a str>,
    #[serde(flatten)]
    sources: Sources,
    #[serde(rename = "_inherited", skip_serializing_if = "Ancestors::is_empty")]
    ancestors: Ancestors<'a>,
    hostname: String,
    interfaces: Vec<NodeInterface<'a>>,
}

/// Where each value comes from: `node`, `group`, `osimage`, `bmcsetup`, `cluster` or `default`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NodeSources)]
struct Sources {
    #[serde(rename = "_osimage_source", skip_serializing_if = "Option::is_none")]
    osimage: Option<&'static str>,
    #[serde(rename = "_bmcsetup_source", skip_serializing_if = "Option::is_none")]
    bmcsetup: Option<&'static str>,
    #[serde(rename = "_unmanaged_bmc_users_source")]
    unmanaged_bmc_users: &'static str,
    #[serde(rename = "_osimagetag_source")]
    osimagetag: &'static str,
    #[serde(rename = "_setupbmc_source")]
    setupbmc: &'static str,
    #[serde(rename = "_netboot_source")]
    netboot: &'static str,
    #[serde(rename = "_bootmenu_source")]
    bootmenu: &'static str,
    #[serde(rename = "_roles_source")]
    roles: &'static str,
    #[serde(rename = "_scripts_source")]
    scripts: &'static str,
    #[serde(flatten)]
    provision: ProvisionSources,
    #[serde(rename = "_provision_interface_source")]
    provision_interface: &'static str,
    #[serde(flatten)]
    kernel: KernelSources,
    #[serde(flatten)]
    installation: InstallationSources,
}

impl Sources {
    fn new(effective: &Effective<'_>) -> Self {
        let (image, setup) = (effective.osimage(), effective.bmcsetup());
        Self {
            osimage: image.value.map(|_| image.source.word()),
            bmcsetup: setup.value.map(|_| setup.source.word()),
            unmanaged_bmc_users: effective.unmanaged_bmc_users().source.word(),
            osimagetag: effective.osimagetag().source.word(),
            setupbmc: effective.setupbmc().source.word(),
            netboot: effective.netboot().source.word(),
            bootmenu: effective.bootmenu().source.word(),
            roles: effective.roles().source.word(),
            scripts: effective.scripts().source.word(),
            provision: ProvisionSources::of(effective),
            provision_interface: effective.provision_interface().source.word(),
            kernel: KernelSources::of(effective),
            installation: InstallationSources::of(effective),
        }
    }
}

impl<'a> NodeDetail<'a> {
    /// The node.
    pub fn new(cluster: &'a Cluster, node: &'a Node, reported: Reported<'a>, view: View) -> Self {
        let effective = Effective::of_node(cluster, node);
        let routes = route::Shown::new(node.routes(cluster));
        Self {
            name: node.name.as_str(),
            kernel: Kernel::in_effect(&effective),
            switchport: node.switchport.as_deref().map(PortNumber),
            service: node.service,
            setupbmc: effective.setupbmc().value,
            status: reported.status,
            failure: reported.failure,
            comment: node.comment.as_deref(),
            labels: label::shown(&node.labels),
            group_labels: inherited_labels(cluster, node),
            roles: effective.roles().value.map(Words::to_string),
            scripts: effective.scripts().value.map(Words::to_string),
            vendor: node.vendor.as_deref(),
            assettag: node.assettag.as_deref(),
            installation: Installation::in_effect(&effective, ""),
            routes_source: routes.source(),
            routes: routes.value,
            netboot: TrueFalse(effective.netboot().value),
            bootmenu: TrueFalse(effective.bootmenu().value),
            provision: Provision::in_effect(&effective),
            tpm_uuid: node.tpm_uuid.as_deref(),
            tpm_pubkey: node.tpm_pubkey.as_deref(),
            tpm_sha256: view.optional(node.tpm_sha256.as_deref()),
            unmanaged_bmc_users: effective
                .unmanaged_bmc_users()
                .value
                .map(perilune_model::provisioning::UnmanagedUsers::word),
            group: node.group.as_str(),
            overrides: effective.is_overridden(),
            osimage: effective.osimage().value.map(Name::as_str),
            bmcsetup: effective.bmcsetup().value.map(Name::as_str),
            osimagetag: effective.osimagetag().value.map_or(DEFAULT_TAG, Name::as_str),
            switch: node.switch.as_ref().map(Name::as_str),
            cloud: node.cloud.as_ref().map(Name::as_str),
            sources: Sources::new(&effective),
            ancestors: Ancestors::of(&effective),
            hostname: node.hostname(cluster),
            interfaces: interfaces(cluster, node),
        }
    }
}

fn inherited_labels(cluster: &Cluster, node: &Node) -> Option<String> {
    label::shown(&node.inherited_labels(cluster))
}

/// The node's own tag. Beside an image of its own, no tag is the image's files of now, and is shown as that.
fn own_tag(own: &Provisioning) -> Option<&str> {
    let tag = own.osimagetag.as_ref().map(TagChoice::word);
    tag.or_else(|| own.osimage.as_ref().map(|_| DEFAULT_TAG))
}

fn interfaces<'a>(cluster: &Cluster, node: &'a Node) -> Vec<NodeInterface<'a>> {
    // Those that are in no network come last.
    let (placed, others): (Vec<_>, Vec<_>) =
        node.interfaces.iter().partition(|interface| interface.network.is_some());
    placed
        .into_iter()
        .chain(others)
        .map(|interface| NodeInterface::of_node(cluster, interface))
        .collect()
}
