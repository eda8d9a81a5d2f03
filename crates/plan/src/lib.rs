//! What a booting node is told, and what it reports. Plain types, shared by the daemon and the agent.

mod boot_order;
mod disk;
mod identity;
mod installation;
pub mod inventory;
mod progress;
mod setting;
mod text;
mod wipe;

use std::net::IpAddr;

pub use boot_order::BootOrder;
pub use disk::{Bus, Disk, DiskLayout, FileSystem, Partition, Pick, Size};
pub use identity::{HostKey, Identity, nvme_host_name};
pub use installation::Installation;
pub use progress::{LONGEST_LOG, Phase, Progress};
use serde::{Deserialize, Serialize};
pub use setting::{NotASetting, Span, check_locale, check_timezone};
pub use text::{
    LONGEST_KERNEL_ARGUMENTS, LONGEST_KERNEL_LINE, boolean, check_kernel_arguments,
    check_script_text, decode_if_encoded, ends_script_command, has_leading_zero, kernel_arguments,
    whole_number, with_restart,
};
pub use wipe::Wipe;

/// Everything that the agent needs to make a machine the node that it is described as. Scripts are plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Plan {
    /// The node's name; also its host name.
    pub node: String,
    /// Its name with the domain.
    pub hostname: String,
    /// The image.
    pub image: Image,
    /// Where the root is.
    pub root: Root,
    /// The most that a root in memory may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<Size>,
    /// The node is installed once: it starts only when the controller has heard that it is.
    #[serde(default)]
    pub once: bool,
    /// What may be wiped of disks that the layout does not name.
    #[serde(default)]
    pub wipe: Wipe,
    /// What firmware starts first from now on; left as it is when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_order: Option<BootOrder>,
    /// Run before the root is made, in this order.
    pub prescripts: Vec<Script>,
    /// Run when the image is in place, in this order; its root is `/sysroot`.
    pub postscripts: Vec<Script>,
    /// Services of the site that are installed at the end.
    pub roles: Vec<Role>,
    /// The node's interfaces, the one that it boots from included.
    pub interfaces: Vec<Interface>,
    /// The name of the interface that it boots from.
    pub boot_interface: String,
    /// Name servers.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub nameservers: Vec<IpAddr>,
    /// DNS search domains.
    pub search: Vec<String>,
    /// Arguments of the kernel, for a boot loader on the node's own disk. Agents in initramfs images that were packed before know it by this name.
    #[serde(rename = "kerneloptions")]
    pub kernel_arguments: String,
    /// Files with a content that few may read.
    pub secrets: Vec<Secret>,
    /// How the BMC is to be set up, where it is.
    pub bmc: Option<Bmc>,
    /// What the node's system is known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Seconds that each script may take.
    #[serde(default = "default_script_timeout")]
    pub script_timeout: u64,
    /// Others that `/etc/hosts` names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Host>,
    /// Time servers; none where the image is to keep its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub ntp_servers: Vec<IpAddr>,
    /// The time zone, such as `Europe/Amsterdam`; unset keeps the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The locale, such as `en_US.UTF-8`; unset keeps the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// What time it is at the controller, in seconds since 1970; 0 when it does not say.
    #[serde(default)]
    pub time: u64,
    /// Other controllers that do the same: where to go on when one is gone. The first is the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controllers: Vec<OtherController>,
}

/// A controller that does the same as the one that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanOtherController))]
pub struct OtherController {
    /// Where its API is, without a slash at the end.
    pub url: String,
    /// The SHA-256 of the certificate that it shows, in hexadecimal digits; unset where it speaks no https of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

impl OtherController {
    /// As the kernel's command line has it: `http://10.141.255.253:7050`, or `https://10.141.255.253:7050/` and the fingerprint.
    pub fn word(&self) -> String {
        match &self.certificate {
            Some(certificate) => format!("{}/{certificate}", self.url),
            None => self.url.clone(),
        }
    }

    /// Reads that.
    pub fn read(word: &str) -> Option<Self> {
        let (scheme, rest) = word.split_once("://")?;
        let (authority, certificate) = match rest.split_once('/') {
            Some((authority, certificate)) => (authority, Some(certificate.to_owned())),
            None => (rest, None),
        };
        Some(Self { url: format!("{scheme}://{authority}"), certificate })
    }
}

/// Two hours: longer than any firmware update that sites run in a script, and shorter than a night.
pub const SCRIPT_TIMEOUT: u64 = 2 * 60 * 60;

fn default_script_timeout() -> u64 {
    SCRIPT_TIMEOUT
}

/// A line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanHost))]
pub struct Host {
    /// The address.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub address: IpAddr,
    /// The names, the longest first.
    pub names: Vec<String>,
}

/// The image that is installed. Files are names below `/files/` of the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanImage))]
pub struct Image {
    /// Its name.
    pub name: String,
    /// The archive of the tree.
    pub file: String,
    /// Its torrent, where the node is to fetch it from other nodes; set only where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torrent: Option<String>,
    /// BLAKE3 of the archive, hexadecimal, when it is known.
    pub checksum: Option<String>,
    /// Bytes of the archive, when they are known.
    pub size: Option<u64>,
    /// Bytes of the tree, when they are known.
    pub unpacked_size: Option<u64>,
    /// The distribution: `redhat`, `debian`, `ubuntu`, `suse`, …; unset when nobody said.
    pub distribution: Option<String>,
    /// The kernel, for a boot loader on the node's own disk.
    pub kernel_file: String,
    /// The initramfs, likewise.
    pub initrd_file: String,
}

/// Where the root is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanRoot))]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// In memory.
    Memory,
    /// On disks that are laid out as described.
    Disk(DiskLayout),
    /// Where these scripts mount it: at `/sysroot`.
    Scripts(Vec<Script>),
}

/// A script that bash runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanScript))]
pub struct Script {
    /// What people call it, such as `prescript` or `partscript of raid1`.
    pub name: String,
    /// Plain text.
    pub text: String,
}

/// A service that a site gives to nodes by name: a script, and the systemd unit that runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanRole))]
pub struct Role {
    /// Its name, a harmless one for a file.
    pub name: String,
    /// The unit's text.
    pub unit: String,
    /// The script's text.
    pub script: String,
}

/// An interface of the node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanInterface))]
#[serde(default)]
pub struct Interface {
    /// Its name in the cluster, such as `BOOTIF` or `ib0`.
    pub name: String,
    /// Hardware address; it tells which device it is.
    pub mac: Option<String>,
    /// Addresses with prefix length, such as `10.141.0.1/16`.
    pub addresses: Vec<String>,
    /// Whether the node asks DHCP.
    pub dhcp: bool,
    /// The routers, one of each family.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub gateways: Vec<IpAddr>,
    /// How much the route through the gateways is avoided.
    pub gateway_metric: Option<u32>,
    /// The DNS domain: the network's name.
    pub domain: Option<String>,
    /// The kind of wire: `ethernet`, `infiniband`, …
    pub kind: String,
    /// Maximum transmission unit.
    pub mtu: Option<u16>,
    /// VLAN identifier.
    pub vlanid: Option<u16>,
    /// The interface that carries the VLAN.
    pub vlan_parent: Option<String>,
    /// Bonding mode.
    pub bond_mode: Option<String>,
    /// The bonded interfaces.
    pub bond_slaves: Vec<String>,
    /// Free text for the interface's configuration, plain.
    pub options: Option<String>,
    /// Static routes that lead through it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// A static route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanRoute))]
pub struct Route {
    /// Where it leads: a range with the length of its prefix, such as `10.0.0.0/8`.
    pub destination: String,
    /// The router; unset where what it leads to is on the wire itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub gateway: Option<IpAddr>,
    /// How much it is avoided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// The router is on the wire, though in no range of the interface.
    #[serde(default)]
    pub on_link: bool,
}

/// A file with a content that few may read. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanSecret))]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// Its content, base64.
    pub content: String,
    /// Where it is written.
    pub path: String,
    /// Whose it is: `user` or `user:group`, names of the image or numbers; root's when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its mode in octal digits; 600 when unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Secret")
            .field("name", &self.name)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// How a BMC is to be set up. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanBmc))]
pub struct Bmc {
    /// Its address with prefix length.
    pub address: String,
    /// Its router.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub gateway: Option<IpAddr>,
    /// VLAN identifier; unset switches it off.
    pub vlanid: Option<u16>,
    /// The channel of its network.
    pub netchannel: u32,
    /// The channel that the user may use.
    pub mgmtchannel: u32,
    /// The user's number.
    pub userid: u32,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: String,
    /// What becomes of other users: `disable` or `delete`.
    pub unmanaged_users: Option<String>,
}

impl std::fmt::Debug for Bmc {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Bmc")
            .field("address", &self.address)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A one-boot ticket, as `POST /boot/ticket/{node}` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The text of the kernel argument `perilune.ticket`.
    pub ticket: String,
    /// The public key of this boot, base64 (`perilune_seal::PublicKey`): the answer is sealed to it, and the ticket is good for no
    /// other key from then on. Unset by installers of distributions, which have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the machine's TPM measured: its register 0 for SHA-256, hexadecimal. Unset without a TPM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm_sha256: Option<String>,
}

/// What an answer that is sealed to a boot's key is for: whoever opens it names the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The token that a ticket is exchanged for.
    Token,
    /// The plan.
    Plan,
}

impl Purpose {
    /// The purpose for one node, as both sides write it.
    pub fn of(self, node: &str) -> String {
        match self {
            Self::Token => format!("perilune token of {node}"),
            Self::Plan => format!("perilune plan of {node}"),
        }
    }
}

/// The token that a ticket is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The value of the header `x-access-tokens`.
    pub token: String,
}
