//! What unknown machines say at their consoles that they are. A claim changes nothing until an administrator accepts it: nobody has
//! proved anything by choosing a line of a menu.

use std::fmt;
use std::sync::Arc;

use perilune_boards::{Board, Rules, Snapshot, Update};
use perilune_model::{MacAddress, Name};

/// Machines whose claims are remembered; beyond, the one that was silent for longest is forgotten. Each asks again every few seconds.
const RULES: Rules = Rules { keys: 4096, changes: 1024 };

/// What a machine wants to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The next node of a group.
    NextOf(Name),
    /// This node.
    Node(Name),
}

impl fmt::Display for Wish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NextOf(group) => write!(formatter, "the next node of group {group}"),
            Self::Node(node) => write!(formatter, "node {node}"),
        }
    }
}

/// Claims that wait; clones share them. Not stored: a machine that waits says it again.
#[derive(Debug, Clone)]
pub struct Claims(Board<MacAddress, Wish>);

impl Claims {
    /// Without any. `life` tells the numbers of its changes from those of other lives of the daemon.
    pub fn new(life: u64) -> Self {
        Self(Board::volatile(life, RULES))
    }

    /// A machine says what it wants to be. The same again is no change.
    pub fn claim(&self, mac: MacAddress, wish: Wish) {
        self.0.update(&mac, |known| match known {
            Some(known) if **known == wish => Update::Keep,
            _ => Update::Put(wish),
        });
    }

    /// What a machine wants to be.
    pub fn of(&self, mac: MacAddress) -> Option<Arc<Wish>> {
        self.0.get(&mac)
    }

    /// A claim was decided.
    pub fn forget(&self, mac: MacAddress) {
        self.0.update(&mac, |_| Update::Remove);
    }

    /// All that wait.
    pub fn all(&self) -> Snapshot<MacAddress, Wish> {
        self.0.snapshot()
    }
}
