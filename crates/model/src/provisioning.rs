//! What a node can say for itself or inherit from its group.

mod install;
mod own;
mod request;

pub use install::{BootOrder, Hosts, InstallPolicy, Wipe};
pub use own::Own;
pub use request::Request;
use serde::{Deserialize, Serialize};

use crate::{Name, Words};

/// Which boot program UEFI machines get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpxeKernel {
    /// iPXE with its own network drivers.
    Default,
    /// iPXE that uses the firmware's network driver.
    Alternative,
}

impl IpxeKernel {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Alternative => "alternative",
        }
    }
}

/// What happens to users of a BMC that the setup does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnmanagedUsers {
    /// They can no longer log in.
    Disable,
    /// They go.
    Delete,
}

impl UnmanagedUsers {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Delete => "delete",
        }
    }
}

/// Which files of its image a node boots. Stored as one word, in which `default` stands for the files of now; no tag has that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Name", into = "Name")]
pub enum TagChoice {
    /// The image's files of now, whatever the group says.
    Current,
    /// Those that a tag of the image keeps.
    Named(Name),
}

/// What clients are shown, and send, where no tag is chosen.
const CURRENT: &str = "default";

impl TagChoice {
    /// The word of the API: the tag's name, or `default`.
    pub fn word(&self) -> &str {
        self.named().map_or(CURRENT, Name::as_str)
    }

    /// The tag.
    pub fn named(&self) -> Option<&Name> {
        match self {
            Self::Current => None,
            Self::Named(tag) => Some(tag),
        }
    }
}

impl From<Name> for TagChoice {
    fn from(name: Name) -> Self {
        if name == CURRENT { Self::Current } else { Self::Named(name) }
    }
}

impl From<TagChoice> for Name {
    fn from(choice: TagChoice) -> Self {
        match choice {
            TagChoice::Current => Self::trusted(CURRENT),
            TagChoice::Named(tag) => tag,
        }
    }
}

/// What a node can say for itself or inherit from its group; `None` says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Provisioning {
    /// The image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub osimage: Option<Name>,
    /// Which files of the image. Beside an image of its own, a node that says nothing boots the files of now: a group's tag is for
    /// those that have the group's image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub osimagetag: Option<TagChoice>,
    /// The BMC setup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bmcsetup: Option<Name>,
    /// Whether the BMC is set up at each install.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setupbmc: Option<bool>,
    /// Whether the node is installed at each boot; else it boots from its disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netboot: Option<bool>,
    /// Whether the boot menu is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootmenu: Option<bool>,
    /// Roles that are installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Words>,
    /// Named scripts that run at install.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scripts: Option<Words>,
    /// The interface that the node boots from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provision_interface: Option<String>,
    /// How the image is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provision_method: Option<String>,
    /// How it is fetched when that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provision_fallback: Option<String>,
    /// Options of the kernel, as clients sent them (base64 by convention).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kerneloptions: Option<String>,
    /// Which boot program UEFI machines get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipxe_kernel: Option<IpxeKernel>,
    /// What happens to unmanaged users of the BMC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmanaged_bmc_users: Option<UnmanagedUsers>,
    /// Runs before the disks are laid out (base64 by convention, like the next two).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prescript: Option<String>,
    /// Lays out the disks, or mounts a RAM root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partscript: Option<String>,
    /// Runs when the root is in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postscript: Option<String>,
    /// A declarative disk layout, JSON; takes the place of `partscript` where the installer knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disklayout: Option<String>,
    /// What of the image the node gets, as clients sent it (base64 by convention). Kept for them; nothing goes by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub osimage_filter: Option<String>,
    /// When the node is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install_policy: Option<InstallPolicy>,
    /// What may be wiped of disks that nobody named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wipe: Option<Wipe>,
    /// What firmware starts first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_order: Option<BootOrder>,
    /// The most that a root in memory may take, such as `8G`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<String>,
    /// How long each script of an installation may take, such as `2h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_timeout: Option<String>,
    /// Whom `/etc/hosts` of the node names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Hosts>,
    /// The time zone, such as `Europe/Amsterdam`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The locale, such as `en_US.UTF-8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Static routes; none says nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Name>,
}
