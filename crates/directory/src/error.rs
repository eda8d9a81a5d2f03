//! Why users and groups cannot be read or changed.

use crate::Kind;

/// Why users and groups cannot be read or changed. No message holds a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not there.
    #[error(
        "the program {0} is not installed; install it, or let [OSUSER] in luna.ini name another (OBOL) or an LDAP server (DRIVER = ldap)"
    )]
    NotInstalled(String),
    /// There is no such entry.
    #[error("there is no {} '{name}'", kind.word())]
    NotFound {
        /// Of what there is none.
        kind: Kind,
        /// The name that was asked for.
        name: String,
    },
    /// A value that cannot be.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field, as it stands in the request.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The program does not do it.
    #[error("{program} failed: {reason}")]
    Failed {
        /// The program and what it was to do.
        program: String,
        /// Its last words.
        reason: String,
    },
    /// The LDAP server does not do it.
    #[error("the LDAP server refuses it: {0}")]
    Refused(String),
    /// The LDAP server cannot be asked.
    #[error("the LDAP server {server} cannot be asked: {reason}")]
    Unreachable {
        /// Its address.
        server: String,
        /// Why not.
        reason: String,
    },
    /// It took too long.
    #[error("{what} did not answer within {seconds} seconds")]
    TimedOut {
        /// Who.
        what: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The program's answer is not what it should be.
    #[error("{program} answers with what is no JSON")]
    Malformed {
        /// The program and what it was to do.
        program: String,
    },
}
