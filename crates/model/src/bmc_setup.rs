//! BMC setups: how the BMCs of nodes are reached.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::provisioning::UnmanagedUsers;

/// How BMCs are set up and reached.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BmcSetup {
    /// The name.
    pub name: Name,
    /// The number of the user on the BMC.
    pub userid: u32,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: String,
    /// The channel of the BMC's network.
    pub netchannel: u32,
    /// The channel that the user may use.
    pub mgmtchannel: u32,
    /// What happens to other users.
    pub unmanaged_bmc_users: Option<UnmanagedUsers>,
    /// Free text, as clients sent it.
    pub comment: Option<String>,
}

impl Default for BmcSetup {
    fn default() -> Self {
        Self {
            name: Name::default(),
            userid: 2,
            username: "luna".to_owned(),
            password: String::new(),
            netchannel: 2,
            mgmtchannel: 2,
            unmanaged_bmc_users: None,
            comment: None,
        }
    }
}

impl fmt::Debug for BmcSetup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BmcSetup")
            .field("name", &self.name)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
