//! Which program the firmware of a machine is given by the files of a site's own DHCP server.

use crate::site::{CONTROLLER, Machine};

use super::Beside;

/// What firmware says of itself, as options of udhcpc, and what it fetches: a file by TFTP, one by HTTP, or nothing.
const FIRMWARE: [(&[&str], Fetched); 20] = [
    // No type: whoever does not boot.
    (&[], Fetched::Tftp("luna_undionly.kpxe")),
    (&["-x", "0x5d:0000"], Fetched::Tftp("luna_undionly.kpxe")),
    (&["-x", "0x5d:0007"], Fetched::Tftp("luna_ipxe.efi")),
    (
        &["-V", "PXEClient:Arch:00007:UNDI:003016", "-x", "0x5d:0007"],
        Fetched::Tftp("luna_ipxe.efi"),
    ),
    (&["-x", "0x5d:0009"], Fetched::Tftp("luna_ipxe.efi")),
    (&["-x", "0x5d:000b"], Fetched::Tftp("luna_ipxe_arm64.efi")),
    // Of several types the first is the one that runs.
    (&["-x", "0x5d:00070009"], Fetched::Tftp("luna_ipxe.efi")),
    (&["-x", "0x5d:0000000600070009"], Fetched::Tftp("luna_undionly.kpxe")),
    (
        &["-V", "HTTPClient:Arch:00016:UNDI:003001", "-x", "0x5d:0010"],
        Fetched::Http("luna_ipxe.efi"),
    ),
    (&["-V", "HTTPClient", "-x", "0x5d:0010"], Fetched::Http("luna_ipxe.efi")),
    (
        &["-V", "HTTPClient:Arch:00019:UNDI:003001", "-x", "0x5d:0013"],
        Fetched::Http("luna_ipxe_arm64.efi"),
    ),
    // The class tells the way, where it is there.
    (&["-V", "HTTPClient", "-x", "0x5d:0007"], Fetched::Http("luna_ipxe.efi")),
    (&["-V", "HTTPClient", "-x", "0x5d:000b"], Fetched::Http("luna_ipxe_arm64.efi")),
    (&["-x", "0x5d:0010"], Fetched::Http("luna_ipxe.efi")),
    (&["-V", "PXEClient:Arch:00016", "-x", "0x5d:0010"], Fetched::Tftp("luna_ipxe.efi")),
    (&["-V", "PXEClient:Arch:00019", "-x", "0x5d:0013"], Fetched::Tftp("luna_ipxe_arm64.efi")),
    // There is no program for 32 bits, Petitboot, BIOS by HTTP or RISC-V.
    (&["-V", "HTTPClient", "-x", "0x5d:000f"], Fetched::Nothing),
    (&["-x", "0x5d:000e"], Fetched::Nothing),
    (&["-V", "HTTPClient", "-x", "0x5d:0014"], Fetched::Nothing),
    (&["-x", "0x5d:001b"], Fetched::Nothing),
];

#[derive(Debug, Clone, Copy)]
enum Fetched {
    Tftp(&'static str),
    Http(&'static str),
    Nothing,
}

/// Asks as every kind of firmware, and as a node with a program of its own. Firmware that boots by HTTP hears its own class alone.
pub(super) fn suit_the_firmware(beside: &Beside, node: &Machine, udhcpc: &str) {
    for (words, fetched) in FIRMWARE {
        asks(node, udhcpc, words, fetched);
    }
    beside.site.cli(&["node", "change", "node001", "--ipxe-kernel", "alternative"]);
    let own = ["-x", "0x5d:0007"];
    beside.until("a node's own boot program is not given", || {
        node.udhcpc(udhcpc, &own).is_ok_and(|told| told.get("boot_file") == "luna_snponly.efi")
    });
    asks(node, udhcpc, &["-V", "HTTPClient", "-x", "0x5d:0010"], Fetched::Http("luna_snponly.efi"));
    asks(node, udhcpc, &["-x", "0x5d:000b"], Fetched::Tftp("luna_snponly_arm64.efi"));
    asks(
        node,
        udhcpc,
        &["-V", "HTTPClient", "-x", "0x5d:0013"],
        Fetched::Http("luna_snponly_arm64.efi"),
    );
    asks(node, udhcpc, &["-x", "0x5d:0000"], Fetched::Tftp("luna_undionly.kpxe"));
    beside.site.cli(&["node", "change", "node001", "--ipxe-kernel", ""]);
}

fn asks(node: &Machine, udhcpc: &str, words: &[&str], fetched: Fetched) {
    let told = node.udhcpc(udhcpc, words).unwrap();
    let is_by_http = words.contains(&"HTTPClient");
    let (file, class) = match fetched {
        Fetched::Tftp(file) => (file.to_owned(), ""),
        Fetched::Http(file) => (format!("http://{CONTROLLER}:7050/files/{file}"), "HTTPClient"),
        Fetched::Nothing if is_by_http => (String::new(), "HTTPClient"),
        Fetched::Nothing => (String::new(), ""),
    };
    // The client has not asked for the class.
    assert_eq!((told.get("boot_file"), told.get("vendor")), (file.as_str(), class), "{words:?}");
}
