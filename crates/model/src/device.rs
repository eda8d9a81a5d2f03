//! Switches, other devices and clouds.

mod address;
pub mod cloud;
pub mod other;
mod port;
pub mod switch;
pub mod switch_interface;
pub mod ztp;

use std::net::IpAddr;

pub use address::PlaceRequest;
pub use port::Port;
use serde::{Deserialize, Serialize};
pub use ztp::Ztp;

use crate::{Addresses, Name};

/// A network switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Switch {
    /// Its host name.
    pub name: Name,
    /// Hardware address as it was sent, colons between the pairs.
    pub macaddress: Option<String>,
    /// Its network; unset while it has an address means one outside of all networks.
    pub network: Option<Name>,
    /// Its addresses.
    pub addresses: Addresses,
    /// SNMP object that lists hardware addresses by port.
    pub oid: Option<String>,
    /// SNMP community for reading.
    pub read: Option<String>,
    /// SNMP community for writing.
    pub rw: Option<String>,
    /// Ports that lead to other switches.
    pub uplinkports: Option<String>,
    /// Who made it.
    pub vendor: Option<String>,
    /// Free text, as clients sent it.
    pub comment: Option<String>,
    /// What it is told when it begins to boot.
    #[serde(skip_serializing_if = "Ztp::is_unsaid")]
    pub ztp: Ztp,
    /// Ports with addresses of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<SwitchInterface>,
}

/// A port of a switch with addresses of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SwitchInterface {
    /// Its name, such as `swp1` or `eth0`.
    pub name: Name,
    /// Its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Name>,
    /// Its addresses.
    pub addresses: Addresses,
    /// Hardware address as it was sent, colons between the pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macaddress: Option<String>,
    /// The switch is managed by it: it has the switch's own name in the domain of its network.
    pub mgmt: bool,
}

impl Switch {
    /// The interface of this name.
    pub fn interface(&self, name: &str) -> Option<&SwitchInterface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// The interface that it is managed by.
    pub fn management(&self) -> Option<&SwitchInterface> {
        self.interfaces.iter().find(|interface| interface.mgmt)
    }

    /// Where the switch has its own name: each network with the addresses in it.
    pub fn named(&self) -> impl Iterator<Item = (Option<&Name>, Addresses)> {
        let managed = self.management().map(|own| (own.network.as_ref(), own.addresses));
        std::iter::once((self.network.as_ref(), self.addresses)).chain(managed)
    }

    /// All of its hardware addresses, as they were sent, each with the network and the addresses that belong to it.
    pub fn hardware(&self) -> impl Iterator<Item = (&str, Option<&Name>, Addresses)> {
        let own =
            self.macaddress.as_deref().map(|mac| (mac, self.network.as_ref(), self.addresses));
        let interfaces = self.interfaces.iter().filter_map(|own| {
            Some((own.macaddress.as_deref()?, own.network.as_ref(), own.addresses))
        });
        own.into_iter().chain(interfaces)
    }

    /// Whether the switch has this address.
    pub fn has_address(&self, address: IpAddr) -> bool {
        let interfaces = self.interfaces.iter().map(|interface| interface.addresses);
        std::iter::once(self.addresses)
            .chain(interfaces)
            .any(|own| own.iter().any(|own| own == address))
    }
}

impl Default for Switch {
    fn default() -> Self {
        Self {
            name: Name::default(),
            macaddress: None,
            network: None,
            addresses: Addresses::default(),
            oid: Some(".1.3.6.1.2.1.17.7.1.2.2.1.2".to_owned()),
            read: Some("public".to_owned()),
            rw: Some("trusted".to_owned()),
            uplinkports: None,
            vendor: None,
            comment: None,
            ztp: Ztp::default(),
            interfaces: Vec::new(),
        }
    }
}

impl Switch {
    /// Whether a port leads to another switch, so that what is seen there is not connected to it.
    pub fn is_uplink(&self, port: &Port) -> bool {
        let uplinks = self.uplinkports.as_deref().unwrap_or_default();
        uplinks.split(',').any(|text| port.is_meant_by(text))
    }
}

/// A device that has an address and is not provisioned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OtherDevice {
    /// Its host name.
    pub name: Name,
    /// Hardware address as it was sent, colons between the pairs.
    pub macaddress: Option<String>,
    /// Its network; unset while it has an address means one outside of all networks.
    pub network: Option<Name>,
    /// Its addresses.
    pub addresses: Addresses,
    /// Who made it.
    pub vendor: Option<String>,
    /// Free text, as clients sent it.
    pub comment: Option<String>,
}

/// A cloud that nodes live in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cloud {
    /// The name.
    pub name: Name,
    /// Whose it is: `aws`, `azure`, …
    pub r#type: Option<String>,
    /// Free text, as clients sent it.
    pub comment: Option<String>,
}
