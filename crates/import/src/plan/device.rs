//! Switches, other devices and clouds.

use perilune_model::Name;
use perilune_model::device::{Cloud, OtherDevice, Switch};

use super::Planner;
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
