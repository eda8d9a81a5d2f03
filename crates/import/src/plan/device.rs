//! Switches, other devices and clouds.

use perilune_model::device::switch_interface::MOST as MOST_INTERFACES;
use perilune_model::device::ztp::{Format, Protocol, System};
use perilune_model::device::{Cloud, OtherDevice, Switch, SwitchInterface, Ztp};
use perilune_model::{MacAddress, Name};

use super::planner::Planner;
use crate::reading::Reading;

impl Planner<'_> {
    pub(super) fn switches(&mut self) {
        for row in self.source.rows("switch") {
            let mut reading = Reading::new("switch", row, &mut self.report);
            let Some(name) = reading.own_name("name", Name::host) else {
                self.names.refused("switch", row.id);
                continue;
            };
            let switch = Switch {
                name,
                macaddress: reading.mac("macaddress").map(|mac| mac.to_string()),
                oid: reading.text("oid"),
                read: reading.text("read"),
                rw: reading.text("rw"),
                uplinkports: reading.text("uplinkports"),
                vendor: reading.text("vendor"),
                comment: reading.text("comment"),
                ztp: ztp(&mut reading),
                interfaces: interfaces(&mut reading),
                ..Switch::default()
            };
            let place = self.place("switch", row, switch.name.as_str());
            let (addresses, network) = (place.addresses, place.network);
            self.take("switch", row, Switch { addresses, network, ..switch });
        }
    }

    pub(super) fn other_devices(&mut self) {
        for row in self.source.rows("otherdevices") {
            let mut reading = Reading::new("otherdevices", row, &mut self.report);
            let Some(name) = reading.own_name("name", Name::host) else {
                self.names.refused("otherdevices", row.id);
                continue;
            };
            let device = OtherDevice {
                name,
                macaddress: reading.mac("macaddress").map(|mac| mac.to_string()),
                vendor: reading.text("vendor"),
                comment: reading.text("comment"),
                ..OtherDevice::default()
            };
            let place = self.place("otherdevices", row, device.name.as_str());
            let (addresses, network) = (place.addresses, place.network);
            self.take("otherdevices", row, OtherDevice { addresses, network, ..device });
        }
    }

    pub(super) fn clouds(&mut self) {
        for row in self.source.rows("cloud") {
            let mut reading = Reading::new("cloud", row, &mut self.report);
            let Some(name) = reading.own_name("name", Name::general) else {
                self.names.refused("cloud", row.id);
                continue;
            };
            let r#type = reading.text("type");
            let comment = reading.text("comment");
            self.take("cloud", row, Cloud { name, r#type, comment });
        }
    }
}

/// What a switch is told when it begins to boot. What cannot be is left out.
fn ztp(reading: &mut Reading<'_>) -> Ztp {
    let mut ztp = Ztp {
        netboot: reading.boolean("netboot"),
        default_url: reading.text("default_url"),
        bootfile: reading.text("bootfile"),
        ztpconfig: reading.confidential("ztpconfig"),
        ztpformat: reading
            .word("ztpformat", |word| Format::ALL.iter().copied().find(|one| one.word() == word)),
        ostype: reading
            .word("ostype", |word| System::ALL.iter().copied().find(|one| one.word() == word)),
        url_protocol: reading.word("url_protocol", |word| {
            Protocol::ALL.iter().copied().find(|one| one.word() == word)
        }),
        url_server: reading.text("url_server"),
        tftp_enable: reading.text("tftp_enable").map(|word| word.to_ascii_lowercase()),
    };
    for violation in ztp.violations() {
        reading.odd(&violation.field, format!("{}; read as unset", violation.reason));
        match violation.field.as_str() {
            "default_url" => ztp.default_url = None,
            "bootfile" => ztp.bootfile = None,
            "url_server" => ztp.url_server = None,
            _ => ztp.tftp_enable = None,
        }
    }
    ztp
}

/// Ours alone: a text of JSON.
fn interfaces(reading: &mut Reading<'_>) -> Vec<SwitchInterface> {
    let Some(text) = reading.text("interfaces") else { return Vec::new() };
    let told: Vec<SwitchInterface> = serde_json::from_str(&text).unwrap_or_else(|_error| {
        reading.odd("interfaces", "it is no list of interfaces; read as unset");
        Vec::new()
    });
    let mut taken: Vec<SwitchInterface> = Vec::new();
    for mut interface in told {
        let name = interface.name.to_string();
        if let Err(error) = Name::interface(&name) {
            let reason = format!("'{name}' is not an interface name: {error}; left out");
            reading.odd("interfaces", reason);
            continue;
        }
        if taken.iter().any(|other| other.name == interface.name) {
            reading.odd("interfaces", format!("'{name}' is there twice; the second is left out"));
            continue;
        }
        if taken.len() >= MOST_INTERFACES {
            let reason = format!("there are more than {MOST_INTERFACES}; the others are left out");
            reading.odd("interfaces", reason);
            break;
        }
        let mac = interface.macaddress.as_deref();
        if mac.is_some_and(|mac| mac.parse::<MacAddress>().is_err()) {
            reading.odd("interfaces", format!("the macaddress of '{name}' is none; read as unset"));
            interface.macaddress = None;
        }
        // A switch has one interface that it is managed by.
        interface.mgmt &= !taken.iter().any(|other| other.mgmt);
        taken.push(interface);
    }
    taken
}
