//! Groups, as clients read and ask for them.

use perilune_model::effective::{Effective, Source};
use perilune_model::group::{Group, Request};
use perilune_model::plugins::Installed;
use perilune_model::provisioning::{TagChoice, UnmanagedUsers};
use perilune_model::{Cluster, Name, Words};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ancestors::Ancestors;
use crate::fields::Fields;
use crate::interface::GroupInterfaceKeys;
use crate::kernel::{Kernel, KernelSources};
use crate::provisioning::{Installation, InstallationSources, Provision, ProvisionSources};
use crate::requests::{INTERFACES, comment, group_interface};
use crate::word::TrueFalse;
use crate::{label, provisioning, route};

/// The request of a group. `name` is the group's in the URL.
pub fn request(fields: &mut Fields<'_>, name: &Name, installed: &Installed) -> Request {
    let renamed = fields.new_name("newgroupname", Name::general);
    let named = fields.new_name("name", Name::general);
    Request {
        new_name: renamed.or_else(|| named.filter(|named| named != name)),
        parent: fields
            .help("A group whose values it has where it says nothing itself")
            .of("group")
            .name("parent", Name::general),
        provisioning: provisioning::request(fields, "bmcsetupname", installed),
        domain: fields.help("DNS domain").text("domain"),
        comment: comment(fields),
        labels: label::request(fields),
        interfaces: fields
            .help(INTERFACES)
            .objects("interfaces", group_interface)
            .unwrap_or_default(),
    }
}

/// A group in a list: mostly what it says itself.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the shape that clients read")]
pub struct GroupEntry<'a> {
    name: &'a str,
    /// The group whose values it has where it says nothing itself; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a str>,
    setupbmc: bool,
    domain: Option<&'a str>,
    osimagetagid: Option<&'a str>,
    #[serde(flatten)]
    kernel: Kernel<'a>,
    #[serde(flatten)]
    installation: Installation<'a>,
    /// Static routes: its own, else those of its networks.
    routes: Option<String>,
    #[serde(rename = "_routes_source", skip_serializing_if = "Option::is_none")]
    routes_source: Option<&'static str>,
    netboot: bool,
    bootmenu: bool,
    comment: Option<&'a str>,
    /// `key=value`, separated by commas; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<String>,
    roles: Option<String>,
    scripts: Option<String>,
    #[serde(flatten)]
    provision: Provision<'a>,
    unmanaged_bmc_users: Option<&'a str>,
    #[serde(rename = "_override")]
    overrides: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interfaces: Vec<GroupInterfaceKeys<'a>>,
    osimage: Option<&'a str>,
    bmcsetupname: Option<&'a str>,
}

impl<'a> GroupEntry<'a> {
    /// The entry of a group.
    pub fn new(cluster: &'a Cluster, group: &'a Group) -> Self {
        let effective = Effective::of_group(cluster, group);
        let routes = route::Shown::new(group.routes(cluster));
        Self {
            name: group.name.as_str(),
            parent: group.parent.as_ref().map(Name::as_str),
            setupbmc: effective.said(|own| own.setupbmc).unwrap_or(false),
            domain: domain(cluster, group),
            osimagetagid: effective.said(|own| own.osimagetag.as_ref()).map(TagChoice::word),
            kernel: Kernel::said(&effective),
            installation: Installation::said(&effective),
            routes_source: routes.source(),
            routes: routes.value,
            netboot: effective.said(|own| own.netboot).unwrap_or(false),
            bootmenu: effective.said(|own| own.bootmenu).unwrap_or(false),
            comment: group.comment.as_deref(),
            labels: label::shown(&cluster.labels_of(group)),
            roles: effective.said(|own| own.roles.as_ref()).map(Words::to_string),
            scripts: effective.said(|own| own.scripts.as_ref()).map(Words::to_string),
            provision: Provision::said(&effective),
            unmanaged_bmc_users: effective.unmanaged_bmc_users().value.map(UnmanagedUsers::word),
            overrides: provisioning::overrides(&group.provisioning),
            interfaces: interfaces(cluster, group),
            osimage: effective.said(|own| own.osimage.as_ref()).map(Name::as_str),
            bmcsetupname: effective.said(|own| own.bmcsetup.as_ref()).map(Name::as_str),
        }
    }
}

/// A group by itself: what its nodes get, and where it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupDetail<'a> {
    name: &'a str,
    /// The group whose values it has where it says nothing itself; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a str>,
    setupbmc: TrueFalse,
    domain: Option<&'a str>,
    #[serde(flatten)]
    kernel: Kernel<'a>,
    #[serde(flatten)]
    installation: Installation<'a>,
    /// Static routes: its own, else those of its networks.
    routes: Option<String>,
    #[serde(rename = "_routes_source", skip_serializing_if = "Option::is_none")]
    routes_source: Option<&'static str>,
    netboot: TrueFalse,
    bootmenu: TrueFalse,
    comment: Option<&'a str>,
    /// `key=value`, separated by commas; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<String>,
    roles: Option<String>,
    scripts: Option<String>,
    #[serde(flatten)]
    provision: Provision<'a>,
    unmanaged_bmc_users: Option<&'a str>,
    #[serde(rename = "_override")]
    overrides: bool,
    osimage: Option<&'a str>,
    bmcsetupname: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interfaces: Vec<GroupInterfaceKeys<'a>>,
    #[serde(flatten)]
    sources: Sources,
    #[serde(rename = "_inherited", skip_serializing_if = "Ancestors::is_empty")]
    ancestors: Ancestors<'a>,
    osimagetag: &'a str,
}

/// Where each value comes from: `group`, `osimage`, `bmcsetup`, `cluster` or `default`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupSources)]
struct Sources {
    #[serde(rename = "_setupbmc_source")]
    setupbmc: &'static str,
    #[serde(rename = "_netboot_source")]
    netboot: &'static str,
    #[serde(rename = "_bootmenu_source")]
    bootmenu: &'static str,
    #[serde(rename = "_provision_interface_source")]
    provision_interface: &'static str,
    #[serde(flatten)]
    provision: ProvisionSources,
    #[serde(flatten)]
    kernel: KernelSources,
    #[serde(rename = "_unmanaged_bmc_users_source")]
    unmanaged_bmc_users: &'static str,
    #[serde(flatten)]
    installation: InstallationSources,
    #[serde(rename = "_osimage_source")]
    osimage: &'static str,
    #[serde(rename = "_bmcsetupname_source")]
    bmcsetupname: &'static str,
    #[serde(rename = "_osimagetag_source")]
    osimagetag: &'static str,
}

impl Sources {
    fn new(effective: &Effective<'_>) -> Self {
        Self {
            setupbmc: effective.setupbmc().source.word(),
            netboot: effective.netboot().source.word(),
            bootmenu: effective.bootmenu().source.word(),
            provision_interface: effective.provision_interface().source.word(),
            provision: ProvisionSources::of(effective),
            kernel: KernelSources::of(effective),
            unmanaged_bmc_users: effective.unmanaged_bmc_users().source.word(),
            installation: InstallationSources::of(effective),
            // Clients expect `group` here, set or not.
            osimage: Source::Group.word(),
            bmcsetupname: Source::Group.word(),
            osimagetag: effective.osimagetag().source.word(),
        }
    }
}

impl<'a> GroupDetail<'a> {
    /// The group.
    pub fn new(cluster: &'a Cluster, group: &'a Group) -> Self {
        let effective = Effective::of_group(cluster, group);
        let routes = route::Shown::new(group.routes(cluster));
        Self {
            name: group.name.as_str(),
            parent: group.parent.as_ref().map(Name::as_str),
            setupbmc: TrueFalse(effective.setupbmc().value),
            domain: domain(cluster, group),
            kernel: Kernel::in_effect(&effective),
            installation: Installation::in_effect(&effective, ""),
            routes_source: routes.source(),
            routes: routes.value,
            netboot: TrueFalse(effective.netboot().value),
            bootmenu: TrueFalse(effective.bootmenu().value),
            comment: group.comment.as_deref(),
            labels: label::shown(&cluster.labels_of(group)),
            roles: effective.roles().value.map(Words::to_string),
            scripts: effective.scripts().value.map(Words::to_string),
            provision: Provision::in_effect(&effective),
            unmanaged_bmc_users: effective.unmanaged_bmc_users().value.map(UnmanagedUsers::word),
            overrides: provisioning::overrides(&group.provisioning),
            osimage: effective.osimage().value.map(Name::as_str),
            bmcsetupname: effective.bmcsetup().value.map(Name::as_str),
            interfaces: interfaces(cluster, group),
            sources: Sources::new(&effective),
            ancestors: Ancestors::of(&effective),
            osimagetag: effective.osimagetag().value.map_or("default", Name::as_str),
        }
    }
}

/// The domain of a group, its own or that of one above.
fn domain<'a>(cluster: &'a Cluster, group: &'a Group) -> Option<&'a str> {
    cluster.lineage(group).find_map(|group| group.domain.as_deref())
}

fn interfaces<'a>(cluster: &Cluster, group: &'a Group) -> Vec<GroupInterfaceKeys<'a>> {
    group.interfaces.iter().map(|interface| GroupInterfaceKeys::new(cluster, interface)).collect()
}
