//! What a machine's firmware is to fetch and start.

use perilune_model::provisioning::IpxeKernel;

/// What firmware says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Firmware {
    /// It is iPXE.
    pub(crate) is_ipxe: bool,
    /// It boots as PXE has it, and fetches by TFTP.
    pub(crate) by_pxe: bool,
    /// It boots by HTTP.
    pub(crate) by_http: bool,
    /// The kinds that it can be, the one that runs now first.
    pub(crate) types: Vec<u16>,
}

/// The program for a kind of firmware, and how it is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BootProgram {
    /// A file by TFTP.
    Tftp(&'static str),
    /// A file of the controller by HTTP, for firmware that speaks it.
    Http(&'static str),
    /// iPXE is there already: its script.
    Script,
    /// There is no boot program for this firmware; this is its name.
    Missing(String),
}

/// A processor, with its firmware, for which there is a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Bios,
    X86,
    Arm64,
}

/// How firmware of a type fetches its program, where its class does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Tftp,
    Http,
}

/// The registry "Processor Architecture Types" of IANA, whole, with the program that each type is given.
const TYPES: [(u16, &str, Way, Option<Program>); 42] = [
    (0, "x86 BIOS", Way::Tftp, Some(Program::Bios)),
    (1, "NEC PC-98", Way::Tftp, None),
    (2, "Itanium", Way::Tftp, None),
    (3, "DEC Alpha", Way::Tftp, None),
    (4, "Arc x86", Way::Tftp, None),
    (5, "Intel Lean Client", Way::Tftp, None),
    (6, "x86 UEFI of 32 bits", Way::Tftp, None),
    (7, "x86-64 UEFI", Way::Tftp, Some(Program::X86)),
    (8, "EFI XScale", Way::Tftp, None),
    // RFC 4578 gave EBC and x86-64 each other's number, and machines of x86-64 say either.
    (9, "EBC or x86-64 UEFI", Way::Tftp, Some(Program::X86)),
    (10, "ARM UEFI of 32 bits", Way::Tftp, None),
    (11, "ARM UEFI of 64 bits", Way::Tftp, Some(Program::Arm64)),
    (12, "PowerPC Open Firmware", Way::Tftp, None),
    (13, "PowerPC ePAPR", Way::Tftp, None),
    // Petitboot reads a configuration of its own and takes a program for something else.
    (14, "POWER OPAL v3", Way::Tftp, None),
    (15, "x86 UEFI of 32 bits by HTTP", Way::Http, None),
    (16, "x86-64 UEFI by HTTP", Way::Http, Some(Program::X86)),
    // By HTTP nobody had the two numbers the wrong way round: this is the byte code.
    (17, "EBC by HTTP", Way::Http, None),
    (18, "ARM UEFI of 32 bits by HTTP", Way::Http, None),
    (19, "ARM UEFI of 64 bits by HTTP", Way::Http, Some(Program::Arm64)),
    (20, "PC/AT BIOS by HTTP", Way::Http, None),
    (21, "ARM U-Boot of 32 bits", Way::Tftp, None),
    (22, "ARM U-Boot of 64 bits", Way::Tftp, None),
    (23, "ARM U-Boot of 32 bits by HTTP", Way::Http, None),
    (24, "ARM U-Boot of 64 bits by HTTP", Way::Http, None),
    (25, "RISC-V UEFI of 32 bits", Way::Tftp, None),
    (26, "RISC-V UEFI of 32 bits by HTTP", Way::Http, None),
    (27, "RISC-V UEFI of 64 bits", Way::Tftp, None),
    (28, "RISC-V UEFI of 64 bits by HTTP", Way::Http, None),
    (29, "RISC-V UEFI of 128 bits", Way::Tftp, None),
    (30, "RISC-V UEFI of 128 bits by HTTP", Way::Http, None),
    (31, "s390 Basic", Way::Tftp, None),
    (32, "s390 Extended", Way::Tftp, None),
    (33, "MIPS UEFI of 32 bits", Way::Tftp, None),
    (34, "MIPS UEFI of 64 bits", Way::Tftp, None),
    (35, "Sunway UEFI of 32 bits", Way::Tftp, None),
    (36, "Sunway UEFI of 64 bits", Way::Tftp, None),
    (37, "LoongArch UEFI of 32 bits", Way::Tftp, None),
    (38, "LoongArch UEFI of 32 bits by HTTP", Way::Http, None),
    (39, "LoongArch UEFI of 64 bits", Way::Tftp, None),
    (40, "LoongArch UEFI of 64 bits by HTTP", Way::Http, None),
    (41, "ARM rpiboot", Way::Tftp, None),
];

/// The program for a machine that asks; `None` for one that does not boot from the network.
pub(crate) fn of(firmware: &Firmware, kernel: IpxeKernel) -> Option<BootProgram> {
    if firmware.is_ipxe {
        return Some(BootProgram::Script);
    }
    let (pxe, http) = (firmware.by_pxe, firmware.by_http);
    // RFC 4578, section 2.1: a machine may be of several types, and takes a program of any of them.
    let known = |number: &u16| TYPES.iter().find(|(known, ..)| known == number);
    let mut served = firmware.types.iter().filter_map(known);
    let served = served.find_map(|(_, _, way, program)| program.map(|program| (*way, program)));
    let (way, program) = match (served, firmware.types.first()) {
        (Some(served), _) => served,
        (None, Some(_)) => return Some(BootProgram::Missing(names(firmware))),
        // The first firmware said nothing, and was of the first type.
        (None, None) if pxe => (Way::Tftp, Program::Bios),
        (None, None) if http => {
            return Some(BootProgram::Missing("HTTPClient that does not name its type".to_owned()));
        }
        (None, None) => return None,
    };
    let file = match (program, kernel) {
        (Program::Bios, _) => return Some(BootProgram::Tftp("luna_undionly.kpxe")),
        (Program::X86, IpxeKernel::Default) => "luna_ipxe.efi",
        (Program::X86, IpxeKernel::Alternative) => "luna_snponly.efi",
        (Program::Arm64, IpxeKernel::Default) => "luna_ipxe_arm64.efi",
        (Program::Arm64, IpxeKernel::Alternative) => "luna_snponly_arm64.efi",
    };
    // The number tells the processor. The way is the class's, since firmware drops answers that are not of its own.
    let by_http = http || (way == Way::Http && !pxe);
    Some(if by_http { BootProgram::Http(file) } else { BootProgram::Tftp(file) })
}

/// The types that a machine names, for those who read logs: the first few.
fn names(firmware: &Firmware) -> String {
    let name = |number: &u16| match TYPES.iter().find(|(known, ..)| known == number) {
        Some((_, name, ..)) => format!("{name} (type {number})"),
        None => format!("unknown type {number}"),
    };
    firmware.types.iter().take(4).map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_registry_stands_once_in_the_table_and_in_order() {
        for (place, (number, name, way, _)) in TYPES.iter().enumerate() {
            assert_eq!(usize::from(*number), place);
            assert_eq!(*way == Way::Http, name.ends_with(" by HTTP"), "{name}");
        }
    }
}
