//! What may be wiped.

use serde::{Deserialize, Serialize};

/// What may be wiped of a disk that the layout does not name: that it takes by default, or by size, model or bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PlanWipe))]
#[serde(rename_all = "lowercase")]
pub enum Wipe {
    /// What Perilune has installed, and disks with nothing on them.
    #[default]
    No,
    /// Also a system of a former provisioner: partitions with plain file systems and swap.
    Provisioned,
    /// Everything.
    All,
}

impl Wipe {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::No, Self::Provisioned, Self::All];

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Provisioned => "provisioned",
            Self::All => "all",
        }
    }
}
