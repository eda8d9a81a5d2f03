//! Whole scripts for small clusters: as snapshots, as iPXE and bash read them, and the install script run for real.
#![cfg(test)]

mod cluster;
mod controller;
mod hostile;
mod install;
mod ipxe;
mod kickstart;
mod menu;
mod overrides;
mod plan;
mod ports;
mod snapshots;
