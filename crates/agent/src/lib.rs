//! What runs on a node from its initramfs to the image's own init: it asks the controller for the node's plan and
//! carries it out.

pub mod account;
pub mod bmc;
pub mod boot_loader;
pub mod clock;
pub mod console;
pub mod controller;
pub mod dhcp;
pub mod disk;
pub mod disk_boot;
pub mod disk_check;
pub mod download;
pub mod facts;
pub mod fstab;
pub mod hardware;
pub mod identity;
pub mod init;
pub mod inside;
pub mod install;
pub mod installation;
pub mod interfaces;
pub mod inventory;
pub mod kernel_arguments;
pub mod label;
pub mod link;
pub mod locality;
mod log;
pub mod mac;
pub mod memory_root;
pub mod mounts;
pub mod name_servers;
pub mod network;
pub mod pinned;
mod privileged_port;
pub mod progress;
pub mod role;
pub mod script;
pub mod service;
pub mod superblock;
pub mod switch_root;
pub mod system_files;
pub mod tool;
pub mod torrent;
pub mod tpm;
pub mod tree;
pub mod trust;
pub mod unpack;
pub mod wait;

use std::io::Write;
use std::process::ExitCode;

/// The program: the first process of an initramfs, or, started by itself, the shell of service mode.
pub fn main() -> ExitCode {
    let asked = std::env::args().nth(1);
    let complaint = if asked.as_deref() == Some(service::SHELL) {
        let terminal = std::env::args_os().nth(2).unwrap_or_else(|| "/dev/console".into());
        match service::become_shell(std::path::Path::new(&terminal)) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => format!("{error:#}"),
        }
    } else if std::process::id() == 1 {
        init::run()
    } else {
        "perilune-agent is the /init of an initramfs that Perilune packs; it does nothing elsewhere"
            .to_owned()
    };
    writeln!(std::io::stderr(), "{complaint}").ok();
    ExitCode::FAILURE
}
