//! What nodes and groups have alike: what requests say of it, and how answers show it.

use perilune_model::effective::Effective;
use perilune_model::plugins::Installed;
use perilune_model::provisioning::{
    BootOrder, Hosts, InstallPolicy, ProvisionMethod, Provisioning, Request, TagChoice,
    UnmanagedUsers, Wipe,
};
use perilune_model::{Name, Patch, Words};
use perilune_plan::{DiskLayout, Size, Span, check_locale, check_timezone, decode_if_encoded};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::Fields;
use crate::{kernel, route};

/// What a request says of settings. `bmcsetup` is what it calls the BMC setup.
pub(crate) fn request(fields: &mut Fields<'_>, bmcsetup: &str, installed: &Installed) -> Request {
    let request = read(fields, bmcsetup);
    let provision = [&request.provision_method, &request.provision_fallback];
    for missing in installed.missing(provision, &request.roles, &request.scripts) {
        fields.refuse(&missing.field, missing.reason);
    }
    request
}

/// The same, whatever plugins are installed.
pub fn read(fields: &mut Fields<'_>, bmcsetup: &str) -> Request {
    let request = Request {
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
        ..Request::default()
    };
    let request = kernel::request(fields, request);
    installation(fields, request)
}

/// The settings behind those of the kernel: what the installer does.
fn installation(fields: &mut Fields<'_>, request: Request) -> Request {
    Request {
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
        ..request
    }
}

const DISK_LAYOUT: &str =
    "Disks, partitions and file systems, as JSON (docs/disk-layout.md); instead of partscript";

fn image_tag(fields: &mut Fields<'_>) -> Patch<TagChoice> {
    fields.help("A tag of the image").converted("osimagetag", |text| match text {
        "default" => Ok(TagChoice::Current),
        text => Name::general(text).map(TagChoice::Named).map_err(|error| error.to_string()),
    })
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

pub(crate) fn provision_method(fields: &mut Fields<'_>) -> Patch<ProvisionMethod> {
    fields.help("How images reach nodes: http, torrent").parsed("provision_method")
}

pub(crate) fn provision_fallback(fields: &mut Fields<'_>) -> Patch<ProvisionMethod> {
    fields.help("What to try when that fails").parsed("provision_fallback")
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

/// How images reach machines, as all answers about nodes and groups show it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Provision<'a> {
    #[serde(rename = "provision_interface")]
    interface: Option<&'a str>,
    #[serde(rename = "provision_method")]
    method: Option<&'a str>,
    #[serde(rename = "provision_fallback")]
    fallback: Option<&'a str>,
}

impl<'a> Provision<'a> {
    pub(crate) fn in_effect(effective: &Effective<'a>) -> Self {
        Self {
            interface: Some(effective.provision_interface().value),
            method: effective.provision_method().value.map(ProvisionMethod::word),
            fallback: effective.provision_fallback().value.map(ProvisionMethod::word),
        }
    }

    /// What a group says, or one above it.
    pub(crate) fn said(effective: &Effective<'a>) -> Self {
        let word = |method: Option<&'a ProvisionMethod>| method.map(ProvisionMethod::word);
        Self {
            interface: effective.said(|own| own.provision_interface.as_deref()),
            method: word(effective.said(|own| own.provision_method.as_ref())),
            fallback: word(effective.said(|own| own.provision_fallback.as_ref())),
        }
    }
}

/// Where two of these come from; the interface stands elsewhere in answers about nodes than in those about groups.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProvisionSources {
    #[serde(rename = "_provision_method_source")]
    method: &'static str,
    #[serde(rename = "_provision_fallback_source")]
    fallback: &'static str,
}

impl ProvisionSources {
    pub(crate) fn of(effective: &Effective<'_>) -> Self {
        Self {
            method: effective.provision_method().source.word(),
            fallback: effective.provision_fallback().source.word(),
        }
    }
}

/// Whether a group says anything that existing clients count as its own: in lists and alone the same.
pub(crate) fn overrides(own: &Provisioning) -> bool {
    let said = [
        own.provision_interface.is_some(),
        own.provision_method.is_some(),
        own.provision_fallback.is_some(),
        own.kernel_arguments().is_some(),
        own.ipxe_kernel.is_some(),
        own.osimagetag.is_some(),
        own.install_policy.is_some(),
        own.bootmenu.is_some(),
        own.unmanaged_bmc_users.is_some(),
        !own.routes.is_empty(),
    ];
    said.contains(&true)
}

/// How machines are installed, as all answers about nodes and groups show it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Installation<'a> {
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
}

impl<'a> Installation<'a> {
    /// What is in effect; `none` stands for a script that nobody gave.
    pub(crate) fn in_effect(effective: &Effective<'a>, none: &'a str) -> Self {
        Self {
            prescript: Some(effective.prescript().value.unwrap_or(none)),
            partscript: Some(effective.partscript().value.unwrap_or(none)),
            postscript: Some(effective.postscript().value.unwrap_or(none)),
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
        }
    }

    /// What a group says, or one above it.
    pub(crate) fn said(effective: &Effective<'a>) -> Self {
        Self {
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
        }
    }
}

/// Where each of these comes from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstallationSources {
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
}

impl InstallationSources {
    pub(crate) fn of(effective: &Effective<'_>) -> Self {
        Self {
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
        }
    }
}
