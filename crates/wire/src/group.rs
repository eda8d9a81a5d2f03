//! Groups, as clients read them.

use perilune_model::effective::{Effective, Source};
use perilune_model::group::Group;
use perilune_model::provisioning::{
    BootOrder, Hosts, InstallPolicy, IpxeKernel, TagChoice, UnmanagedUsers, Wipe,
};
use perilune_model::{Cluster, Name, Words};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ancestors::Ancestors;
use crate::interface::GroupInterfaceKeys;
use crate::word::TrueFalse;
use crate::{label, route};

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
    kerneloptions: Option<&'a str>,
    ipxe_kernel: Option<&'a str>,
    prescript: Option<&'a str>,
    partscript: Option<&'a str>,
    postscript: Option<&'a str>,
    disklayout: Option<&'a str>,
    osimage_filter: Option<&'a str>,
    install_policy: Option<&'static str>,
    install_mode: Option<&'static str>,
    wipe: Option<&'static str>,
    boot_order: Option<&'static str>,
    memory_limit: Option<&'a str>,
    script_timeout: Option<&'a str>,
    hosts: Option<&'static str>,
    timezone: Option<&'a str>,
    locale: Option<&'a str>,
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
    provision_interface: Option<&'a str>,
    provision_method: Option<&'a str>,
    provision_fallback: Option<&'a str>,
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
            kerneloptions: effective.kerneloptions().value,
            ipxe_kernel: effective.said(|own| own.ipxe_kernel).map(IpxeKernel::word),
            prescript: effective.said(|own| own.prescript.as_deref()),
            partscript: effective.said(|own| own.partscript.as_deref()),
            postscript: effective.said(|own| own.postscript.as_deref()),
            disklayout: effective.said(|own| own.disklayout.as_deref()),
            osimage_filter: effective.said(|own| own.osimage_filter.as_deref()),
            install_policy: effective.said(|own| own.install_policy).map(InstallPolicy::word),
            install_mode: effective.said(|own| own.install_policy).map(InstallPolicy::mode),
            wipe: effective.said(|own| own.wipe).map(Wipe::word),
            boot_order: effective.said(|own| own.boot_order).map(BootOrder::word),
            memory_limit: effective.said(|own| own.memory_limit.as_deref()),
            script_timeout: effective.said(|own| own.script_timeout.as_deref()),
            hosts: effective.said(|own| own.hosts).map(Hosts::word),
            timezone: effective.said(|own| own.timezone.as_deref()),
            locale: effective.said(|own| own.locale.as_deref()),
            routes_source: routes.source(),
            routes: routes.value,
            netboot: effective.said(|own| own.netboot).unwrap_or(false),
            bootmenu: effective.said(|own| own.bootmenu).unwrap_or(false),
            comment: group.comment.as_deref(),
            labels: label::shown(&cluster.labels_of(group)),
            roles: effective.said(|own| own.roles.as_ref()).map(Words::to_string),
            scripts: effective.said(|own| own.scripts.as_ref()).map(Words::to_string),
            provision_interface: effective.said(|own| own.provision_interface.as_deref()),
            provision_method: effective.said(|own| own.provision_method.as_deref()),
            provision_fallback: effective.said(|own| own.provision_fallback.as_deref()),
            unmanaged_bmc_users: effective.unmanaged_bmc_users().value.map(UnmanagedUsers::word),
            overrides: overrides(group),
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
    kerneloptions: Option<&'a str>,
    ipxe_kernel: &'a str,
    prescript: &'a str,
    partscript: &'a str,
    postscript: &'a str,
    disklayout: Option<&'a str>,
    osimage_filter: Option<&'a str>,
    install_policy: Option<&'static str>,
    install_mode: Option<&'static str>,
    wipe: Option<&'static str>,
    boot_order: Option<&'static str>,
    memory_limit: Option<&'a str>,
    script_timeout: Option<&'a str>,
    hosts: Option<&'static str>,
    timezone: Option<&'a str>,
    locale: Option<&'a str>,
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
    provision_interface: &'a str,
    provision_method: Option<&'a str>,
    provision_fallback: Option<&'a str>,
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
    #[serde(rename = "_provision_method_source")]
    provision_method: &'static str,
    #[serde(rename = "_provision_fallback_source")]
    provision_fallback: &'static str,
    #[serde(rename = "_kerneloptions_source")]
    kerneloptions: &'static str,
    #[serde(rename = "_ipxe_kernel_source")]
    ipxe_kernel: &'static str,
    #[serde(rename = "_unmanaged_bmc_users_source")]
    unmanaged_bmc_users: &'static str,
    #[serde(rename = "_prescript_source")]
    prescript: &'static str,
    #[serde(rename = "_partscript_source")]
    partscript: &'static str,
    #[serde(rename = "_postscript_source")]
    postscript: &'static str,
    #[serde(rename = "_disklayout_source")]
    disklayout: &'static str,
    #[serde(rename = "_osimage_filter_source")]
    osimage_filter: &'static str,
    #[serde(rename = "_install_policy_source")]
    install_policy: &'static str,
    #[serde(rename = "_install_mode_source")]
    install_mode: &'static str,
    #[serde(rename = "_wipe_source")]
    wipe: &'static str,
    #[serde(rename = "_boot_order_source")]
    boot_order: &'static str,
    #[serde(rename = "_memory_limit_source")]
    memory_limit: &'static str,
    #[serde(rename = "_script_timeout_source")]
    script_timeout: &'static str,
    #[serde(rename = "_hosts_source")]
    hosts: &'static str,
    #[serde(rename = "_timezone_source")]
    timezone: &'static str,
    #[serde(rename = "_locale_source")]
    locale: &'static str,
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
            provision_method: effective.provision_method().source.word(),
            provision_fallback: effective.provision_fallback().source.word(),
            kerneloptions: effective.kerneloptions().source.word(),
            ipxe_kernel: effective.ipxe_kernel().source.word(),
            unmanaged_bmc_users: effective.unmanaged_bmc_users().source.word(),
            prescript: effective.prescript().source.word(),
            partscript: effective.partscript().source.word(),
            postscript: effective.postscript().source.word(),
            disklayout: effective.disklayout().source.word(),
            osimage_filter: effective.osimage_filter().source.word(),
            install_policy: effective.install_policy().source.word(),
            install_mode: effective.install_policy().source.word(),
            wipe: effective.wipe().source.word(),
            boot_order: effective.boot_order().source.word(),
            memory_limit: effective.memory_limit().source.word(),
            script_timeout: effective.script_timeout().source.word(),
            hosts: effective.hosts().source.word(),
            timezone: effective.timezone().source.word(),
            locale: effective.locale().source.word(),
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
            kerneloptions: effective.kerneloptions().value,
            ipxe_kernel: effective.ipxe_kernel().value.word(),
            prescript: effective.prescript().value.unwrap_or_default(),
            partscript: effective.partscript().value.unwrap_or_default(),
            postscript: effective.postscript().value.unwrap_or_default(),
            disklayout: effective.disklayout().value,
            osimage_filter: effective.osimage_filter().value,
            install_policy: effective.install_policy().value.map(InstallPolicy::word),
            install_mode: effective.install_policy().value.map(InstallPolicy::mode),
            wipe: Some(effective.wipe().value.word()),
            boot_order: effective.boot_order().value.map(BootOrder::word),
            memory_limit: effective.memory_limit().value,
            script_timeout: effective.script_timeout().value,
            hosts: Some(effective.hosts().value.word()),
            timezone: effective.timezone().value,
            locale: effective.locale().value,
            routes_source: routes.source(),
            routes: routes.value,
            netboot: TrueFalse(effective.netboot().value),
            bootmenu: TrueFalse(effective.bootmenu().value),
            comment: group.comment.as_deref(),
            labels: label::shown(&cluster.labels_of(group)),
            roles: effective.roles().value.map(Words::to_string),
            scripts: effective.scripts().value.map(Words::to_string),
            provision_interface: effective.provision_interface().value,
            provision_method: effective.provision_method().value,
            provision_fallback: effective.provision_fallback().value,
            unmanaged_bmc_users: effective.unmanaged_bmc_users().value.map(UnmanagedUsers::word),
            overrides: overrides(group),
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

/// Whether it says anything that existing clients count as its own: in lists and alone the same.
fn overrides(group: &Group) -> bool {
    let own = &group.provisioning;
    let texts = [
        &own.provision_interface,
        &own.provision_method,
        &own.provision_fallback,
        &own.kerneloptions,
    ];
    let others = [
        own.ipxe_kernel.is_some(),
        own.osimagetag.is_some(),
        own.install_policy.is_some(),
        own.bootmenu.is_some(),
        own.unmanaged_bmc_users.is_some(),
        !own.routes.is_empty(),
    ];
    texts.into_iter().any(Option::is_some) || others.contains(&true)
}

fn interfaces<'a>(cluster: &Cluster, group: &'a Group) -> Vec<GroupInterfaceKeys<'a>> {
    group.interfaces.iter().map(|interface| GroupInterfaceKeys::new(cluster, interface)).collect()
}
