//! Which machines a run has, and what must become of them.

use perilune_testkit::machine::Firmware;

/// What a member of the cluster runs from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// Everything is in memory; each boot installs anew.
    Ram,
    /// Installed once; boots again from its own disk.
    Disk,
}

/// One machine.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) mac_address: String,
    /// The address that the description gives it.
    address: String,
    pub(crate) firmware: Firmware,
    pub(crate) root: Root,
    /// Whether it is described before it is switched on. If not, it must be adopted.
    pub(crate) known: bool,
    /// Whether it is switched on and off by its BMC, as a machine in a rack is.
    pub(crate) has_bmc: bool,
}

impl Member {
    fn new(number: u8, firmware: Firmware, root: Root, known: bool) -> Self {
        Self {
            name: format!("node{number:03}"),
            mac_address: format!("52:54:00:00:00:{number:02x}"),
            address: format!("10.141.0.{number}"),
            firmware,
            root,
            known,
            has_bmc: false,
        }
    }

    fn with_bmc(self) -> Self {
        Self { has_bmc: true, ..self }
    }

    /// The same machine at another address.
    pub(crate) fn at(self, address: &str) -> Self {
        Self { address: address.to_owned(), ..self }
    }

    /// The same machine with a card whose address its maker has given it: Kea knows no other by a link-local address.
    pub(crate) fn with_a_makers_card(self) -> Self {
        let mac_address = self.mac_address.replacen("52:54:00", "00:16:3e", 1);
        Self { mac_address, ..self }
    }

    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    pub(crate) fn group(&self) -> &'static str {
        match self.root {
            Root::Ram => "ram",
            Root::Disk => "disk",
        }
    }
}

/// A machine that its BMC switches.
pub(crate) fn with_bmc() -> Member {
    Member::new(1, Firmware::Bios, Root::Ram, true).with_bmc()
}

pub(crate) fn demo() -> Vec<Member> {
    vec![
        with_bmc(),
        Member::new(2, Firmware::Uefi, Root::Ram, true),
        Member::new(3, Firmware::UefiWithoutRom, Root::Disk, true),
        Member::new(4, Firmware::Bios, Root::Ram, false),
    ]
}

pub(crate) fn vmtest() -> Vec<Member> {
    vec![
        with_bmc(),
        Member::new(2, Firmware::UefiWithoutRom, Root::Disk, true),
        Member::new(3, Firmware::Bios, Root::Ram, false),
    ]
}

/// A node that is installed on a disk.
pub(crate) fn on_disk(number: u8, firmware: Firmware) -> Member {
    Member::new(number, firmware, Root::Disk, true)
}

/// A node whose root is in memory, with the firmware's own network boot.
pub(crate) fn in_memory_by_own_firmware(number: u8) -> Member {
    Member::new(number, Firmware::UefiWithoutRom, Root::Ram, true)
}

/// The same by the firmware's HTTP boot.
pub(crate) fn in_memory_by_http(number: u8) -> Member {
    Member::new(number, Firmware::UefiHttp, Root::Ram, true)
}

/// A node whose root is in memory.
pub(crate) fn in_memory(number: u8) -> Member {
    Member::new(number, Firmware::Bios, Root::Ram, true)
}

/// One machine of each kind of firmware; the last is as the first.
pub(crate) fn firmwaretest() -> Vec<Member> {
    let kinds = [
        Firmware::Bios,
        Firmware::BiosUndi,
        Firmware::Uefi,
        Firmware::UefiWithoutRom,
        Firmware::UefiHttp,
        Firmware::Arm64,
        Firmware::Arm64Http,
        Firmware::Bios,
    ];
    let member = |(number, firmware)| Member::new(number, firmware, Root::Ram, true);
    (1..).zip(kinds).map(member).collect()
}
