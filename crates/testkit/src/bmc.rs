//! A BMC that is none: the simulator of `OpenIPMI` (`ipmi_sim`), which speaks IPMI 2.0 over LAN. Its chassis is a file: whoever
//! plays the machine looks there whether the power is on.

mod contents;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Error;
use crate::process::kill;

/// The user who may do everything.
pub const USER: &str = "admin";
/// The password of [`USER`].
pub const PASSWORD: &str = "password";
/// The simulator.
pub const PROGRAM: &str = "ipmi_sim";

/// A simulated BMC; ends when dropped.
#[derive(Debug)]
pub struct Bmc {
    directory: PathBuf,
    process: Child,
    keep: bool,
}

impl Bmc {
    /// Starts the simulator by `command` (which runs [`PROGRAM`], here or in a lab) at an address, with its files in `directory`.
    /// At `machine_port` of the loopback interface it waits for the machine that it is in, see [`Description::bmc_port`].
    ///
    /// [`Description::bmc_port`]: crate::machine::Description::bmc_port
    pub fn start(
        mut command: Command,
        address: SocketAddr,
        machine_port: Option<u16>,
        directory: &Path,
    ) -> Result<Self, Error> {
        write_files(directory, address, machine_port)?;
        command.arg("-c").arg(directory.join("lan.conf"));
        command.arg("-f").arg(directory.join("sim.emu"));
        command.arg("-s").arg(directory.join("state")).arg("-n");
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let not_started = |source| Error::NotStarted { command: PROGRAM.to_owned(), source };
        let process = process.spawn().map_err(not_started)?;
        Ok(Self { directory: directory.to_owned(), process, keep: false })
    }

    /// Whether the power is on.
    pub fn is_powered(&self) -> bool {
        std::fs::read_to_string(self.directory.join("power")).is_ok_and(|text| text.trim() == "1")
    }

    /// The machine has switched itself off.
    pub fn note_power_off(&self) -> Result<(), Error> {
        let path = self.directory.join("power");
        std::fs::write(&path, "0\n").map_err(|source| Error::File {
            what: "the power of a simulated BMC cannot be written to",
            path: path.display().to_string(),
            source,
        })
    }

    /// Leaves the simulator running when this value is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// What the chassis was told, one instruction in a line.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Bmc {
    fn drop(&mut self) {
        if !self.keep {
            kill(&mut self.process);
        }
    }
}

fn write_files(
    directory: &Path,
    address: SocketAddr,
    machine_port: Option<u16>,
) -> Result<(), Error> {
    let there = directory.display();
    let chassis = format!(
        "#!/bin/sh\ncd {there} || exit 1\nshift; verb=$1; shift\n\
         if [ \"$verb\" = get ]; then echo \"power:$(cat power 2>/dev/null || echo 0)\"; exit 0; fi\n\
         echo \"$*\" >>log\n\
         while [ $# -gt 0 ]; do case \"$1\" in power) echo \"$2\" >power; shift;; esac; shift; done\n"
    );
    let methods = "none md2 md5 straight";
    let inside = machine_port.map(|port| format!("serial 15 127.0.0.1 {port} codec VM\n"));
    let inside = inside.unwrap_or_default();
    let lan = format!(
        "name \"bmc\"\nset_working_mc 0x20\nstartlan 1\n  addr {} {}\n  priv_limit admin\n\
         \x20 allowed_auths_callback {methods}\n  allowed_auths_user {methods}\n\
         \x20 allowed_auths_operator {methods}\n  allowed_auths_admin {methods}\n\
         \x20 guid a123456789abcdefa123456789abcdef\nendlan\n{inside}\
         chassis_control \"{there}/chassis.sh x\"\n\
         user 1 true \"\" \"test\" user 10 {methods}\n\
         user 2 true \"{USER}\" \"{PASSWORD}\" admin 10 {methods}\n",
        address.ip(),
        address.port()
    );
    let emulation = format!(
        "mc_setbmc 0x20\n\
         mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
         sel_enable 0x20 1000 0x0a\n{}mc_enable 0x20\n",
        contents::instructions()
    );
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
    };
    let written = file("chassis.sh", &chassis)
        .and_then(|()| file("lan.conf", &lan))
        .and_then(|()| file("sim.emu", &emulation))
        .and_then(|()| std::fs::create_dir_all(directory.join("state")));
    written.map_err(|source| Error::File {
        what: "files of a simulated BMC cannot be written to",
        path: there.to_string(),
        source,
    })
}
