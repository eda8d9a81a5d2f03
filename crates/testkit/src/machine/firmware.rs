//! The firmware that a machine has, and what it needs on the host.

use std::path::{Path, PathBuf};

use crate::Error;

use super::first_existing;

/// The program, as distributions install it.
pub(super) const X86_PROGRAMS: &[&str] = &["/usr/bin/qemu-system-x86_64", "/usr/libexec/qemu-kvm"];
const ARM64_PROGRAMS: &[&str] = &["/usr/bin/qemu-system-aarch64"];
/// UEFI firmware: the code, and the variables that each machine gets a copy of.
const X86_UEFI: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
];
/// The same with Secure Boot, and the keys that machines are sold with.
const X86_SECURE: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"),
];
/// Only firmware itself may write its variables, from a mode that nothing else enters.
const SECURE: [&str; 4] =
    ["-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"];
const ARM64_UEFI: &[(&str, &str)] = &[
    ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    (
        "/usr/share/edk2/aarch64/QEMU_EFI-silent-pflash.raw",
        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
    ),
];
/// iPXE as a program that qemu starts by itself.
const IPXE: &[&str] = &["/usr/lib/ipxe/ipxe.lkrn", "/usr/share/ipxe/ipxe.lkrn"];
/// What that is told. The program that it fetches knows nothing of it, and drives the card by what the first left in memory.
const CHAIN: &str = "#!ipxe\ndhcp\nchain tftp://${next-server}/luna_undionly.kpxe\n";
/// How UEFI firmware is told to leave PXE out, so that it boots by HTTP.
const NO_PXE: [&str; 4] = [
    "-fw_cfg",
    "name=opt/org.tianocore/IPv4PXESupport,string=n",
    "-fw_cfg",
    "name=opt/org.tianocore/IPv6PXESupport,string=n",
];

/// How a machine comes to its boot program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// The network card's ROM (iPXE) boots.
    Bios,
    /// A program that drives the card through the BIOS is fetched by TFTP. There is no free BIOS that does so by itself: iPXE does it.
    BiosUndi,
    /// The network card's ROM (iPXE) boots.
    Uefi,
    /// The firmware's own network boot, which fetches its boot program by TFTP.
    UefiWithoutRom,
    /// The firmware's own network boot, which fetches its boot program by HTTP.
    UefiHttp,
    /// As `UefiWithoutRom`, and starts nothing that is not signed.
    UefiSecure,
    /// As `UefiWithoutRom`, on another processor.
    Arm64,
    /// As `UefiHttp`, on another processor.
    Arm64Http,
}

/// What a machine computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    X86,
    Arm64,
}

impl Firmware {
    pub fn processor(self) -> Processor {
        match self {
            Self::Bios
            | Self::BiosUndi
            | Self::Uefi
            | Self::UefiWithoutRom
            | Self::UefiHttp
            | Self::UefiSecure => Processor::X86,
            Self::Arm64 | Self::Arm64Http => Processor::Arm64,
        }
    }

    /// Whether the boot program comes by HTTP.
    pub fn is_http(self) -> bool {
        matches!(self, Self::UefiHttp | Self::Arm64Http)
    }

    /// What qemu builds.
    pub(super) fn machine(self) -> &'static str {
        match self.processor() {
            Processor::X86 if self == Self::UefiSecure => "q35,graphics=off,smm=on",
            // Without graphics the BIOS, and with it the network boot ROM, speaks on the serial port.
            Processor::X86 => "q35,graphics=off",
            Processor::Arm64 => "virt",
        }
    }

    pub(super) fn has_rom(self) -> bool {
        matches!(self, Self::Bios | Self::Uefi)
    }
}

impl Processor {
    pub(super) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::X86 => X86_PROGRAMS,
            Self::Arm64 => ARM64_PROGRAMS,
        }
    }

    /// The model that is emulated.
    pub(super) fn emulated(self) -> &'static str {
        match self {
            Self::X86 => "max",
            // The newest have pointer authentication, which costs much to emulate.
            Self::Arm64 => "cortex-a72",
        }
    }

    /// Whether it is this host's.
    pub(super) fn is_own(self) -> bool {
        match self {
            Self::X86 => cfg!(target_arch = "x86_64"),
            Self::Arm64 => cfg!(target_arch = "aarch64"),
        }
    }
}

/// What a kind of firmware needs on the host.
#[derive(Debug)]
pub(super) enum Parts {
    None,
    Undi { program: &'static str, script: PathBuf },
    Uefi { code: &'static str, variables: PathBuf, more: &'static [&'static str] },
}

impl Parts {
    pub(super) fn prepare(
        firmware: Firmware,
        variables: &Path,
        script: &Path,
    ) -> Result<Self, Error> {
        let cannot = |what, path: &Path| {
            let path = path.display().to_string();
            move |source| Error::File { what, path, source }
        };
        match firmware {
            Firmware::Bios => Ok(Self::None),
            Firmware::BiosUndi => {
                let program = first_existing("iPXE (ipxe.lkrn)", IPXE)?;
                std::fs::write(script, CHAIN).map_err(cannot("cannot write", script))?;
                Ok(Self::Undi { program, script: script.to_owned() })
            }
            _ => {
                let (code, empty) = uefi(firmware)?;
                std::fs::copy(empty, variables)
                    .map_err(cannot("the firmware's variables cannot be copied to", variables))?;
                let more: &[&str] = match firmware {
                    Firmware::UefiSecure => &SECURE,
                    _ if firmware.is_http() => &NO_PXE,
                    _ => &[],
                };
                Ok(Self::Uefi { code, variables: variables.to_owned(), more })
            }
        }
    }

    pub(super) fn arguments(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::Undi { program, script } => {
                ["-kernel", program, "-initrd", &script.display().to_string()]
                    .map(str::to_owned)
                    .to_vec()
            }
            Self::Uefi { code, variables, more } => {
                let flash = |unit: &str, file: &str| {
                    ["-drive".to_owned(), format!("if=pflash,format=raw,unit={unit},file={file}")]
                };
                let mut words = flash("0,readonly=on", code).to_vec();
                words.extend(flash("1", &variables.display().to_string()));
                words.extend(more.iter().map(|&word| word.to_owned()));
                words
            }
        }
    }
}

fn uefi(firmware: Firmware) -> Result<(&'static str, &'static str), Error> {
    let (what, known) = match firmware.processor() {
        Processor::X86 if firmware == Firmware::UefiSecure => {
            ("UEFI firmware with Secure Boot (OVMF)", X86_SECURE)
        }
        Processor::X86 => ("UEFI firmware (OVMF)", X86_UEFI),
        Processor::Arm64 => ("UEFI firmware for arm64 (AAVMF)", ARM64_UEFI),
    };
    let found = known.iter().copied().find(|(code, _)| Path::new(code).exists());
    found.ok_or_else(|| {
        let paths = known.iter().map(|(code, _)| *code).collect::<Vec<_>>().join(", ");
        Error::Missing { what, paths }
    })
}
