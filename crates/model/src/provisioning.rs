//! What a node can say for itself or inherit from its group.

mod install;
mod method;
mod own;
mod request;
mod value;

pub use install::{BootOrder, Hosts, InstallPolicy, Wipe};
pub use method::{DEFAULT_FALLBACK, DEFAULT_METHOD, NotAMethod, ProvisionMethod};
pub use own::Own;
use serde::{Deserialize, Serialize};
use value::SettingType;
pub use value::SettingValue;

use crate::{Name, Patch, Words};

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

/// A setting that a node can have itself or inherit from its group.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the model and in the API.
    pub name: &'static str,
    /// What is said about it.
    pub of: for<'a> fn(&'a Provisioning) -> Option<SettingValue<'a>>,
}

/// Makes the settings, what a client may ask of them, and the table of both from one list.
macro_rules! settings {
    ($($(#[$about:meta])* $name:ident: $type:ty;)*) => {
        /// What a node can say for itself or inherit from its group; `None` says nothing.
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Provisioning {
            $($(#[$about])*
            #[serde(skip_serializing_if = "Option::is_none")]
            pub $name: Option<$type>,)*
            /// Static routes; none says nothing.
            #[serde(skip_serializing_if = "Vec::is_empty")]
            pub routes: Vec<Name>,
        }

        /// What a client asks.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Request {
            $($(#[$about])*
            pub $name: Patch<$type>,)*
            /// Static routes, all of them.
            pub routes: Patch<Vec<Name>>,
        }

        /// All settings but the routes, in the order in which they are stored and shown.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            name: stringify!($name),
            of: |own| own.$name.as_ref().map(SettingType::value),
        },)*];

        impl Request {
            /// Writes every setting by itself.
            fn apply_each(&self, own: &mut Provisioning) {
                $(self.$name.apply(&mut own.$name);)*
                self.routes.apply_or(&mut own.routes, Vec::new());
            }
        }
    };
}

settings! {
    /// The image; given, it resets the tag.
    osimage: Name;
    /// Which files of the image. Beside an image of its own, a node that says nothing boots the files of now: a group's tag is for
    /// those that have the group's image.
    osimagetag: TagChoice;
    /// The BMC setup.
    bmcsetup: Name;
    /// Whether the BMC is set up at each install.
    setupbmc: bool;
    /// Whether the node is installed at each boot; else it boots from its disk.
    netboot: bool;
    /// Whether the boot menu is shown.
    bootmenu: bool;
    /// Roles that are installed.
    roles: Words;
    /// Named scripts that run at install.
    scripts: Words;
    /// The interface that the node boots from.
    provision_interface: String;
    /// How the image is fetched.
    provision_method: ProvisionMethod;
    /// How it is fetched when that fails.
    provision_fallback: ProvisionMethod;
    /// Options of the kernel, as clients sent them (base64 by convention).
    kerneloptions: String;
    /// Which boot program UEFI machines get.
    ipxe_kernel: IpxeKernel;
    /// What happens to unmanaged users of the BMC.
    unmanaged_bmc_users: UnmanagedUsers;
    /// Runs before the disks are laid out (base64 by convention, like the next two).
    prescript: String;
    /// Lays out the disks, or mounts a RAM root.
    partscript: String;
    /// Runs when the root is in place.
    postscript: String;
    /// A declarative disk layout, JSON; takes the place of `partscript` where the installer knows it.
    disklayout: String;
    /// What of the image the node gets, as clients sent it (base64 by convention). Kept for them; nothing goes by it.
    osimage_filter: String;
    /// When the node is installed.
    install_policy: InstallPolicy;
    /// What may be wiped of disks that nobody named.
    wipe: Wipe;
    /// What firmware starts first.
    boot_order: BootOrder;
    /// The most that a root in memory may take, such as `8G`.
    memory_limit: String;
    /// How long each script of an installation may take, such as `2h`.
    script_timeout: String;
    /// Whom `/etc/hosts` of the node names.
    hosts: Hosts;
    /// The time zone, such as `Europe/Amsterdam`.
    timezone: String;
    /// The locale, such as `en_US.UTF-8`.
    locale: String;
}

/// The scripts of an installation, in the order of [`Provisioning::scripts_mut`].
pub const SCRIPTS: [&str; 3] = ["prescript", "partscript", "postscript"];
/// The setting with arguments of the kernel. Images and their tags call it the same.
pub const KERNEL_ARGUMENTS: &str = "kerneloptions";

impl Provisioning {
    /// The scripts of an installation.
    pub fn scripts_mut(&mut self) -> [&mut Option<String>; 3] {
        [&mut self.prescript, &mut self.partscript, &mut self.postscript]
    }

    /// Arguments of the kernel, as clients sent them.
    pub fn kernel_arguments(&self) -> Option<&str> {
        self.kerneloptions.as_deref()
    }

    /// The same, to be changed.
    pub fn kernel_arguments_mut(&mut self) -> &mut Option<String> {
        &mut self.kerneloptions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_settings_says_what_is_stored() {
        let own = Provisioning {
            osimagetag: Some(TagChoice::Current),
            netboot: Some(false),
            roles: Words::of(["a", "b"]),
            wipe: Some(Wipe::No),
            locale: Some("C".to_owned()),
            ..Provisioning::default()
        };
        let said = SETTINGS.iter().filter_map(|setting| Some((setting.name, (setting.of)(&own)?)));
        let said: Vec<(&str, String)> =
            said.map(|(name, value)| (name, value.to_string())).collect();
        let expected = [
            ("osimagetag", "default"),
            ("netboot", "false"),
            ("roles", "a,b"),
            ("wipe", "no"),
            ("locale", "C"),
        ];
        assert_eq!(said, expected.map(|(name, text)| (name, text.to_owned())));
        let stored = serde_json::to_value(&own).unwrap();
        let stored: Vec<&String> = stored.as_object().unwrap().keys().collect();
        assert_eq!(stored, said.iter().map(|(name, _)| name).collect::<Vec<_>>());
    }
}
