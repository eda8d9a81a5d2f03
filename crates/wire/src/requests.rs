//! What requests about nodes, groups and interfaces say.

use perilune_model::interface::{LinkRequest, NotANumbering, Numbering, of_group, of_node};
use perilune_model::plugins::Installed;
use perilune_model::provisioning::{
    BootOrder, Hosts, InstallPolicy, IpxeKernel, TagChoice, UnmanagedUsers, Wipe,
};
use perilune_model::{MacAddress, Name, NotAMacAddress, Patch, group, node, provisioning};
use perilune_plan::{DiskLayout, Size, Span, check_locale, check_timezone, decode_if_encoded};

use crate::fields::Fields;
use crate::{label, route};

/// The request of a node. `name` is the node's in the URL.
pub fn node(fields: &mut Fields<'_>, name: &Name, installed: &Installed) -> node::Request {
    let renamed = fields.new_name("newnodename", Name::host);
    let named = fields.new_name("name", Name::host);
    let group = fields.name("group", Name::general);
    if group == Patch::Clear {
        fields.refuse("group", "a node needs a group; give one");
    }
    node::Request {
        new_name: renamed.or_else(|| named.filter(|named| named != name)),
        group: group.value().cloned(),
        provisioning: provisioning(fields, "bmcsetup", installed),
        service: fields.boolean("service"),
        switch: fields.name("switch", Name::host),
        switchport: fields.text("switchport"),
        cloud: fields.name("cloud", Name::general),
        vendor: fields.text("vendor"),
        assettag: fields.text("assettag"),
        comment: fields.text("comment"),
        labels: label::request(fields),
        status: fields.text("status"),
        tpm_uuid: fields.text("tpm_uuid"),
        tpm_pubkey: fields.text("tpm_pubkey"),
        tpm_sha256: fields.secret("tpm_sha256"),
        interfaces: fields.objects("interfaces", node_interface).unwrap_or_default(),
    }
}

/// The request of a group. `name` is the group's in the URL.
pub fn group(fields: &mut Fields<'_>, name: &Name, installed: &Installed) -> group::Request {
    let renamed = fields.new_name("newgroupname", Name::general);
    let named = fields.new_name("name", Name::general);
    group::Request {
        new_name: renamed.or_else(|| named.filter(|named| named != name)),
        parent: fields.name("parent", Name::general),
        provisioning: provisioning(fields, "bmcsetupname", installed),
        domain: fields.text("domain"),
        comment: fields.text("comment"),
        labels: label::request(fields),
        interfaces: fields.objects("interfaces", group_interface).unwrap_or_default(),
    }
}

pub(crate) fn provisioning(
    fields: &mut Fields<'_>,
    bmcsetup: &str,
    installed: &Installed,
) -> provisioning::Request {
    let request = provisioning::Request {
        osimage: fields.name("osimage", Name::general),
        osimagetag: fields.converted("osimagetag", |text| match text {
            "default" => Ok(TagChoice::Current),
            text => Name::general(text).map(TagChoice::Named).map_err(|error| error.to_string()),
        }),
        bmcsetup: fields.name(bmcsetup, Name::general),
        setupbmc: fields.boolean("setupbmc"),
        netboot: fields.boolean("netboot"),
        bootmenu: fields.boolean("bootmenu"),
        roles: words(fields, "roles"),
        scripts: words(fields, "scripts"),
        provision_interface: fields.text("provision_interface"),
        provision_method: fields.text("provision_method"),
        provision_fallback: fields.text("provision_fallback"),
        kerneloptions: kernel_options(fields),
        ipxe_kernel: fields.converted("ipxe_kernel", |text| {
            match text.to_ascii_lowercase().as_str() {
                "default" => Ok(IpxeKernel::Default),
                "alternative" => Ok(IpxeKernel::Alternative),
                _ => Err("it must be 'default' or 'alternative'".to_owned()),
            }
        }),
        unmanaged_bmc_users: unmanaged_users(fields),
        prescript: fields.text("prescript"),
        partscript: fields.text("partscript"),
        postscript: fields.text("postscript"),
        disklayout: fields.checked("disklayout", |text| {
            // Blanks alone are none.
            let plain = decode_if_encoded(text);
            if plain.trim().is_empty() {
                return Ok(());
            }
            if let Err(twice @ perilune_notation::Error::Twice { .. }) =
                perilune_notation::read_json(plain.as_bytes())
            {
                return Err(twice.to_string());
            }
            DiskLayout::read(text).map(drop)
        }),
        osimage_filter: fields.text("osimage_filter"),
        install_policy: install_policy(fields),
        wipe: one_of(fields, "wipe", Wipe::ALL.map(|wipe| (wipe.word(), wipe))),
        boot_order: one_of(fields, "boot_order", BootOrder::ALL.map(|order| (order.word(), order))),
        memory_limit: fields.checked("memory_limit", |text| {
            text.parse::<Size>().map(drop).map_err(|error| error.to_string())
        }),
        script_timeout: fields.checked("script_timeout", |text| {
            text.parse::<Span>().map(drop).map_err(|error| error.to_string())
        }),
        hosts: one_of(fields, "hosts", Hosts::ALL.map(|hosts| (hosts.word(), hosts))),
        timezone: fields.checked("timezone", check_timezone),
        locale: fields.checked("locale", check_locale),
        routes: route::names(fields),
    };
    let provision = [&request.provision_method, &request.provision_fallback];
    for missing in installed.missing(provision, &request.roles, &request.scripts) {
        fields.refuse(&missing.field, missing.reason);
    }
    request
}

/// Options that a boot script can have: else every boot would be refused.
pub(crate) fn kernel_options(fields: &mut Fields<'_>) -> Patch<String> {
    fields.checked("kerneloptions", |text| {
        let options = perilune_plan::kernel_options(text);
        perilune_plan::check_script_text(&options)
            .map_err(|reason| format!("it cannot be put into a boot script: {reason}"))?;
        perilune_plan::check_kernel_options(&options)
    })
}

/// When nodes are installed, by either of its names. Whoever gives both, as they were shown, means `install_policy`.
pub(crate) fn install_policy(fields: &mut Fields<'_>) -> Patch<InstallPolicy> {
    let words = InstallPolicy::ALL.map(|policy| (policy.word(), policy));
    let policy = one_of(fields, "install_policy", words);
    let mode = fields.converted("install_mode", |text| match text.to_ascii_lowercase().as_str() {
        // As it is without any.
        "auto" => Ok(None),
        "full" => Ok(Some(InstallPolicy::Always)),
        "local" => Ok(Some(InstallPolicy::Never)),
        "memboot" => Ok(Some(InstallPolicy::Memory)),
        word @ ("sync" | "sanitize" | "legacy") => Err(format!(
            "nodes cannot be installed by '{word}' here; use one of auto, full, local, memboot, or leave it empty"
        )),
        _ => Err("it must be one of auto, full, local, memboot, or empty".to_owned()),
    });
    match (policy, mode) {
        (Patch::Set(policy), _) | (_, Patch::Set(Some(policy))) => Patch::Set(policy),
        (Patch::Keep, Patch::Keep) => Patch::Keep,
        (Patch::Keep | Patch::Clear, Patch::Keep | Patch::Clear | Patch::Set(None)) => Patch::Clear,
    }
}

/// One of some words.
fn one_of<T: Copy, const COUNT: usize>(
    fields: &mut Fields<'_>,
    field: &str,
    words: [(&'static str, T); COUNT],
) -> Patch<T> {
    fields.converted(field, |text| {
        let word = text.to_ascii_lowercase();
        let found = words.iter().find(|(known, _)| *known == word);
        let all = words.map(|(word, _)| word).join(", ");
        found.map(|(_, value)| *value).ok_or_else(|| format!("it must be one of {all}, or empty"))
    })
}

fn words(fields: &mut Fields<'_>, field: &str) -> Patch<String> {
    fields.list(field).map(|words| words.join(","))
}

/// What happens to unmanaged users of a BMC: `disable`, `delete`, or nothing.
pub fn unmanaged_users(fields: &mut Fields<'_>) -> Patch<UnmanagedUsers> {
    let users =
        fields.converted("unmanaged_bmc_users", |text| match text.to_ascii_lowercase().as_str() {
            "disable" => Ok(Some(UnmanagedUsers::Disable)),
            "delete" => Ok(Some(UnmanagedUsers::Delete)),
            "none" | "skip" => Ok(None),
            _ => Err("it must be 'disable', 'delete', 'skip' or empty".to_owned()),
        });
    match users {
        Patch::Keep => Patch::Keep,
        Patch::Clear | Patch::Set(None) => Patch::Clear,
        Patch::Set(Some(users)) => Patch::Set(users),
    }
}

/// The request of a node's interface.
pub fn node_interface(fields: &mut Fields<'_>) -> of_node::Request {
    // What answers say of DHCP, and who sends an answer back sends, too.
    fields.ignore(&["comment"]);
    of_node::Request {
        interface: interface_name(fields),
        new_name: fields.new_name("newinterfacename", Name::interface),
        macaddress: hardware_address(fields),
        network: given(fields, "network", Name::domain),
        ipaddress: match fields.address("ipaddress") {
            Patch::Keep => None,
            Patch::Set(address) => Some(address),
            Patch::Clear => {
                fields.refuse("ipaddress", "it is empty; give an address, or remove the interface");
                None
            }
        },
        dhcp: decided(fields, "dhcp"),
        force: fields.flag("force"),
        link: link(fields),
    }
}

/// The hardware address of an interface.
pub(crate) fn hardware_address(fields: &mut Fields<'_>) -> Patch<MacAddress> {
    fields.converted("macaddress", |text| {
        let address: MacAddress =
            text.parse().map_err(|error: NotAMacAddress| error.to_string())?;
        address.of_one_machine().map_err(|error| error.to_string())
    })
}

/// The request of a group's interface.
pub fn group_interface(fields: &mut Fields<'_>) -> of_group::Request {
    fields.ignore(&["macaddress", "ipaddress", "force", "comment"]);
    of_group::Request {
        interface: interface_name(fields),
        new_name: fields.new_name("newinterfacename", Name::interface),
        network: given(fields, "network", Name::domain),
        dhcp: decided(fields, "dhcp"),
        numbering: numbering(fields),
        link: link(fields),
    }
}

/// How addresses are made.
pub(crate) fn numbering(fields: &mut Fields<'_>) -> Patch<Numbering> {
    fields.converted("addressing", |text| {
        text.parse().map_err(|error: NotANumbering| error.to_string())
    })
}

fn interface_name(fields: &mut Fields<'_>) -> Name {
    if !fields.has("interface") {
        fields.refuse("interface", "say which interface this is about, such as BOOTIF");
    }
    fields.new_name("interface", Name::interface).unwrap_or_default()
}

fn given(
    fields: &mut Fields<'_>,
    field: &str,
    check: fn(&str) -> Result<Name, perilune_model::NameError>,
) -> Option<Name> {
    fields.new_name(field, check)
}

fn decided(fields: &mut Fields<'_>, field: &str) -> Option<bool> {
    match fields.boolean(field) {
        Patch::Keep => None,
        Patch::Set(value) => Some(value),
        Patch::Clear => {
            fields.refuse(field, "it must be true or false");
            None
        }
    }
}

fn link(fields: &mut Fields<'_>) -> LinkRequest {
    LinkRequest {
        mtu: fields.number("mtu"),
        vlanid: fields.number("vlanid"),
        vlan_parent: fields.text("vlan_parent"),
        bond_mode: fields.text("bond_mode"),
        bond_slaves: fields.list("bond_slaves"),
        options: fields.text("options"),
    }
}
