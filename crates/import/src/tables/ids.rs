//! Numbers of rows. The model has none: references are names there.

use std::collections::{BTreeMap, BTreeSet};

/// Ids have so many bits, so that every reader of JSON takes them as whole numbers.
const BITS: u32 = 48;

/// Gives rows their ids. They are made of the names, so that an object has the same one in every export, whatever came or went
/// between them: a part of an older export can be imported again.
#[derive(Debug, Default)]
pub(super) struct Ids {
    known: BTreeMap<(&'static str, String), i64>,
    used: BTreeSet<(&'static str, i64)>,
}

impl Ids {
    /// Says which id an object has.
    pub(super) fn know(&mut self, table: &'static str, name: String, id: i64) {
        self.used.insert((table, id));
        self.known.insert((table, name), id);
    }

    /// The id of what has this name in its table.
    pub(super) fn of(&mut self, table: &'static str, name: &str) -> i64 {
        if let Some(id) = self.known.get(&(table, name.to_owned())) {
            return *id;
        }
        let mut id = hash(name);
        while self.used.contains(&(table, id)) {
            id += 1;
        }
        self.know(table, name.to_owned(), id);
        id
    }
}

/// FNV-1a (draft-eastlake-fnv, 64 bits), folded; never zero, which refers to nothing.
fn hash(name: &str) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let folded = (hash >> BITS) ^ (hash & ((1 << BITS) - 1));
    i64::try_from(folded).unwrap_or_default().max(1)
}
