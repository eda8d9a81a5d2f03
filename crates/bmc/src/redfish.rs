//! Redfish over HTTPS.

mod client;
mod deviations;
mod facts;
mod host;
mod log;
mod service;
mod tls;

pub use tls::{Fingerprint, InvalidFingerprint, Trust};

pub(crate) use service::Service;
pub(crate) use tls::Authorities;

/// How one BMC is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub port: u16,
    pub trust: Trust,
    pub authentication: Authentication,
    /// Which of the systems that the BMC manages is meant, by the last part of its path; None: the one that is a machine.
    pub system: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 443,
            trust: Trust::default(),
            authentication: Authentication::default(),
            system: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// The password with every request: fewest requests, and no session is left behind. A BMC that refuses it so gets it
    /// in a session.
    #[default]
    Basic,
    /// A session, closed at the end; where the BMC has none, the password with every request.
    Session,
}
