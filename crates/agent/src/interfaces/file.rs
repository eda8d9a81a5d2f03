//! What is written, whatever configures the network.

use super::device::{Device, Match};

/// A file to be written.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) mode: u32,
}

/// A file that has udev give a card the name of its interface, so that a device is called the same whatever configures it.
pub(super) fn naming_rule(device: &Device<'_>) -> Option<File> {
    let Match::Mac(mac) = device.matched else { return None };
    let name = device.system_name();
    Some(File {
        path: format!("etc/systemd/network/10-perilune-{name}.link"),
        // Releases before systemd 245 know only the first of these; a VLAN or a bond, which has the same address, they then try to
        // rename to a name that is taken, which changes nothing.
        text: format!(
            "[Match]\nMACAddress={mac}\nPermanentMACAddress={mac}\n\n[Link]\nName={name}\n"
        ),
        mode: 0o644,
    })
}

/// The same for a port of InfiniBand: by its GUID, since the rest of its address is another at each start. Only udev's own rules can
/// say that.
pub(super) fn port_rule(device: &Device<'_>) -> Option<File> {
    let guid: Vec<String> = device.guid?.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = device.system_name();
    Some(File {
        path: format!("etc/udev/rules.d/70-perilune-{name}.rules"),
        text: format!(
            "ACTION==\"add\", SUBSYSTEM==\"net\", ATTR{{type}}==\"32\", ATTR{{address}}==\"?*{}\", NAME=\"{name}\"\n",
            guid.join(":")
        ),
        mode: 0o644,
    })
}
