//! The DHCP, DNS and TFTP clients, other name servers and the SNMP agent of distributions against the real daemon, in network namespaces that touch no other network.
#![cfg(test)]

mod boot_storm;
mod controllers;
mod dhcp;
mod dhcp6;
mod dns;
mod keepalived;
mod plugin_examples;
mod plugins;
mod prometheus;
mod proxy;
mod relay;
mod router;
mod servers;
mod site;
mod switch_boot;
mod switches;
mod tftp;
mod tools;
mod torrents;
