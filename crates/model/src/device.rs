//! Switches, other devices and clouds.

mod address;
pub mod cloud;
pub mod other;
mod port;
pub mod switch;
pub mod switch_interface;
pub mod ztp;

pub use address::PlaceRequest;
pub use port::Port;
use serde::{Deserialize, Serialize};
pub use switch_interface::SwitchInterface;
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
