//! BMC setups: how the BMCs of nodes are reached.

mod save;

use std::fmt;
use std::sync::Arc;

pub use save::{Request, clone, save};
use serde::{Deserialize, Serialize};

use crate::effective::Effective;
use crate::node::Node;
use crate::provisioning::UnmanagedUsers;
use crate::{Cluster, Error, Name};

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

/// The nodes whose BMCs are set up so, in name order: those that name it, and those of its groups that name no other.
pub fn members(cluster: &Cluster, setup: &str) -> Result<Vec<Name>, Error> {
    cluster.bmc_setup(setup)?;
    let uses = |node: &&Arc<Node>| {
        Effective::of_node(cluster, node).bmcsetup().value.is_some_and(|name| *name == setup)
    };
    Ok(cluster.nodes().values().filter(uses).map(|node| node.name.clone()).collect())
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
