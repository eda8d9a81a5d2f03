//! BMC setups: how the BMCs of nodes are reached.

mod credentials;
mod members;
mod save;

use std::fmt;

pub use credentials::check as check_credentials;
pub use members::members;
pub use save::{Request, clone, save};
use serde::{Deserialize, Serialize};

use crate::Name;
use crate::provisioning::UnmanagedUsers;

/// How BMCs are set up and reached.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BmcSetup {
    /// The name.
    pub name: Name,
    /// The number of the user on the BMC.
    pub userid: u32,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: String,
    /// The channel of the BMC's network.
    pub netchannel: u32,
    /// The channel that the user may use.
    pub mgmtchannel: u32,
    /// What happens to other users.
    pub unmanaged_bmc_users: Option<UnmanagedUsers>,
    /// Which protocol the BMCs speak; unset is IPMI.
    pub driver: Option<Driver>,
    /// Another port than the protocol's own.
    pub port: Option<u16>,
    /// Which certificates of BMCs are believed; unset is the first one that is seen.
    pub certificate: Option<Certificate>,
    /// Which of several systems of a Redfish BMC is the machine, by the last part of its path; unset is the one that looks like it.
    pub system: Option<String>,
    /// Free text, as clients sent it.
    pub comment: Option<String>,
}

/// The protocol that BMCs are spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// IPMI 2.0 over LAN.
    Ipmi,
    /// Redfish over HTTPS.
    Redfish,
    /// Redfish where it is, else IPMI.
    Auto,
}

impl Driver {
    const ALL: [Self; 3] = [Self::Ipmi, Self::Redfish, Self::Auto];

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ipmi => "ipmi",
            Self::Redfish => "redfish",
            Self::Auto => "auto",
        }
    }

    /// The driver that the API knows by this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|driver| driver.word() == word)
    }
}

/// Which certificates of BMCs are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certificate {
    /// The first that is seen; later, that one only.
    Pin,
    /// One that an authority of the site has signed.
    Verify,
    /// Any.
    Any,
}

impl Certificate {
    const ALL: [Self; 3] = [Self::Pin, Self::Verify, Self::Any];

    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Verify => "verify",
            Self::Any => "any",
        }
    }

    /// What the API knows by this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|certificate| certificate.word() == word)
    }
}

impl Default for BmcSetup {
    fn default() -> Self {
        Self {
            name: Name::default(),
            userid: 2,
            username: "luna".to_owned(),
            password: String::new(),
            netchannel: 2,
            mgmtchannel: 2,
            unmanaged_bmc_users: None,
            driver: None,
            port: None,
            certificate: None,
            system: None,
            comment: None,
        }
    }
}

impl fmt::Debug for BmcSetup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BmcSetup")
            .field("name", &self.name)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
