//! The API as clients see it.
#![cfg(test)]

mod absent;
mod access;
mod apply;
mod backup;
mod booleans;
mod boot_files;
mod boots;
mod connections;
mod control;
mod devices;
mod document;
mod files;
mod further;
mod generated;
mod identity;
mod image_site;
mod image_trees;
mod import;
mod installations;
mod jobs;
mod nodes;
mod os_users;
mod osimage;
mod redfish;
mod reservation;
mod routes;
mod secrets;
mod sources;
mod switchports;
mod tables;
mod tls;
mod tpm;
