//! The variables of boot scripts. Names in capitals are those that sites' templates know; each is described in
//! docs/templates.md.

use std::net::IpAddr;

use minijinja::Value;
use perilune_model::provisioning::KERNEL_ARGUMENTS;
use serde::{Serialize, Serializer};

use crate::environment::Environment;

/// Variables of every template: where the controller is. What `webserver_…` is depends on who reads it: firmware and iPXE
/// ([`ControllerContext::for_firmware`]) know no certificate of a site.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct ControllerContext {
    pub luna_controller: String,
    pub luna_controllers: Vec<String>,
    pub luna_beacon: String,
    pub luna_loghost: String,
    pub luna_api_port: u16,
    pub luna_api_protocol: String,
    pub luna_api_url: String,
    pub verify_certificate: String,
    pub webserver_port: u16,
    pub webserver_protocol: String,
    pub webserver_url: String,
    /// What `curl --pinnedpubkey` takes for the API's server; empty where nothing is known of its key.
    pub luna_api_public_key: String,
}

impl ControllerContext {
    /// As scripts for firmware and iPXE have it.
    pub fn for_firmware(environment: &Environment) -> Self {
        let (protocol, port) = environment.firmware_files;
        Self {
            webserver_port: port,
            webserver_protocol: protocol.to_string(),
            webserver_url: environment.firmware_files_url(),
            ..Self::from(environment)
        }
    }
}

impl From<&Environment> for ControllerContext {
    fn from(environment: &Environment) -> Self {
        Self {
            luna_controller: environment.controller.to_string(),
            luna_controllers: environment.controllers.iter().map(IpAddr::to_string).collect(),
            luna_beacon: environment.beacon.to_string(),
            luna_loghost: environment.beacon.to_string(),
            luna_api_port: environment.api_port,
            luna_api_protocol: environment.api_protocol.to_string(),
            luna_api_url: environment.api_url(),
            verify_certificate: environment.verify_certificate.clone(),
            webserver_port: environment.web_port,
            webserver_protocol: environment.web_protocol.to_string(),
            webserver_url: environment.web_url(),
            luna_api_public_key: environment
                .public_key
                .as_ref()
                .map_or_else(String::new, |key| format!("sha256//{key}")),
        }
    }
}

/// Variables of the boot menu (`templ_boot_ipxe.cfg`, `templ_boot_ipxe_short.cfg`, `templ_boot_disk.cfg`).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct MenuContext {
    #[serde(flatten)]
    pub controller: ControllerContext,
    /// Every node once.
    pub nodes: Value,
    /// Nodes that no machine is, so far.
    pub available_nodes: Value,
    /// Groups whose nodes can boot.
    pub groups: Value,
}

/// Variables of `templ_boot_failed.cfg`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) struct FailedContext {
    #[serde(flatten)]
    pub controller: ControllerContext,
    /// What is wrong, one line.
    pub message: String,
    /// What to do about it, line by line.
    pub hints: Vec<String>,
    /// What is asked for next.
    pub path: String,
}

/// Variables of a node's boot script (`templ_nodeboot.cfg`, `templ_nodeboot_kickstart.cfg`, `templ_boot_disk.cfg`).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub struct NodeContext {
    #[serde(flatten)]
    pub controller: ControllerContext,
    pub node_name: String,
    pub node_hostname: String,
    pub node_mac_address: String,
    /// `address/prefix`, or `dhcp`.
    pub node_ipaddress: String,
    /// The router, or empty.
    pub network_gateway: String,
    /// 1: the node stays in its installer.
    pub node_service: u8,
    /// The file's name as part of a URL.
    pub osimage_kernelfile: String,
    /// The file's name as part of a URL.
    pub osimage_initrdfile: String,
    #[serde(flatten)]
    pub kernel_arguments: KernelArguments,
    pub luna_group: String,
    pub luna_osimage: String,
    /// Where the node starts from by itself, `perilune:FILESYSTEM:FILE`; empty when that is not known.
    pub node_disk: String,
}

/// Arguments of the kernel on one line: first those of the boot, with the node's ticket and the time, then those of the site. As a variable it is
/// named after the setting, as `OSIMAGE_` and its name in capitals.
#[derive(Clone, Debug, Default)]
pub struct KernelArguments(pub String);

impl Serialize for KernelArguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let variable = format!("OSIMAGE_{}", KERNEL_ARGUMENTS.to_uppercase());
        serializer.collect_map([(variable, &self.0)])
    }
}
