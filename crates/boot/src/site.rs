//! What machines ask for, answered from the published cluster.

use std::net::IpAddr;

use perilune_model::effective::Effective;
use perilune_model::interface::Interface;
use perilune_model::network::Network;
use perilune_model::node::Node;
use perilune_model::provisioning::InstallPolicy;
use perilune_model::{Cluster, Family, MacAddress, Name};
use perilune_plan::{Installation, OtherController, Plan};

use crate::context::{ControllerContext, KernelArguments, MenuContext, NodeContext};
use crate::environment::Environment;
use crate::install::{self, InstallContext};
use crate::lists;
use crate::resolved::Resolved;
use crate::templates::{Templates, percent_encode};
use crate::{Error, ipxe, plan};

/// As many other controllers as a kernel is told of.
const OTHERS: usize = 3;

/// Everything that a script is made from.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    pub templates: &'a Templates,
    pub environment: &'a Environment,
    pub cluster: &'a Cluster,
}

/// A machine that is a node.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    pub mac: MacAddress,
    pub node: &'a Node,
    /// The interface that has the hardware address.
    pub interface: &'a Interface,
}

/// The script of a machine that is a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeScript {
    pub text: String,
    pub node: Name,
    /// Unset when the node boots from its disk.
    pub image: Option<Name>,
}

/// What is known of a node's own disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnDisk<'a> {
    /// Where it starts from, when it was installed on a disk.
    pub start: Option<&'a Installation>,
    /// Somebody wants it to be installed anew.
    pub reinstall: bool,
}

impl OnDisk<'_> {
    /// Whether the node is installed at this boot; else it starts from its disk.
    fn is_installed_now(&self, effective: &Effective<'_>) -> bool {
        let policy = match effective.install_policy().value {
            Some(InstallPolicy::Never) => false,
            Some(InstallPolicy::Once) => self.start.is_none() || self.reinstall,
            Some(InstallPolicy::Always | InstallPolicy::Memory) | None => true,
        };
        effective.netboot().value && policy
    }

    /// What iPXE hands on to the program that starts the disk: `perilune:FILESYSTEM:FILE`, or nothing.
    fn told(&self) -> String {
        let start = self.start.and_then(Installation::start);
        start.map(|(filesystem, file)| format!("perilune:{filesystem}:{file}")).unwrap_or_default()
    }
}

impl<'a> Site<'a> {
    /// The boot menu: `GET /boot`.
    pub fn menu(&self) -> Result<String, Error> {
        ipxe::menu(self.templates, &self.menu_context()).map(|text| self.at_own_port(&text))
    }

    /// The menu of few words: `GET /boot/short`.
    pub fn short_menu(&self) -> Result<String, Error> {
        ipxe::short_menu(self.templates, &self.menu_context()).map(|text| self.at_own_port(&text))
    }

    /// On from the machine's own disk: `GET /boot/disk`.
    pub fn disk_script(&self) -> Result<String, Error> {
        ipxe::disk_script(self.templates, self.environment).map(|text| self.at_own_port(&text))
    }

    /// Past the menu to the machine's own script, for an answer to `GET /boot`.
    pub fn direct_script(&self, mac: MacAddress) -> String {
        let text = ipxe::direct_script(self.environment, &mac.to_string());
        ipxe::asking_others(text, self.environment)
    }

    /// The hardware address to send straight to its script: that of the node which has the asker's address, unless
    /// the node wants the menu.
    pub fn past_the_menu(&self, asker: IpAddr) -> Option<MacAddress> {
        let node = self.cluster.node_by_address(asker)?;
        let effective = Resolved::of(self.cluster, node).effective;
        let has_address = |interface: &&Interface| interface.addresses.iter().any(|a| a == asker);
        let interface = node.interfaces.iter().find(has_address)?;
        if effective.bootmenu().value { None } else { interface.macaddress }
    }

    /// What a machine is told that cannot boot now. It asks again by itself, beginning at `/boot`.
    pub fn failed_script(&self, failure: &Error) -> String {
        let text = ipxe::failed_script(self.templates, self.environment, failure, "/boot");
        self.at_own_port(&text)
    }

    fn at_own_port(&self, script: &str) -> String {
        ipxe::asking_others(ipxe::at_own_port(script, self.environment), self.environment)
    }

    /// What a machine is told that waits for an administrator; it asks again by itself, at `path`.
    pub fn waiting_script(&self, waiting: &Error, path: &str) -> String {
        let text = ipxe::failed_script(self.templates, self.environment, waiting, path);
        self.at_own_port(&text)
    }

    /// What a machine is told that asks too often, or whose neighbours do: it waits, and asks the same again.
    pub fn busy_script(&self, asked: &str, seconds: u64) -> String {
        self.at_own_port(&ipxe::busy_script(self.environment, asked, seconds))
    }

    /// What a node's machine is told whose boot the controller has not seen: it asks for an address once more, and then for its script.
    pub fn ask_again_script(&self, node: &Name, mac: MacAddress, again: u8) -> String {
        let text = ipxe::ask_again_script(self.environment, node.as_str(), &mac.to_string(), again);
        ipxe::asking_others(text, self.environment)
    }

    /// The node that has this hardware address, or what its machine is told.
    pub fn machine(&self, mac: MacAddress) -> Result<Machine<'a>, Error> {
        let unknown = || match self.cluster.reservation_by_mac(mac) {
            None => Error::UnknownMachine { mac: mac.to_string() },
            Some(kept) => Error::ReservedMachine {
                mac: mac.to_string(),
                name: kept.name.to_string(),
                reason: kept.reason.clone(),
            },
        };
        let (node, interface) = self.cluster.node_by_mac(mac).ok_or_else(unknown)?;
        Ok(Machine { mac, node, interface })
    }

    /// The script of a node's machine: `GET /boot/search/mac/{mac}`. The ticket proves to the controller, once the node's kernel runs, that
    /// this boot was served. `on_disk` is what is known of the node's disk.
    pub fn node_script(
        &self,
        machine: &Machine<'a>,
        ticket: &str,
        on_disk: OnDisk<'_>,
    ) -> Result<NodeScript, Error> {
        let Machine { mac, node, interface } = *machine;
        let resolved = Resolved::of(self.cluster, node);
        let effective = resolved.effective;
        let network = resolved.network(interface)?;
        let boot = Boot { resolved, interface, network, mac };
        let (text, image) = if !on_disk.is_installed_now(&effective) {
            let context = self.context_without_files(&boot)?;
            let context = NodeContext { node_disk: on_disk.told(), ..context };
            (ipxe::disk_node_script(self.templates, &context)?, None)
        } else if effective.is_kickstart() {
            plan::refuse_layout(
                &resolved,
                "its image is installed by kickstart: take the disklayout away, and write commands of kickstart as the partscript",
            )?;
            // Its installer knows nothing of tickets: it has the ticket in the URL that it is given.
            let context = self.node_context(&boot, "")?;
            let script = ipxe::kickstart_node_script(self.templates, &context, ticket)?;
            (script, effective.image())
        } else {
            let context = self.node_context(&boot, ticket)?;
            let script = ipxe::node_script(self.templates, &context)?;
            let is_too_long = ipxe::check_kernel_lines(node.name.as_str(), &script).is_err();
            if is_too_long && !self.environment.others.is_empty() {
                // The plan names them as well.
                let environment = Environment { others: Vec::new(), ..self.environment.clone() };
                let alone = Site { environment: &environment, ..*self };
                return alone.node_script(machine, ticket, on_disk);
            }
            (script, effective.image())
        };
        ipxe::check_kernel_lines(node.name.as_str(), &text)?;
        Ok(NodeScript {
            text: self.at_own_port(&text),
            node: node.name.clone(),
            image: image.map(|image| image.name.clone()),
        })
    }

    /// The install script: `GET /boot/install/{node}`. The token is one for this node alone.
    pub fn install_script(&self, node: &str, token: &str) -> Result<String, Error> {
        let resolved = Resolved::named(self.cluster, node)?;
        plan::refuse_layout(
            &resolved,
            "its image was packed elsewhere: pack it here with perilune osimage pack",
        )?;
        install::render(self.templates, &self.install_context(node, token)?)
    }

    /// The plan for our own installer: `GET /boot/plan/{node}`.
    pub fn plan(&self, node: &str) -> Result<Plan, Error> {
        plan::of(self.templates, self.environment, self.cluster, node)
    }

    /// What the distribution's own installer reads: `GET /kickstart/install/{node}`.
    pub fn kickstart_file(&self, node: &str, token: &str) -> Result<String, Error> {
        install::render_kickstart(self.templates, &self.install_context(node, token)?)
    }

    /// The variables of the install script.
    pub fn install_context(&self, node: &str, token: &str) -> Result<InstallContext, Error> {
        let resolved = Resolved::named(self.cluster, node)?;
        InstallContext::of(&resolved, self.environment, token)
    }

    /// The variables of the boot menu.
    pub fn menu_context(&self) -> MenuContext {
        MenuContext {
            controller: ControllerContext::for_firmware(self.environment),
            nodes: lists::nodes(self.cluster),
            available_nodes: lists::available_nodes(self.cluster),
            groups: lists::groups(self.cluster),
        }
    }

    fn node_context(&self, boot: &Boot<'a>, ticket: &str) -> Result<NodeContext, Error> {
        let resolved = &boot.resolved;
        // Our words first: were the line too long, its end would be cut off.
        let mut options = String::new();
        if boot.uses_dhcp() {
            options.push_str("luna.bootproto=dhcp ");
        }
        if !ticket.is_empty() {
            options.push_str("perilune.ticket=");
            options.push_str(ticket);
            options.push(' ');
        }
        if let Some(certificate) = &self.environment.certificate {
            options.push_str("perilune.certificate=");
            options.push_str(certificate);
            options.push(' ');
        }
        if self.environment.time > 0 {
            // A clock that has stopped makes every certificate one that is not valid yet.
            options.push_str("perilune.time=");
            options.push_str(&self.environment.time.to_string());
            options.push(' ');
        }
        let is_ours = !resolved.effective.is_kickstart();
        let others = self.others();
        if is_ours && !others.is_empty() {
            options.push_str("perilune.others=");
            options.push_str(&others);
            options.push(' ');
        }
        let own = resolved.kernel_arguments();
        options.push_str(&if is_ours { perilune_plan::with_restart(&own) } else { own });
        Ok(NodeContext {
            osimage_kernelfile: percent_encode(resolved.file(|files| &files.kernelfile)?),
            osimage_initrdfile: percent_encode(resolved.file(|files| &files.initrdfile)?),
            kernel_arguments: KernelArguments(options.trim().to_owned()),
            ..self.context_without_files(boot)?
        })
    }

    /// Where the node's installer goes on when the controller is gone, before it has its plan: a few, since the kernel's line has an end.
    fn others(&self) -> String {
        let others = self.environment.others.iter().take(OTHERS);
        others.map(OtherController::word).collect::<Vec<_>>().join(",")
    }

    fn context_without_files(&self, boot: &Boot<'a>) -> Result<NodeContext, Error> {
        let resolved = &boot.resolved;
        let name = resolved.node.name.to_string();
        let image = resolved.effective.image().map(|image| image.name.to_string());
        Ok(NodeContext {
            controller: ControllerContext::for_firmware(self.environment),
            node_hostname: name.clone(),
            node_name: name,
            node_mac_address: boot.mac.to_string(),
            node_ipaddress: boot.address(self.environment.controller)?,
            network_gateway: boot.gateway(self.environment.controller),
            node_service: u8::from(resolved.node.service),
            osimage_kernelfile: String::new(),
            osimage_initrdfile: String::new(),
            kernel_arguments: KernelArguments::default(),
            luna_group: resolved.node.group.to_string(),
            luna_osimage: image.unwrap_or_default(),
            node_disk: String::new(),
        })
    }
}

/// A node that boots by one of its interfaces.
struct Boot<'a> {
    resolved: Resolved<'a>,
    interface: &'a Interface,
    network: &'a Network,
    mac: MacAddress,
}

impl Boot<'_> {
    fn uses_dhcp(&self) -> bool {
        self.resolved.uses_dhcp(self.interface)
    }

    /// The family by which the machine goes to the controller, of those in which it has an address.
    fn family(&self, controller: IpAddr) -> Option<Family> {
        let wanted = Family::of(controller);
        let is_had = |family: &Family| {
            let address = self.interface.addresses.get(*family);
            address.is_some() && self.network.range(*family).is_some()
        };
        let mut families = [wanted].into_iter().chain(Family::BOTH);
        families.find(is_had)
    }

    fn address(&self, controller: IpAddr) -> Result<String, Error> {
        let (interface, network) = (&self.interface.name, &self.network.name);
        let incomplete = |lack: String| Error::incomplete(self.resolved.name(), lack);
        if self.uses_dhcp() {
            // The installer asks by IPv4.
            let lack = format!(
                "its interface '{interface}' is to get its address by DHCP in the network '{network}', which has IPv6 alone; give it an address there"
            );
            return self.network.ipv4.map(|_| "dhcp".to_owned()).ok_or_else(|| incomplete(lack));
        }
        let family = self.family(controller);
        let found = family.and_then(|family| {
            let range = self.network.range(family)?;
            Some((self.interface.addresses.get(family)?, range.prefix_len()))
        });
        found.map(|(address, length)| format!("{address}/{length}")).ok_or_else(|| {
            incomplete(format!(
                "its interface '{interface}' has no address; the network '{network}' may be full"
            ))
        })
    }

    /// The router of the address's family, or nothing.
    fn gateway(&self, controller: IpAddr) -> String {
        let gateway = match self.family(controller) {
            Some(Family::V6) => self.network.gateway_ipv6.map(IpAddr::V6),
            _ => self.network.gateway.map(IpAddr::V4),
        };
        gateway.map(|gateway| gateway.to_string()).unwrap_or_default()
    }
}
