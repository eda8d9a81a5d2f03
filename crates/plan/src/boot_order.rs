//! What firmware starts first.

use serde::{Deserialize, Serialize};

/// The order of what UEFI firmware starts, as the agent sets it when a node is installed to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanBootOrder))]
#[serde(rename_all = "lowercase")]
pub enum BootOrder {
    /// All that starts from the network, then the disk.
    Network,
    /// The disk.
    Disk,
}
