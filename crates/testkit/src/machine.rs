//! A machine that boots: qemu with a network card on a lab's bridge, a serial console in a file, disks, and
//! a power button. Which firmware it has: [`Firmware`].

mod firmware;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Limit, command, end, kill, wait_for};
use crate::{Error, Lab};

pub use firmware::{Firmware, Processor};
use firmware::{Parts, X86_PROGRAMS};

/// How qemu calls the card's end of the cable.
const NETWORK: &str = "network";
const CONTROL_TIMEOUT: Duration = Duration::from_secs(10);

/// What runs the machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    Hardware,
    Software,
}

/// A machine to switch on.
#[derive(Clone, Debug)]
pub struct Description {
    pub name: String,
    pub firmware: Firmware,
    pub mac_address: String,
    pub memory_mebibytes: u32,
    pub processors: u32,
    /// An empty disk of this size, in bytes, is made unless it is there already.
    pub disk_bytes: Option<u64>,
    /// Disks that are there before that one, in this order.
    pub other_disks: Vec<PathBuf>,
    pub accelerator: Accelerator,
    /// Whether the network comes first, whatever firmware has in its own list.
    pub network_first: bool,
    /// Where, on the loopback interface of the lab, the machine's BMC waits for it. The machine sees it as `/dev/ipmi0`.
    pub bmc_port: Option<u16>,
}

/// A machine that is switched on; switched off when dropped.
#[derive(Debug)]
pub struct Machine {
    name: String,
    console: PathBuf,
    control: PathBuf,
    process: Child,
    keep: bool,
}

impl Machine {
    /// Switches a machine on, in `lab`, with its files in `directory`.
    pub fn start(lab: &Lab, description: &Description, directory: &Path) -> Result<Self, Error> {
        let files = Files::prepare(description, directory)?;
        let port = lab.add_port(&description.name)?;
        let program = first_existing("qemu", description.firmware.processor().programs())?;
        let mut qemu = lab.command(program);
        qemu.args(arguments(description, &files, &port));
        let log = create(&directory.join(format!("{}.qemu.log", description.name)))?;
        let copy = log
            .try_clone()
            .map_err(|source| Error::NotStarted { command: program.to_owned(), source })?;
        let process = qemu
            .stdout(log)
            .stderr(copy)
            .spawn()
            .map_err(|source| Error::NotStarted { command: program.to_owned(), source })?;
        let Files { console, control, .. } = files;
        Ok(Self { name: description.name.clone(), console, control, process, keep: false })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where everything that the machine writes to its serial port is kept.
    pub fn console_file(&self) -> &Path {
        &self.console
    }

    /// What the machine has written to its serial port, without the codes that place and colour text.
    pub fn console(&self) -> String {
        let bytes = std::fs::read(&self.console).unwrap_or_default();
        without_escapes(&String::from_utf8_lossy(&bytes))
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Presses the reset button.
    pub fn reset(&self) -> Result<(), Error> {
        self.tell(&json!({ "execute": "system_reset" }))
    }

    /// Presses the power button, as a hint to the operating system.
    pub fn press_power_button(&self) -> Result<(), Error> {
        self.tell(&json!({ "execute": "system_powerdown" }))
    }

    /// Pulls the cable of its network card, or puts it back.
    pub fn connect(&self, is_connected: bool) -> Result<(), Error> {
        let arguments = json!({ "name": NETWORK, "up": is_connected });
        self.tell(&json!({ "execute": "set_link", "arguments": arguments }))
    }

    /// Leaves the machine running when this value is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Pulls the plug.
    pub fn power_off(mut self) {
        kill(&mut self.process);
    }

    fn tell(&self, instruction: &Value) -> Result<(), Error> {
        let failed = |reason: String| Error::Control { machine: self.name.clone(), reason };
        let connect = || UnixStream::connect(&self.control).ok();
        let stream = wait_for(&Limit::seconds(10), connect)?
            .ok_or_else(|| failed("no connection".to_owned()))?;
        stream
            .set_read_timeout(Some(CONTROL_TIMEOUT))
            .map_err(|error| failed(error.to_string()))?;
        let mut writer = stream.try_clone().map_err(|error| failed(error.to_string()))?;
        let mut lines = BufReader::new(stream).lines();
        for instruction in [&json!({ "execute": "qmp_capabilities" }), instruction] {
            writeln!(writer, "{instruction}").map_err(|error| failed(error.to_string()))?;
            loop {
                let line = lines.next().ok_or_else(|| failed("it hung up".to_owned()))?;
                let line = line.map_err(|error| failed(error.to_string()))?;
                let answer: Value =
                    serde_json::from_str(&line).map_err(|error| failed(error.to_string()))?;
                if let Some(error) = answer.get("error") {
                    return Err(failed(error.to_string()));
                }
                if answer.get("return").is_some() {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if !self.keep {
            end(&mut self.process);
        }
    }
}

/// What a machine needs on the host.
struct Files {
    console: PathBuf,
    control: PathBuf,
    disk: Option<PathBuf>,
    parts: Parts,
}

impl Files {
    fn prepare(description: &Description, directory: &Path) -> Result<Self, Error> {
        let file = |suffix: &str| directory.join(format!("{}.{suffix}", description.name));
        let parts = Parts::prepare(description.firmware, &file("vars"), &file("ipxe"))?;
        let disk = match description.disk_bytes {
            Some(bytes) => Some(empty_disk(file("disk"), bytes)?),
            None => None,
        };
        Ok(Self { console: file("console"), control: file("control"), disk, parts })
    }
}

fn empty_disk(path: PathBuf, bytes: u64) -> Result<PathBuf, Error> {
    if !path.exists() {
        let file = create(&path)?;
        file.set_len(bytes).map_err(|source| Error::File {
            what: "no room for the disk",
            path: path.display().to_string(),
            source,
        })?;
    }
    Ok(path)
}

fn create(path: &Path) -> Result<std::fs::File, Error> {
    std::fs::File::create(path).map_err(|source| Error::File {
        what: "cannot create",
        path: path.display().to_string(),
        source,
    })
}

fn first_existing(what: &'static str, paths: &[&'static str]) -> Result<&'static str, Error> {
    let found = paths.iter().copied().find(|path| Path::new(path).exists());
    found.ok_or_else(|| Error::Missing { what, paths: paths.join(", ") })
}

fn arguments(description: &Description, files: &Files, port: &str) -> Vec<OsString> {
    let mut words = Vec::<OsString>::new();
    let mut add = |line: &[&str]| words.extend(line.iter().map(OsString::from));
    add(&["-name", &description.name, "-nodefaults", "-display", "none"]);
    let processor = description.firmware.processor();
    add(&["-machine", description.firmware.machine()]);
    match description.accelerator {
        Accelerator::Hardware if processor.is_own() => add(&["-accel", "kvm", "-cpu", "host"]),
        _ => add(&["-accel", "tcg,thread=multi", "-cpu", processor.emulated()]),
    }
    add(&[
        "-smp",
        &description.processors.to_string(),
        "-m",
        &description.memory_mebibytes.to_string(),
    ]);
    add(&["-device", "virtio-rng-pci"]);
    let last_byte = description.mac_address.rsplit(':').next().unwrap_or("0");
    add(&["-uuid", &format!("5052494c-554e-4500-8000-0000000000{last_byte}")]);
    add(&[
        "-smbios",
        &format!("type=1,manufacturer=Perilune,product=Lab,serial={}", description.name),
    ]);
    let socket = files.console.with_extension("serial");
    let console = format!(
        "socket,id=console,server=on,wait=off,path={},logfile={}",
        socket.display(),
        files.console.display()
    );
    add(&["-chardev", &console, "-serial", "chardev:console"]);
    add(&["-qmp", &format!("unix:{},server=on,wait=off", files.control.display())]);
    let parts = files.parts.arguments();
    add(&parts.iter().map(String::as_str).collect::<Vec<_>>());
    if let Some(port) = description.bmc_port {
        add(&["-chardev", &format!("socket,id=bmc,host=127.0.0.1,port={port},reconnect=2")]);
        add(&["-device", "ipmi-bmc-extern,id=bmc0,chardev=bmc"]);
        add(&["-device", "isa-ipmi-kcs,bmc=bmc0"]);
    }
    let rom = if description.firmware.has_rom() { "" } else { ",romfile=" };
    add(&["-netdev", &format!("tap,id={NETWORK},ifname={port},script=no,downscript=no")]);
    let mac = &description.mac_address;
    let place = |index: usize| {
        if description.network_first { format!(",bootindex={index}") } else { String::new() }
    };
    add(&["-device", &format!("virtio-net-pci,netdev={NETWORK},mac={mac}{}{rom}", place(1))]);
    let other = description.other_disks.iter();
    for (number, file) in other.enumerate() {
        let file = file.display();
        add(&["-drive", &format!("if=none,id=other{number},format=raw,cache=unsafe,file={file}")]);
        let place = place(number + 2);
        add(&["-device", &format!("virtio-blk-pci,drive=other{number}{place}")]);
    }
    if let Some(disk) = &files.disk {
        // The disks are thrown away afterwards: what the guest wants flushed need not reach the host's disk.
        let disk = disk.display();
        add(&[
            "-drive",
            &format!("if=none,id=disk,format=raw,discard=unmap,cache=unsafe,file={disk}"),
        ]);
        add(&[
            "-device",
            &format!(
                "virtio-blk-pci,drive=disk{},serial={}",
                place(description.other_disks.len() + 2),
                description.name
            ),
        ]);
    }
    words
}

/// How machines can run on this host. The processor's flag alone does not tell (some hosts offer a device
/// that cannot run a BIOS), so a machine without anything is tried: its firmware must speak within seconds.
pub fn accelerator() -> Accelerator {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = processor.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let able = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    if able && Path::new("/dev/kvm").exists() && firmware_runs_on_hardware() {
        Accelerator::Hardware
    } else {
        Accelerator::Software
    }
}

fn firmware_runs_on_hardware() -> bool {
    let (Ok(program), Ok(directory)) = (first_existing("qemu", X86_PROGRAMS), tempfile::tempdir())
    else {
        return false;
    };
    let console = directory.path().join("console");
    let mut qemu = command(program);
    qemu.args([
        "-machine",
        "q35,graphics=off",
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-m",
        "128",
        "-nodefaults",
    ]);
    qemu.args(["-display", "none", "-net", "none", "-serial"])
        .arg(format!("file:{}", console.display()));
    let Ok(mut process) =
        qemu.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()
    else {
        return false;
    };
    let spoke = || std::fs::read_to_string(&console).ok().filter(|text| text.contains("SeaBIOS"));
    let runs = matches!(wait_for(&Limit::seconds(8), spoke), Ok(Some(_)));
    end(&mut process);
    runs
}

/// Text without ANSI escape sequences and carriage returns.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' if rest.peek() == Some(&'[') => {
                rest.next();
                let is_final = |c: &char| ('\u{40}'..='\u{7e}').contains(c);
                rest.by_ref().find(is_final);
            }
            '\u{1b}' => {
                rest.next();
            }
            '\r' => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(firmware: Firmware) -> Description {
        Description {
            name: "node001".to_owned(),
            firmware,
            mac_address: "52:54:00:00:00:01".to_owned(),
            memory_mebibytes: 2048,
            processors: 2,
            disk_bytes: None,
            other_disks: Vec::new(),
            network_first: true,
            accelerator: Accelerator::Software,
            bmc_port: None,
        }
    }

    fn files(disk: Option<&str>) -> Files {
        Files {
            console: "c".into(),
            control: "q".into(),
            disk: disk.map(PathBuf::from),
            parts: Parts::None,
        }
    }

    fn line(description: &Description, files: &Files) -> String {
        let words = arguments(description, files, "p-node001");
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_network_is_tried_before_the_disk() {
        let line = line(&description(Firmware::Bios), &files(Some("d")));
        assert!(
            line.contains("virtio-net-pci,netdev=network,mac=52:54:00:00:00:01,bootindex=1 "),
            "{line}"
        );
        assert!(line.contains("virtio-blk-pci,drive=disk,bootindex=2"), "{line}");
    }

    #[test]
    fn other_disks_come_first() {
        let description =
            Description { other_disks: vec!["a".into()], ..description(Firmware::Bios) };
        let line = line(&description, &files(Some("d")));
        let other = line.find("virtio-blk-pci,drive=other0,bootindex=2").unwrap();
        assert!(line.find("virtio-blk-pci,drive=disk,bootindex=3").unwrap() > other, "{line}");
    }

    #[test]
    fn firmware_without_rom_boots_by_itself() {
        let line = line(&description(Firmware::UefiWithoutRom), &files(None));
        assert!(line.ends_with("bootindex=1,romfile="), "{line}");
    }

    #[test]
    fn another_processor_is_emulated_whatever_this_one_can() {
        let foreign = Description {
            accelerator: Accelerator::Hardware,
            ..description(if cfg!(target_arch = "aarch64") {
                Firmware::UefiWithoutRom
            } else {
                Firmware::Arm64
            })
        };
        let line = line(&foreign, &files(None));
        assert!(line.contains("-accel tcg") && !line.contains("kvm"), "{line}");
    }

    #[test]
    fn software_emulation_never_names_the_hardware() {
        let line = line(&description(Firmware::Bios), &files(None));
        assert!(line.contains("-accel tcg") && !line.contains("kvm"), "{line}");
    }

    #[test]
    fn a_console_is_plain_text() {
        assert_eq!(
            without_escapes("\u{1b}[2J\u{1b}[01;01HiPXE\u{1b}[0m \u{1b}c1.0\r\n"),
            "iPXE 1.0\n"
        );
        assert_eq!(without_escapes("cut off \u{1b}["), "cut off ");
    }

    #[test]
    fn a_disk_is_empty_and_survives_a_second_start() {
        let directory = tempfile::tempdir().unwrap();
        let path = empty_disk(directory.path().join("disk"), 4096).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), vec![0; 4096]);
        std::fs::write(&path, b"written").unwrap();
        empty_disk(path.clone(), 4096).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"written");
    }
}
