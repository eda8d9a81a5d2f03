//! The DHCP and TFTP clients of distributions against the real daemon, in network namespaces that touch no other network.
#![cfg(test)]

mod dhcp;
mod relay;
mod router;
mod site;
mod tftp;
mod tools;
