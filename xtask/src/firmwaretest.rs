//! Every kind of firmware that can be had, one machine after the other: which program it fetches, how, and after how long it has
//! the boot script of its node.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use perilune_testkit::machine::{self, Accelerator, Description, Firmware};
use perilune_testkit::process::wait_for;
use perilune_testkit::{Error, Limit, Machine, Stop};

use crate::api::Api;
use crate::build::Programs;
use crate::cluster::CommandLine;
use crate::daemon::{Daemon, tail};
use crate::lifecycle;
use crate::output::{self, Output};
use crate::scenario::{self, Member};
use crate::site::Site;

/// A machine that has not got its script by then gets none. Another processor is emulated on few cores.
const LONGEST: u64 = 600;
const LOOK: Duration = Duration::from_millis(50);
const MEMORY_MEBIBYTES: u32 = 1024;
const ARM64_PROGRAM: &str = "luna_ipxe_arm64.efi";
/// What the daemon's log says of a boot program.
const BY_TFTP: &str = "TFTP file sent";
const BY_HTTP: &str = "HTTP boot program";
const MISSING: &str = "luna_ipxe_arm64.efi is missing";
const SCRIPT: &str = "install.discovered";
const SILENT: &str = "\n[DHCP]\nROUTER_ADVERTISEMENTS = no\n";

/// How a machine fared: what happened, and how many seconds after it was switched on.
struct Row {
    what: String,
    asked: Option<f64>,
    program: Option<f64>,
    script: Option<f64>,
}

pub(crate) fn run(programs: &Programs, arm64_ipxe: Option<&Path>, stop: &Stop) -> Result<()> {
    let output = Output::new();
    output.step("The daemon, in a network namespace of its own");
    let site = Site::create()?;
    let daemon = Daemon::start(&site, programs, &output, stop)?;
    if let Some(file) = arm64_ipxe {
        let place = daemon.tftp_root().join(ARM64_PROGRAM);
        std::fs::copy(file, place).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    let members = scenario::firmwaretest();
    describe(&CommandLine { site: &site, daemon: &daemon, output: &output, stop }, &members)?;

    let last = members.last().context("there are machines")?;
    let accelerator = machine::accelerator();
    output.step(&format!("{} machines one by one, {accelerator:?} virtualization", members.len()));
    let mut rows = Vec::new();
    for member in members.iter().filter(|member| member.name != last.name) {
        let bench = Bench { site: &site, daemon: &daemon, output: &output, accelerator, stop };
        let row = bench.boot(member, "");
        rows.push(row.map_err(|error| lifecycle::explain_failure(&site, &daemon, &output, error))?);
    }

    output.step("The same daemon, told not to answer those that look for an IPv6 router");
    let configuration = daemon.configuration();
    drop(daemon);
    let text = std::fs::read_to_string(&configuration)?;
    std::fs::write(&configuration, text + SILENT)?;
    let daemon = Daemon::start(&site, programs, &output, stop)?;
    let bench = Bench { site: &site, daemon: &daemon, output: &output, accelerator, stop };
    let row = bench.boot(last, ", no router advertisement");
    rows.push(row.map_err(|error| lifecycle::explain_failure(&site, &daemon, &output, error))?);
    output::block(&format!("\nSeconds from the power button:\n{}\n", table(&rows)));
    Ok(())
}

/// Nodes of an image of which there is nothing but names: their scripts are all that is wanted.
fn describe(perilune: &CommandLine<'_>, members: &[Member]) -> Result<()> {
    perilune.output.step("The cluster, described");
    let files = ["--kernelfile", "no-kernel", "--initrdfile", "no-initrd"];
    perilune.perilune(&[&["osimage", "add", "none", "--path", "/nowhere"], &files[..]].concat())?;
    perilune.perilune(&["group", "add", "ram", "--osimage", "none"])?;
    members.iter().try_for_each(|member| perilune.add(member))
}

/// Where machines are tried.
struct Bench<'a> {
    site: &'a Site,
    daemon: &'a Daemon,
    output: &'a Output,
    accelerator: Accelerator,
    stop: &'a Stop,
}

impl Bench<'_> {
    fn boot(&self, member: &Member, remark: &str) -> Result<Row> {
        let mut row = Row {
            what: format!("{}{remark}", name_of(member.firmware)),
            asked: None,
            program: None,
            script: None,
        };
        let description = Description {
            name: member.name.clone(),
            firmware: member.firmware,
            mac_address: member.mac_address.clone(),
            memory_mebibytes: MEMORY_MEBIBYTES,
            processors: 1,
            disk_bytes: None,
            other_disks: Vec::new(),
            network_first: true,
            accelerator: self.accelerator,
            bmc_port: None,
        };
        let started = Instant::now();
        let machine = match Machine::start(&self.site.lab, &description, self.site.directory.path())
        {
            Ok(machine) => machine,
            Err(error @ Error::Missing { .. }) => {
                self.output.event(&member.name, &format!("{}: left out: {error}", row.what));
                return Ok(row);
            }
            Err(error) => return Err(error.into()),
        };
        self.output.event(&member.name, &format!("switched on: {}", row.what));
        let followed = self.site.lab.inside(|| self.follow(member, started, &mut row));
        followed.context("no thread in the lab").flatten().with_context(|| {
            format!("{}. The end of its console:\n{}", row.what, tail(&machine.console(), 40))
        })?;
        machine.power_off();
        Ok(row)
    }

    /// Until the machine has its script, or is known not to get its program.
    fn follow(&self, member: &Member, started: Instant, row: &mut Row) -> Result<()> {
        let api = Api::login(&self.daemon.configuration())?;
        let seconds = || Some(started.elapsed().as_secs_f64());
        let limit = Limit::seconds(LONGEST).every(LOOK).unless(self.stop);
        let client = format!("client={}", member.address());
        let end = wait_for(&limit, || {
            let log = self.daemon.log();
            let of = |words: &[&str]| {
                log.lines().find(|line| words.iter().all(|word| line.contains(word)))
            };
            if row.asked.is_none() && of(&[&format!("mac={}", member.mac_address)]).is_some() {
                row.asked = seconds();
                self.output.event(&member.name, "asks for an address");
            }
            let program =
                expected(member.firmware).and_then(|(how, file)| of(&[how, &client, file]));
            if let (None, Some(line)) = (row.program, program) {
                row.program = seconds();
                self.output.event(&member.name, line);
            }
            if let Some(line) = of(&[&client, MISSING]) {
                self.output.event(&member.name, line);
                return Some(());
            }
            let state = api.progress(&member.name).ok()?.state;
            (state.as_deref() == Some(SCRIPT)).then(|| row.script = seconds())
        })?;
        if end.is_none() {
            bail!("it has no boot script after {LONGEST} s");
        }
        ensure!(row.asked.is_some(), "it has a script, but never asked for an address");
        let Some(_) = row.script else { return Ok(()) };
        self.output.event(&member.name, "has its boot script");
        match expected(member.firmware) {
            Some((how, file)) => {
                ensure!(row.program.is_some(), "it has a script, but without '{how}' of {file}");
            }
            None => {
                let log = self.daemon.log();
                let fetched = |line: &&str| {
                    line.contains(&client)
                        && [BY_TFTP, BY_HTTP].iter().any(|how| line.contains(how))
                };
                let fetched = log.lines().find(fetched);
                ensure!(fetched.is_none(), "its ROM has all it needs, but: {fetched:?}");
            }
        }
        Ok(())
    }
}

/// How the firmware gets its boot program, and which.
fn expected(firmware: Firmware) -> Option<(&'static str, &'static str)> {
    match firmware {
        Firmware::Bios | Firmware::Uefi => None,
        Firmware::BiosUndi => Some((BY_TFTP, "luna_undionly.kpxe")),
        Firmware::UefiWithoutRom | Firmware::UefiSecure => Some((BY_TFTP, "luna_ipxe.efi")),
        Firmware::UefiHttp => Some((BY_HTTP, "luna_ipxe.efi")),
        Firmware::Arm64 => Some((BY_TFTP, ARM64_PROGRAM)),
        Firmware::Arm64Http => Some((BY_HTTP, ARM64_PROGRAM)),
    }
}

fn name_of(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Bios => "BIOS, iPXE ROM",
        Firmware::BiosUndi => "BIOS, undionly.kpxe by TFTP",
        Firmware::Uefi => "UEFI, iPXE ROM",
        Firmware::UefiWithoutRom => "UEFI, own PXE",
        Firmware::UefiHttp => "UEFI, HTTP boot",
        Firmware::UefiSecure => "UEFI, own PXE, Secure Boot",
        Firmware::Arm64 => "arm64 UEFI, own PXE",
        Firmware::Arm64Http => "arm64 UEFI, HTTP boot",
    }
}

fn table(rows: &[Row]) -> String {
    let line = |what: &str, [a, b, c]: [&str; 3]| format!("{what:<42}{a:>9}{b:>9}{c:>9}");
    let cell = |at: Option<f64>| at.map_or_else(|| "-".to_owned(), |at| format!("{at:.1} s"));
    let mut lines = vec![line("firmware", ["asks", "program", "script"])];
    for row in rows {
        let [a, b, c] = [row.asked, row.program, row.script].map(cell);
        lines.push(line(&row.what, [&a, &b, &c]));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_dash_for_what_did_not_happen() {
        let what = "UEFI, HTTP boot".to_owned();
        let text = table(&[Row { what, asked: Some(2.34), program: None, script: Some(10.0) }]);
        let row = text.lines().nth(1).unwrap();
        assert!(row.contains(" 2.3 s") && row.ends_with("        -   10.0 s"), "{row:?}");
    }

    #[test]
    fn every_kind_of_firmware_is_tried_and_the_last_again_without_advertisements() {
        let members = scenario::firmwaretest();
        assert_eq!(members.last().unwrap().firmware, members[0].firmware);
        for member in &members {
            assert!(member.known && !member.address().is_empty());
        }
    }
}
