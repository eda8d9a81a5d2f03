//! Settings of the cluster as a whole.

mod save;

use std::net::IpAddr;

pub use save::{Request, alone, save};

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::provisioning::{DEFAULT_FALLBACK, DEFAULT_METHOD, InstallPolicy, ProvisionMethod};

/// The one key of the one object of this kind.
pub const KEY: &str = "cluster";

/// Settings of the cluster as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "the API has this many independent switches")]
pub struct Settings {
    /// Always [`KEY`]; the cluster's own name is `title`.
    pub name: Name,
    /// The cluster's name.
    pub title: String,
    /// Free text.
    pub user: Option<String>,
    /// DNS search domains.
    pub domain_search: Vec<String>,
    /// Name servers that nodes use.
    pub nameserver_ip: Vec<IpAddr>,
    /// Name servers that the cluster's own ask.
    pub forwardserver_ip: Vec<IpAddr>,
    /// Time servers.
    pub ntp_server: Vec<IpAddr>,
    /// Whom to ask.
    pub technical_contacts: Option<String>,
    /// How nodes fetch their image, unless they or their group say otherwise.
    pub provision_method: Option<ProvisionMethod>,
    /// What they try when that fails.
    pub provision_fallback: Option<ProvisionMethod>,
    /// When nodes are installed, unless they or their group say otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install_policy: Option<InstallPolicy>,
    /// More messages.
    pub debug: bool,
    /// Nodes must prove who they are with their TPM.
    pub security: bool,
    /// Machines wait while their image is being packed.
    pub packing_bootpause: bool,
    /// Unknown machines become new nodes.
    pub createnode_ondemand: bool,
    /// … named by their hardware address.
    pub createnode_macashost: bool,
    /// Unknown machines become the next node that has no hardware address.
    pub nextnode_discover: bool,
    /// Name servers are of an old kind.
    pub bind_legacy: bool,
    /// DNSSEC is enabled (old name servers).
    pub dnssec_enable: Option<bool>,
    /// DNSSEC answers are validated.
    pub dnssec_validation: Option<bool>,
    /// The generation of the configuration's user; see [`crate::user::User::generation`].
    #[serde(skip_serializing_if = "is_zero")]
    pub user_generation: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: Name::trusted(KEY),
            title: "mycluster".to_owned(),
            user: None,
            domain_search: Vec::new(),
            nameserver_ip: Vec::new(),
            forwardserver_ip: Vec::new(),
            ntp_server: Vec::new(),
            technical_contacts: Some("root@localhost".to_owned()),
            provision_method: Some(DEFAULT_METHOD),
            provision_fallback: Some(DEFAULT_FALLBACK),
            install_policy: None,
            debug: false,
            security: false,
            packing_bootpause: true,
            createnode_ondemand: true,
            createnode_macashost: false,
            nextnode_discover: false,
            bind_legacy: false,
            dnssec_enable: None,
            dnssec_validation: None,
            user_generation: 0,
        }
    }
}
