//! When API tokens were last used, so that those which nobody uses are seen.

use std::net::IpAddr;

use perilune_boards::{Board, Durability, Rules, Snapshot, Unreadable, Update, Writer};
use perilune_model::Name;
use perilune_store::{Store, Table};
use serde::{Deserialize, Serialize};

/// Tokens whose use is remembered: as many as there may be, and some that are gone.
const RULES: Rules = Rules { keys: 2000, changes: 64 };
/// A use within this time after the last one is not noted: milliseconds.
const SAME: u64 = 60_000;

/// The last use of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// When, to the minute: milliseconds since 1970.
    pub at: u64,
    /// From where.
    pub from: IpAddr,
    /// When the token was made that was used; one of the same name may have been made since.
    pub made: u64,
}

/// The last uses; clones share them. Stored within half a second.
#[derive(Debug, Clone)]
pub struct TokenUses(Board<Name, Use>);

impl TokenUses {
    /// Those of before, what stores new ones, and what could not be read.
    pub async fn open(
        store: &Store,
    ) -> Result<(Self, Writer<Name, Use>, Vec<Unreadable>), perilune_store::Error> {
        let key = |text: &str| Some(Name::trusted(text));
        let opened = Board::open(store, Table::TokenUses, key, Durability::Behind, RULES).await?;
        let (board, writer, unreadable) = opened;
        Ok((Self(board), writer, unreadable))
    }

    /// A token was used.
    pub fn used(&self, token: &Name, using: Use) {
        let is_known = |known: &Use| {
            let is_same = known.from == using.from && known.made == using.made;
            is_same && using.at.saturating_sub(known.at) < SAME && using.at >= known.at
        };
        if !self.0.get(token).is_some_and(|known| is_known(&known)) {
            self.0.update(token, |_| Update::Put(using));
        }
    }

    /// All last uses.
    pub fn all(&self) -> Snapshot<Name, Use> {
        self.0.snapshot()
    }
}
