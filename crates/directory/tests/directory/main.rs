//! Users and groups in a real LDAP server, and through a program that stands for `obol`.
#![cfg(test)]

mod groups;
mod obol;
mod server;
mod users;
