//! Databases by the documented schema, right and odd ones, and what is made of them.
#![cfg(test)]

mod anything;
mod database;
mod files;
mod into_cluster;
mod odd;
mod reserved;
mod site;
mod states;
