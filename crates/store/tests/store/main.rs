//! What a store promises.
#![cfg(test)]

mod contract;
mod controllers;
mod fields;
mod moving;
mod postgres;
mod sealed;
mod servers;
mod site;
mod sound;
mod sqlite;
mod standby;
mod upgrade;
