//! What requests about nodes, groups and interfaces say.

use perilune_model::interface::{LinkRequest, NotANumbering, Numbering, of_group, of_node};
use perilune_model::plugins::Installed;
use perilune_model::provisioning::{
    BootOrder, Hosts, InstallPolicy, IpxeKernel, TagChoice, UnmanagedUsers, Wipe,
};
use perilune_model::{MacAddress, Name, NotAMacAddress, Patch, Words, group, node, provisioning};
use perilune_plan::{DiskLayout, Size, Span, check_locale, check_timezone, decode_if_encoded};

use crate::fields::Fields;
use crate::{label, route};

const INTERFACES: &str = "An interface, such as BMC,network=ipmi";

/// The request of a node. `name` is the node's in the URL.
pub fn node(fields: &mut Fields<'_>, name: &Name, installed: &Installed) -> node::Request {
    let renamed = fields.new_name("newnodename", Name::host);
    let named = fields.new_name("name", Name::host);
    let group = fields
        .help("The group it belongs to; needed for a new node")
        .of("group")
        .name("group", Name::general);
    if group == Patch::Clear {
        fields.refuse("group", "a node needs a group; give one");
    }
    node::Request {
        new_name: renamed.or_else(|| named.filter(|named| named != name)),
        group: group.value().cloned(),
        provisioning: provisioning(fields, "bmcsetup", installed),
        switch: fields.help("The switch it hangs on").of("switch").name("switch", Name::host),
        switchport: fields.help("The port of that switch").text("switchport"),
        cloud: fields.help("The cloud it runs in").of("cloud").name("cloud", Name::general),
        service: fields.help("Stop in the installer with a shell").boolean("service"),
        vendor: fields.help("Who made it").text("vendor"),
        assettag: fields.help("Its inventory number").text("assettag"),
        status: fields.text("status"),
        tpm_uuid: fields.help("TPM: UUID").text("tpm_uuid"),
        tpm_pubkey: fields.help("TPM: public key").text("tpm_pubkey"),
        tpm_sha256: fields.help("TPM: measurement that it must show").secret("tpm_sha256"),
        comment: comment(fields),
        labels: label::request(fields),
        interfaces: fields
            .help(INTERFACES)
            .objects("interfaces", node_interface)
            .unwrap_or_default(),
    }
}

/// The request of a group. `name` is the group's in the URL.
pub fn group(fields: &mut Fields<'_>, name: &Name, installed: &Installed) -> group::Request {
    let renamed = fields.new_name("newgroupname", Name::general);
    let named = fields.new_name("name", Name::general);
    group::Request {
        new_name: renamed.or_else(|| named.filter(|named| named != name)),
        parent: fields
            .help("A group whose values it has where it says nothing itself")
            .of("group")
            .name("parent", Name::general),
        provisioning: provisioning(fields, "bmcsetupname", installed),
        domain: fields.help("DNS domain").text("domain"),
        comment: comment(fields),
        labels: label::request(fields),
        interfaces: fields
            .help(INTERFACES)
            .objects("interfaces", group_interface)
            .unwrap_or_default(),
    }
}

pub(crate) fn provisioning(
    fields: &mut Fields<'_>,
    bmcsetup: &str,
    installed: &Installed,
) -> provisioning::Request {
    let request = provisioning::Request {
        osimage: fields
            .help("The image; else what is inherited")
            .of("osimage")
            .name("osimage", Name::general),
        osimagetag: image_tag(fields),
        bmcsetup: {
            let setup = fields.help("How BMCs are set up").of("bmcsetup");
            // Groups call it otherwise on the wire; whoever types it need not know.
            let is_same = bmcsetup == "bmcsetup";
            let setup = if is_same { setup } else { setup.or("bmcsetup") };
            setup.name(bmcsetup, Name::general)
        },
        setupbmc: fields.help("Set up the BMC while installing").boolean("setupbmc"),
        netboot: fields.help("Boot from the network").boolean("netboot"),
        bootmenu: fields.help("Show a menu at boot").boolean("bootmenu"),
        roles: words(fields.help("Boot roles, separated by commas"), "roles"),
        scripts: words(fields.help("Boot scripts, separated by commas"), "scripts"),
        provision_interface: fields
            .help("The interface to boot from (BOOTIF)")
            .text("provision_interface"),
        provision_method: provision_method(fields),
        provision_fallback: provision_fallback(fields),
        kerneloptions: kernel_options(fields.help("Added to the kernel's command line")),
        ipxe_kernel: ipxe_kernel(fields),
        unmanaged_bmc_users: unmanaged_users(
            fields.help("BMC users we do not know: disable or delete"),
        ),
        prescript: fields
            .help("Shell script that runs before the disks are laid out")
            .encoded()
            .text("prescript"),
        partscript: fields
            .help("Shell script that makes and mounts the root")
            .encoded()
            .text("partscript"),
        postscript: fields
            .help("Shell script that runs when the image is at /sysroot (docs/node.md)")
            .encoded()
            .text("postscript"),
        disklayout: disk_layout(fields),
        osimage_filter: fields
            .help("Kept for newer clients: what of the image a node gets; nothing goes by it here")
            .encoded()
            .text("osimage_filter"),
        install_policy: install_policy(
            fields.help("When nodes are installed: always, once, never, memory (docs/node.md)"),
        ),
        wipe: fields
            .help("Disks that nobody named may be wiped: no, provisioned, all (docs/disk-layout.md)")
            .one_of("wipe", &Wipe::ALL, Wipe::word),
        boot_order: fields
            .help("What UEFI firmware starts first after an installation to disk: network, disk; else left as it is")
            .one_of("boot_order", &BootOrder::ALL, BootOrder::word),
        memory_limit: fields.help("The most that a root in memory may take, such as 8G").checked("memory_limit", |text| {
            text.parse::<Size>().map(drop).map_err(|error| error.to_string())
        }),
        script_timeout: fields.help("How long each script may take, such as 90m (2h)").checked("script_timeout", |text| {
            text.parse::<Span>().map(drop).map_err(|error| error.to_string())
        }),
        hosts: fields
            .help("Whom /etc/hosts names: self, group, all (self)")
            .one_of("hosts", &Hosts::ALL, Hosts::word),
        timezone: fields
            .help("Time zone, such as Europe/Amsterdam; else the image's")
            .checked("timezone", check_timezone),
        locale: fields
            .help("Locale, such as en_US.UTF-8; else the image's")
            .checked("locale", check_locale),
        routes: route::names(
            fields.help("Static routes, separated by commas; else those that are inherited, or of the networks"),
        ),
    };
    let provision = [&request.provision_method, &request.provision_fallback];
    for missing in installed.missing(provision, &request.roles, &request.scripts) {
        fields.refuse(&missing.field, missing.reason);
    }
    request
}

const DISK_LAYOUT: &str =
    "Disks, partitions and file systems, as JSON (docs/disk-layout.md); instead of partscript";

fn image_tag(fields: &mut Fields<'_>) -> Patch<TagChoice> {
    fields.help("A tag of the image").converted("osimagetag", |text| match text {
        "default" => Ok(TagChoice::Current),
        text => Name::general(text).map(TagChoice::Named).map_err(|error| error.to_string()),
    })
}

fn ipxe_kernel(fields: &mut Fields<'_>) -> Patch<IpxeKernel> {
    fields.help("default or alternative").words(&["default", "alternative"]).converted(
        "ipxe_kernel",
        |text| match text.to_ascii_lowercase().as_str() {
            "default" => Ok(IpxeKernel::Default),
            "alternative" => Ok(IpxeKernel::Alternative),
            _ => Err("it must be 'default' or 'alternative'".to_owned()),
        },
    )
}

fn disk_layout(fields: &mut Fields<'_>) -> Patch<String> {
    fields.help(DISK_LAYOUT).encoded().checked("disklayout", |text| {
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
    })
}

pub(crate) fn provision_method(fields: &mut Fields<'_>) -> Patch<String> {
    fields.help("How images reach nodes: http, torrent").text("provision_method")
}

pub(crate) fn provision_fallback(fields: &mut Fields<'_>) -> Patch<String> {
    fields.help("What to try when that fails").text("provision_fallback")
}

/// Free text.
pub(crate) fn comment(fields: &mut Fields<'_>) -> Patch<String> {
    fields.help("A note").encoded().text("comment")
}

/// Options that a boot script can have: else every boot would be refused.
pub(crate) fn kernel_options(fields: &mut Fields<'_>) -> Patch<String> {
    fields.encoded().checked("kerneloptions", |text| {
        let options = perilune_plan::kernel_options(text);
        perilune_plan::check_script_text(&options)
            .map_err(|reason| format!("it cannot be put into a boot script: {reason}"))?;
        perilune_plan::check_kernel_options(&options)
    })
}

/// When nodes are installed, by either of its names. Whoever gives both, as they were shown, means `install_policy`.
pub(crate) fn install_policy(fields: &mut Fields<'_>) -> Patch<InstallPolicy> {
    let policy = fields.one_of("install_policy", &InstallPolicy::ALL, InstallPolicy::word);
    let mode = fields.words(&["auto", "full", "local", "memboot"]).converted("install_mode", |text| match text.to_ascii_lowercase().as_str() {
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

fn words(fields: &mut Fields<'_>, field: &str) -> Patch<Words> {
    match fields.list(field) {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(words) => Words::of(words).map_or(Patch::Clear, Patch::Set),
    }
}

/// What happens to unmanaged users of a BMC: `disable`, `delete`, or nothing.
pub fn unmanaged_users(fields: &mut Fields<'_>) -> Patch<UnmanagedUsers> {
    let users = fields.words(&["disable", "delete", "skip", "none"]).converted(
        "unmanaged_bmc_users",
        |text| match text.to_ascii_lowercase().as_str() {
            "disable" => Ok(Some(UnmanagedUsers::Disable)),
            "delete" => Ok(Some(UnmanagedUsers::Delete)),
            "none" | "skip" => Ok(None),
            _ => Err("it must be 'disable', 'delete', 'skip' or empty".to_owned()),
        },
    );
    match users {
        Patch::Keep => Patch::Keep,
        Patch::Clear | Patch::Set(None) => Patch::Clear,
        Patch::Set(Some(users)) => Patch::Set(users),
    }
}

/// Interfaces of a node, in a request that is about nothing else.
pub fn node_interfaces(fields: &mut Fields<'_>) -> Vec<of_node::Request> {
    interfaces(fields, node_interface)
}

/// Interfaces of a group, likewise.
pub fn group_interfaces(fields: &mut Fields<'_>) -> Vec<of_group::Request> {
    interfaces(fields, group_interface)
}

pub(crate) fn interfaces<'a, T>(fields: &mut Fields<'a>, read: fn(&mut Fields<'a>) -> T) -> Vec<T> {
    fields.ignore(&["name"]);
    fields.require("interfaces", "give a list of interfaces");
    fields.objects("interfaces", read).unwrap_or_default()
}

/// The request of a node's interface.
pub fn node_interface(fields: &mut Fields<'_>) -> of_node::Request {
    // What answers say of DHCP, and who sends an answer back sends, too.
    fields.ignore(&["comment"]);
    of_node::Request {
        interface: interface_name(fields),
        new_name: fields.new_name("newinterfacename", Name::interface),
        network: network(fields),
        ipaddress: match fields
            .help("Its IPv4 or IPv6 address (nodes only)")
            .or("ip")
            .address("ipaddress")
        {
            Patch::Keep => None,
            Patch::Set(address) => Some(address),
            Patch::Clear => {
                fields.refuse("ipaddress", "it is empty; give an address, or remove the interface");
                None
            }
        },
        macaddress: hardware_address(fields.help("Its MAC address (nodes only)")),
        dhcp: dhcp(fields),
        force: fields.flag("force"),
        link: link(fields),
    }
}

/// The hardware address of an interface.
pub(crate) fn hardware_address(fields: &mut Fields<'_>) -> Patch<MacAddress> {
    fields.or("mac").converted("macaddress", |text| {
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
        network: network(fields),
        dhcp: dhcp(fields),
        numbering: numbering(fields.help(
            "How nodes get their addresses: first, first+100, like BOOTIF, like BOOTIF+100 (groups only)",
        )),
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
    fields.require("interface", "say which interface this is about, such as BOOTIF");
    fields.new_name("interface", Name::interface).unwrap_or_default()
}

fn network(fields: &mut Fields<'_>) -> Option<Name> {
    fields
        .help("The network it is in; an address is chosen if none is given")
        .of("network")
        .new_name("network", Name::domain)
}

fn dhcp(fields: &mut Fields<'_>) -> Option<bool> {
    decided(fields.help("Ask for an address instead of having a fixed one"), "dhcp")
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
        mtu: fields.help("68 to 65535").number("mtu"),
        vlanid: fields.help("VLAN number").number("vlanid"),
        vlan_parent: fields.help("The interface that carries the VLAN").text("vlan_parent"),
        bond_mode: fields.help("balance-rr, active-backup, 802.3ad, …").text("bond_mode"),
        bond_slaves: fields.help("Interfaces of the bond, separated by commas").list("bond_slaves"),
        options: fields
            .help("Lines for the network configuration of the image")
            .encoded()
            .text("options"),
    }
}
