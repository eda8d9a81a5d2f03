//! What can go wrong between here and a BMC. A variant exists because somebody acts on it differently: the engine
//! (is it worth another try?), or the administrator (what is to be done?).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Action, PowerState};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{address} cannot be reached; is the BMC plugged in, and its address right?")]
    Unreachable { address: SocketAddr, source: std::io::Error },
    #[error("no answer from {address} ({tries} tries in {:.1} s)", .waited.as_secs_f64())]
    TimedOut {
        address: SocketAddr,
        tries: u32,
        waited: Duration,
        /// False for one that has not said a word in all this time.
        has_answered: bool,
    },
    #[error("{address} answered, but nothing that could be used: {reason}")]
    Garbled { address: SocketAddr, reason: &'static str },
    #[error(
        "{address} refuses user name or password of \"{user}\"; correct the BMC setup (not tried again)"
    )]
    WrongPassword { address: SocketAddr, user: String },
    #[error("{address} does not let \"{user}\" do this; the user needs more privilege")]
    NotPermitted { address: SocketAddr, user: String },
    #[error("{address} has no free session; try again in a minute")]
    NoFreeSession { address: SocketAddr },
    #[error("{address} lost the session")]
    SessionLost { address: SocketAddr },
    #[error("{address} refused: {reason}")]
    Rejected { address: SocketAddr, reason: String },
    #[error("{action} is not supported by {by}")]
    Unsupported { action: Action, by: String },
    #[error(
        "\"{action}\" may or may not have reached {address}; ask for its status before doing it again"
    )]
    Unconfirmed { action: Action, address: SocketAddr },
    #[error("{action} was accepted, but the power is still {seen} after {:.0} s", .waited.as_secs_f64())]
    NotChanged { action: Action, seen: PowerState, waited: Duration },
    #[error("another request is just doing \"{action}\" on this BMC; try again when it has ended")]
    Busy { action: Action },
    #[error("not tried for another {} s, because lately: {reason}", .remaining.as_secs().max(1))]
    Held { reason: String, remaining: Duration },
    #[error(
        "{address} has another certificate than before ({seen} instead of {expected}); if it was replaced, forget the old one"
    )]
    CertificateChanged { address: SocketAddr, expected: String, seen: String },
    #[error("the certificate of {address} is not trusted: {reason}")]
    CertificateRefused { address: SocketAddr, reason: String },
    #[error(
        "{address} speaks only TLS that is too old for Redfish here ({seen}); speak IPMI to it (driver ipmi or auto of its BMC setup), or update its firmware"
    )]
    OldTls { address: SocketAddr, seen: String },
    #[error("control plugin {}: {reason}", .path.display())]
    Plugin { path: PathBuf, reason: String },
    #[error("not done in time: the deadline of {:.0} s for the whole request has passed", .deadline.as_secs_f64())]
    DeadlinePassed { deadline: Duration },
    #[error("cancelled")]
    Cancelled,
    #[error("no socket for speaking to BMCs can be had")]
    Local { source: std::io::Error },
}

impl Error {
    /// Whether the same may work a moment later. What was refused stays refused; what may have happened already is
    /// not done again behind the administrator's back.
    pub fn is_passing(&self) -> bool {
        match self {
            // It has been asked several times.
            Self::TimedOut { has_answered, .. } => *has_answered,
            Self::Unreachable { .. }
            | Self::Garbled { .. }
            | Self::NoFreeSession { .. }
            | Self::SessionLost { .. }
            | Self::Local { .. } => true,
            Self::WrongPassword { .. }
            | Self::NotPermitted { .. }
            | Self::Rejected { .. }
            | Self::Unsupported { .. }
            | Self::Unconfirmed { .. }
            | Self::NotChanged { .. }
            | Self::Busy { .. }
            | Self::Held { .. }
            | Self::CertificateChanged { .. }
            | Self::CertificateRefused { .. }
            | Self::OldTls { .. }
            | Self::Plugin { .. }
            | Self::DeadlinePassed { .. }
            | Self::Cancelled => false,
        }
    }

    /// Whether it says that the BMC itself does not work, rather than that it said no.
    pub fn is_of_a_dead_bmc(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Garbled { .. })
    }

    /// What went wrong in a few words that are the same for all BMCs to which it happened, so that they can be listed together.
    pub fn brief(&self) -> String {
        match self {
            Self::Unreachable { .. } => "unreachable".to_owned(),
            Self::TimedOut { .. } => "no answer".to_owned(),
            Self::Garbled { .. } => "answers nonsense".to_owned(),
            Self::WrongPassword { user, .. } => {
                format!("refuses user name or password of \"{user}\"")
            }
            Self::NotPermitted { user, .. } => format!("\"{user}\" is not permitted to do this"),
            Self::NoFreeSession { .. } => "has no free session".to_owned(),
            Self::SessionLost { .. } => "lost the session".to_owned(),
            Self::Rejected { reason, .. } => format!("refused: {reason}"),
            Self::Unconfirmed { .. } => "may or may not have been done".to_owned(),
            Self::NotChanged { seen, .. } => format!("accepted, but the power is still {seen}"),
            Self::Held { reason, .. } => format!("not tried, because it failed lately: {reason}"),
            Self::CertificateChanged { .. } => "shows another certificate than before".to_owned(),
            Self::CertificateRefused { reason, .. } => format!("certificate not trusted: {reason}"),
            Self::OldTls { seen, .. } => {
                format!("speaks only TLS that is too old for Redfish here ({seen}); speak IPMI")
            }
            Self::Unsupported { .. }
            | Self::Busy { .. }
            | Self::Plugin { .. }
            | Self::DeadlinePassed { .. }
            | Self::Cancelled
            | Self::Local { .. } => self.to_string(),
        }
    }

    /// The message with its causes, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            text.push_str(": ");
            text.push_str(&source.to_string());
            cause = source.source();
        }
        text
    }
}
