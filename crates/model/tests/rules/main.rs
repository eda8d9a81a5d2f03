//! The rules by which nodes, groups and their interfaces change.
#![cfg(test)]

mod addressing;
mod discovery;
mod exchange;
mod groups;
mod identity;
mod images;
mod invariants;
mod networks;
mod nodes;
mod parents;
mod racks;
mod remarks;
mod site;
mod tags;
mod taken;
mod undo;
mod vlans;
