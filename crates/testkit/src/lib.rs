//! For tests and demonstrations only: a network of its own ([`lab`]) with machines that boot in it
//! ([`machine`]), simulated BMCs ([`bmc`]) that may have a machine of their own ([`chassis`]), databases of old sites ([`luna`]),
//! an LDAP server ([`slapd`]), a PostgreSQL ([`postgres`]) and what loses its connections ([`proxy`]), switches ([`snmpd`]), clocks that are wrong ([`wall_clock`]),
//! servers that a site runs itself ([`services`]), and commands that
//! cannot hang ([`process`]).
//!
//! Whatever is started here ends: every wait has a limit, and dropping a lab or a machine removes it.

pub mod auto_failover;
pub mod bmc;
pub mod chassis;
pub mod lab;
pub mod luna;
pub mod machine;
pub mod patroni;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod services;
pub mod slapd;
pub mod snmpd;
pub mod wall_clock;

pub use auto_failover::AutoFailover;
pub use bmc::Bmc;
pub use lab::Lab;
pub use machine::Machine;
pub use patroni::Patroni;
pub use port::free_port;
pub use postgres::Postgres;
pub use process::{Limit, Stop};
pub use proxy::{Cut, Proxy};
pub use snmpd::Snmpd;
pub use wall_clock::WallClock;

/// What can go wrong around machines and the commands that make them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{command}` did not start: is the program installed?")]
    NotStarted { command: String, source: std::io::Error },
    #[error("`{command}` failed ({status}):\n{output}")]
    Failed { command: String, status: std::process::ExitStatus, output: String },
    #[error("`{command}` was not done after {seconds} s:\n{output}")]
    TimedOut { command: String, seconds: u64, output: String },
    #[error("interrupted")]
    Interrupted,
    #[error("{what} is not on this machine; looked for {paths}")]
    Missing { what: &'static str, paths: String },
    #[error("{what} {path}")]
    File { what: &'static str, path: String, source: std::io::Error },
    #[error("the thread could not enter network namespace {name}")]
    Namespace { name: String, source: std::io::Error },
    #[error("machine {machine} does not answer on its control socket: {reason}")]
    Control { machine: String, reason: String },
}
