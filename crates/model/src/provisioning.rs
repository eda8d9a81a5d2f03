//! What a node can say for itself or inherit from its group.

mod request;

pub use request::Request;
use serde::{Deserialize, Serialize};

use crate::Name;

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

/// What a node can say for itself or inherit from its group; `None` says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Provisioning {
    /// The image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub osimage: Option<Name>,
    /// A tag of that image: its files as they were when the tag was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub osimagetag: Option<Name>,
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
    /// Roles that are installed, comma-separated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<String>,
    /// Named scripts that run at install, comma-separated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scripts: Option<String>,
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
}
