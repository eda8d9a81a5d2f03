//! The install script: all that an installer made elsewhere does on a node, as one shell script.

mod kickstart;
mod variables;

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

pub(crate) use kickstart::render as render_kickstart;

use crate::Error;
use crate::context::ControllerContext;
use crate::templates::{Choice, Composition, Templates, word};

/// Variables of `templ_install.cfg` and `templ_install_kickstart.cfg`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct InstallContext {
    #[serde(flatten)]
    pub controller: ControllerContext,
    pub node_name: String,
    /// The name with the domain of the network that the node boots from.
    pub node_hostname: String,
    pub luna_group: String,
    pub luna_osimage: String,
    /// In lower case; `redhat` when the image does not say.
    pub luna_distribution: String,
    /// `default` when the image does not say.
    pub luna_osrelease: String,
    /// Where the installer assembles the node's root; `$rootmnt` means what the initramfs says.
    pub luna_systemroot: String,
    /// The archive.
    pub luna_imagefile: String,
    /// The archive again.
    pub luna_file: String,
    /// BLAKE3 of the archive, hexadecimal, or empty.
    pub luna_checksum: String,
    /// Bytes of the archive, or empty.
    pub luna_size: String,
    pub luna_selinux_enabled: bool,
    pub luna_setupbmc: bool,
    pub luna_bmc: BmcContext,
    pub luna_unmanaged_bmc_users: String,
    /// Comma-separated.
    pub luna_roles: String,
    /// Comma-separated.
    pub luna_scripts: String,
    pub luna_interfaces: Interfaces,
    /// Base64.
    pub luna_prescript: String,
    /// Base64.
    pub luna_partscript: String,
    /// Base64.
    pub luna_postscript: String,
    pub provision_method: String,
    pub provision_fallback: String,
    pub provision_interface: String,
    pub name_server: String,
    pub domain_search: Vec<String>,
    /// A token for this node alone.
    pub luna_token: String,
}

/// How the BMC is to be set up; what is not known is absent.
#[derive(Clone, Default, Serialize)]
pub struct BmcContext {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netchannel: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mgmtchannel: Option<u32>,
    /// Address, netmask, gateway and VLAN, each also for IPv6 where there is one.
    #[serde(flatten)]
    pub addresses: BTreeMap<&'static str, String>,
}

impl std::fmt::Debug for BmcContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("BmcContext")
            .field("username", &self.username)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// The interfaces by name, in the node's order.
#[derive(Clone, Debug, Default)]
pub struct Interfaces(pub Vec<(String, InterfaceContext)>);

impl Serialize for Interfaces {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, interface) in &self.0 {
            map.serialize_entry(name, interface)?;
        }
        map.end()
    }
}

/// One entry of `LUNA_INTERFACES`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InterfaceContext {
    pub interface: String,
    pub macaddress: Option<String>,
    pub mtu: Option<u16>,
    #[serde(rename = "type")]
    pub kind: String,
    pub networktype: String,
    pub networkname: String,
    pub ipaddress: Option<String>,
    pub prefix: Option<u8>,
    pub netmask: Option<String>,
    /// `address/prefix`.
    pub network: Option<String>,
    pub ipaddress_ipv6: Option<String>,
    pub prefix_ipv6: Option<u8>,
    pub netmask_ipv6: Option<String>,
    pub network_ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nameserver_ip: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nameserver_ip_ipv6: Option<Vec<String>>,
    pub gateway_metric: String,
    pub zone: String,
    /// Base64, or empty.
    pub options: String,
    /// Only when the interface and its network have DHCP.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dhcp: bool,
    pub vlanid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan_parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond_mode: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bond_slaves: Vec<String>,
    /// Static routes through it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteContext>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes_ipv6: Vec<RouteContext>,
    /// The bond that this interface is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
}

/// A static route of an interface.
#[derive(Clone, Debug, Serialize)]
pub struct RouteContext {
    /// A range with the length of its prefix.
    pub destination: String,
    /// Empty where what it leads to is on the wire itself.
    pub gateway: String,
    /// Empty where nobody says.
    pub metric: String,
    /// The router is on the wire, though in no range of the interface.
    pub on_link: bool,
}

/// The install script of a node, a text that bash runs.
pub(crate) fn render(templates: &Templates, context: &InstallContext) -> Result<String, Error> {
    let composition = Composition::install(templates.directories(), choice(context));
    templates.render(&composition.name(), with_words(context))
}

/// Methods as parts of functions' names, as the segments define them.
fn with_words(context: &InstallContext) -> InstallContext {
    let mut context = context.clone();
    context.provision_method = word(&context.provision_method);
    context.provision_fallback = word(&context.provision_fallback);
    context
}

fn choice(context: &InstallContext) -> Choice<'_> {
    Choice {
        node: &context.node_name,
        group: &context.luna_group,
        distribution: &context.luna_distribution,
        osrelease: match context.luna_osrelease.as_str() {
            "default" => "",
            release => release,
        },
        methods: [&context.provision_method, &context.provision_fallback],
    }
}
