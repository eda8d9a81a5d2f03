//! How a command fails: what is said, what can be done about it, and the code that scripts see.

use std::io;
use std::process::ExitCode;

use perilune::client::{self, access};

use crate::output::note;
use crate::output::table::{Tone, paint};

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it failed, for at least one of the names given
  2  the command line is wrong
  3  the daemon cannot be reached, or does not let us in
  4  what was named does not exist";

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Client(#[from] client::Error),
    #[error("{message}")]
    Usage { message: String },
    #[error("{message}")]
    NotFound { message: String, hint: String },
    #[error("{message}")]
    Failed { message: String, hint: Option<String> },
    /// All has been said, name by name.
    #[error("some failed")]
    Reported { code: u8 },
    #[error(transparent)]
    Output(#[from] io::Error),
    #[error("the daemon: {0}")]
    Serve(#[from] anyhow::Error),
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into() }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), hint: None }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Client(error) => client_code(error),
            Self::Usage { .. } => 2,
            Self::NotFound { .. } => 4,
            Self::Reported { code } => *code,
            Self::Failed { .. } | Self::Output(_) | Self::Serve(_) => 1,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Client(error) => client_hint(error),
            Self::NotFound { hint, .. } => Some(hint.clone()),
            Self::Failed { hint, .. } => hint.clone(),
            Self::Usage { .. } | Self::Reported { .. } | Self::Output(_) | Self::Serve(_) => None,
        }
    }
}

/// Says what failed and gives the code for it.
pub(crate) fn report(failure: &Failure) -> ExitCode {
    match failure {
        // The reader has seen enough, as in `perilune node list | head`.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Failure::Reported { .. } => {}
        Failure::Serve(error) => error_line(&format!("{error:#}")),
        failure => error_line(&failure.to_string()),
    }
    if let Some(hint) = failure.hint() {
        note(&hint);
    }
    ExitCode::from(failure.code())
}

/// `error: …` on standard error.
pub(crate) fn error_line(message: &str) {
    let colour = console::colors_enabled_stderr();
    note(&format!("{} {message}", paint("error:", Tone::Bad, colour)));
}

pub(crate) fn client_code(error: &client::Error) -> u8 {
    match error {
        client::Error::Unreachable { .. }
        | client::Error::LoginRefused { .. }
        | client::Error::Access(_)
        | client::Error::Trust(_)
        | client::Error::Malformed { .. } => 3,
        client::Error::NotFound { .. } => 4,
        client::Error::Refused { .. } | client::Error::File { .. } => 1,
    }
}

fn client_hint(error: &client::Error) -> Option<String> {
    let hint = match error {
        client::Error::Unreachable { source, .. } if is_tls(source) => {
            "who answers there cannot be believed to be the daemon; if its certificate is the site's own, name it: \
             --certificate FILE (DIR/tls.crt in the daemon's data directory)"
        }
        client::Error::Unreachable { .. } => {
            "is it running? start it with `perilune serve`, or say where it is: --url http://CONTROLLER:7050"
        }
        client::Error::LoginRefused { .. } => {
            "log in with `perilune login`, or name the daemon's own file: --config DIR/luna.ini"
        }
        client::Error::Access(access::Error::Missing { unreadable: Some(_), .. }) => {
            "run this as the user of the daemon (sudo), or log in with `perilune login`"
        }
        client::Error::Access(access::Error::Missing { .. }) => {
            "log in with `perilune login --url http://CONTROLLER:7050`, name the daemon's own file with \
             --config DIR/luna.ini,\nor start a daemon here: perilune serve --data-dir ./perilune-data"
        }
        client::Error::Access(access::Error::Configuration { .. }) => {
            "the daemon writes this file at its first start, in its data directory"
        }
        client::Error::Malformed { .. } => "check the address: --url http://CONTROLLER:7050",
        client::Error::Trust(_)
        | client::Error::NotFound { .. }
        | client::Error::Refused { .. }
        | client::Error::File { .. } => return None,
    };
    Some(hint.to_owned())
}

fn is_tls(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Tls(_) | ureq::Error::TlsRequired | ureq::Error::Rustls(_) => true,
        ureq::Error::Io(error) => of_tls(error).is_some(),
        _ => false,
    }
}

fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// So many letters of a name allow for one slip.
const LETTERS_FOR_A_SLIP: usize = 3;

/// What is like `name` among `known`, as a sentence.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>, list: &str) -> String {
    let mut close: Vec<(usize, &str)> = known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= name.len().max(known.len()) / LETTERS_FOR_A_SLIP)
        .collect();
    close.sort_unstable();
    let names: Vec<&str> = close.into_iter().take(3).map(|(_, name)| name).collect();
    if names.is_empty() {
        format!("`{list}` shows what there is")
    } else {
        format!("did you mean {}?", names.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use perilune::client::Error;

    use super::{Failure, nearest};

    #[test]
    fn a_slip_of_the_finger_is_answered_with_what_was_meant() {
        let known = ["node001", "node002", "login"];
        let hint = |name: &str| nearest(name, known.into_iter(), "perilune node list");
        assert_eq!(hint("ndoe001"), "did you mean node001 or node002?");
        assert_eq!(hint("logni"), "did you mean login?");
        assert_eq!(hint("x"), "`perilune node list` shows what there is");
        assert_eq!(hint("storage"), "`perilune node list` shows what there is");
    }

    #[test]
    fn scripts_can_tell_the_ways_to_fail_apart() {
        let refused = Error::Refused { status: 400, message: String::new() };
        let login = Error::LoginRefused { url: String::new(), message: String::new() };
        let missing = Error::NotFound { message: String::new() };
        let codes = [
            Failure::Client(refused).code(),
            Failure::usage("").code(),
            Failure::Client(login).code(),
            Failure::Client(missing).code(),
        ];
        assert_eq!(codes, [1, 2, 3, 4]);
    }
}
