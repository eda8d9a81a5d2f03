//! Settings of the cluster as a whole.

mod save;

use std::net::IpAddr;

pub use save::{alone, save};
use serde::{Deserialize, Serialize};

use crate::field::{Field, FieldType};
use crate::provisioning::{DEFAULT_FALLBACK, DEFAULT_METHOD, InstallPolicy, ProvisionMethod};
use crate::{Name, Patch};

/// The one key of the one object of this kind.
pub const KEY: &str = "cluster";

/// What a request gives for a field of this type.
type Given<T> = Patch<<T as FieldType>::Given>;

/// Makes the settings, what a client may ask of them, and the table of both from one list: a type, what it is in a new cluster, and what it is when a
/// client clears it, where that differs.
macro_rules! settings {
    (@ $usual:expr) => { $usual };
    (@ $usual:expr, $cleared:expr) => { $cleared };
    ($($(#[doc = $about:literal])* $(#[serde($($serde:tt)*)])? $name:ident: $type:ty = $usual:expr $(, cleared $cleared:expr)?;)*) => {
        /// Settings of the cluster as a whole.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Settings {
            /// Always [`KEY`]; the cluster's own name is `title`.
            pub name: Name,
            /// The cluster's name.
            pub title: String,
            $($(#[doc = $about])*
            $(#[serde($($serde)*)])?
            pub $name: $type,)*
            /// The generation of the configuration's user; see [`crate::user::User::generation`].
            #[serde(skip_serializing_if = "is_zero")]
            pub user_generation: u64,
        }

        /// What a client asks of the cluster's settings.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Request {
            /// The cluster's name.
            pub title: Option<Name>,
            $($(#[doc = $about])*
            pub $name: Given<$type>,)*
            /// The network of the controllers that get a new address.
            pub controller_network: Option<Name>,
            /// New addresses of controllers, by the keys that clients use for them.
            pub controllers: Vec<(String, IpAddr)>,
        }

        /// All settings but the cluster's name, in the order in which they are stored and shown.
        pub const FIELDS: &[Field<Settings>] = &[$(Field {
            name: stringify!($name),
            kind: <$type as FieldType>::KIND,
            of: |settings| settings.$name.value(),
        },)*];

        impl Default for Settings {
            fn default() -> Self {
                Self {
                    name: Name::trusted(KEY),
                    title: "mycluster".to_owned(),
                    $($name: $usual,)*
                    user_generation: 0,
                }
            }
        }

        impl Request {
            fn apply(&self, settings: &mut Settings) {
                if let Some(title) = &self.title {
                    settings.title = title.to_string();
                }
                $(settings.$name.write(&self.$name, settings!(@ $usual $(, $cleared)?));)*
            }
        }
    };
}

settings! {
    /// Free text.
    user: Option<String> = None;
    /// DNS search domains.
    domain_search: Vec<String> = Vec::new();
    /// Name servers that nodes use.
    nameserver_ip: Vec<IpAddr> = Vec::new();
    /// Name servers that the cluster's own ask.
    forwardserver_ip: Vec<IpAddr> = Vec::new();
    /// Time servers.
    ntp_server: Vec<IpAddr> = Vec::new();
    /// Whom to ask.
    technical_contacts: Option<String> = Some("root@localhost".to_owned());
    /// How nodes fetch their image, unless they or their group say otherwise.
    provision_method: Option<ProvisionMethod> = Some(DEFAULT_METHOD);
    /// What they try when that fails.
    provision_fallback: Option<ProvisionMethod> = Some(DEFAULT_FALLBACK);
    /// When nodes are installed, unless they or their group say otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    install_policy: Option<InstallPolicy> = None;
    /// More messages.
    debug: bool = false;
    /// Nodes must prove who they are with their TPM.
    security: bool = false;
    /// Machines wait while their image is being packed.
    packing_bootpause: bool = true;
    /// Unknown machines become new nodes.
    createnode_ondemand: bool = true;
    /// … named by their hardware address.
    createnode_macashost: bool = false, cleared true;
    /// Unknown machines become the next node that has no hardware address.
    nextnode_discover: bool = false;
    /// Name servers are of an old kind.
    bind_legacy: bool = false;
    /// DNSSEC is enabled (old name servers).
    dnssec_enable: Option<bool> = None;
    /// DNSSEC answers are validated.
    dnssec_validation: Option<bool> = None;
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FieldValue;

    #[test]
    fn the_table_of_fields_says_what_is_stored() {
        let stored = serde_json::to_value(Settings::default()).unwrap();
        let stored: Vec<&String> = stored.as_object().unwrap().keys().collect();
        let named = FIELDS.iter().map(|field| field.name).filter(|name| *name != "install_policy");
        assert_eq!(stored, ["name", "title"].into_iter().chain(named).collect::<Vec<_>>());
        let addresses = ["10.0.0.1", "fd00::1"].map(|address| address.parse().unwrap());
        let own = Settings { ntp_server: addresses.into(), ..Settings::default() };
        let said = |name: &str| {
            let field = FIELDS.iter().find(|field| field.name == name).unwrap();
            (field.of)(&own)
        };
        assert_eq!(said("ntp_server"), FieldValue::Text("10.0.0.1,fd00::1".to_owned()));
        assert_eq!(said("domain_search"), FieldValue::Nothing);
        assert_eq!(said("packing_bootpause"), FieldValue::Flag(true));
    }

    #[test]
    fn what_is_cleared_is_as_in_a_new_cluster_but_for_names_by_hardware_address() {
        let mut settings =
            Settings { packing_bootpause: false, debug: true, ..Settings::default() };
        let cleared = Request {
            packing_bootpause: Patch::Clear,
            debug: Patch::Clear,
            createnode_macashost: Patch::Clear,
            technical_contacts: Patch::Clear,
            ..Request::default()
        };
        cleared.apply(&mut settings);
        let expected = Settings {
            createnode_macashost: true,
            technical_contacts: None,
            ..Settings::default()
        };
        assert_eq!(settings, expected);
    }
}
