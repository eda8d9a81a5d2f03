//! How one BMC is spoken to.

use super::line::Patience;
use super::session::Privilege;
use super::suite::Suite;

/// How one BMC is spoken to.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub port: u16,
    pub privilege: Privilege,
    /// In the order in which they are offered; the first that the BMC takes is used, and remembered.
    pub suites: Vec<Suite>,
    pub patience: Patience,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 623,
            privilege: Privilege::default(),
            suites: vec![Suite::Seventeen, Suite::Three],
            patience: Patience::default(),
        }
    }
}
