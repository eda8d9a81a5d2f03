//! The DHCP and TFTP clients and the SNMP agent of distributions against the real daemon, in network namespaces that touch no other network.
#![cfg(test)]

mod dhcp;
mod proxy;
mod relay;
mod router;
mod site;
mod switches;
mod tftp;
mod tools;
