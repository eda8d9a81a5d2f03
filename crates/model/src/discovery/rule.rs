//! Rules by which an administrator accepts many claims in advance.

use serde::{Deserialize, Serialize};

use crate::Name;

/// Accepts claims in advance: so many, until then, of these.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimRule {
    /// What it is called.
    pub name: Name,
    /// Only claims to be a node of this group. A machine that claims nothing becomes the group's next node.
    pub group: Option<Name>,
    /// Only machines that ask from this network.
    pub network: Option<Name>,
    /// How many claims it still accepts.
    pub left: u32,
    /// Until when: milliseconds since 1970.
    pub until: u64,
}

impl ClaimRule {
    /// Whether it accepts anything now.
    pub fn is_in_force(&self, now: u64) -> bool {
        self.left > 0 && now < self.until
    }
}
