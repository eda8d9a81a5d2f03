//! Which name the row of an id has: references of the database are numbers, those of the model are names.

use std::collections::BTreeMap;

use perilune_model::Name;

/// What became of a row that others refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Referent {
    /// It was taken under this name.
    Taken(Name),
    /// It was not taken; the report says so already.
    Refused,
    /// There is no such row.
    Missing,
}

/// What became of every row that others refer to.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<(&'static str, i64), Option<Name>>);

impl Names {
    pub(crate) fn taken(&mut self, table: &'static str, id: i64, name: Name) {
        self.0.insert((table, id), Some(name));
    }

    /// Says that a row was not taken, unless another row of its id was.
    pub(crate) fn refused(&mut self, table: &'static str, id: i64) {
        self.0.entry((table, id)).or_insert(None);
    }

    pub(crate) fn find(&self, table: &'static str, id: i64) -> Referent {
        match self.0.get(&(table, id)) {
            Some(Some(name)) => Referent::Taken(name.clone()),
            Some(None) => Referent::Refused,
            None => Referent::Missing,
        }
    }
}
