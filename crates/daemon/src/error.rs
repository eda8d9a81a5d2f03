//! Why the daemon does not start, or stopped by itself.

use std::net::SocketAddr;

use crate::{cluster, config, control};

/// Why the daemon does not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error(transparent)]
    Configuration(#[from] config::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] perilune_store::Error),
    /// Nobody says where the database is that controllers share.
    #[error("no PostgreSQL database is named: say --database URL, or write [DATABASE] ENGINE = postgresql and HOSTS in {}", file.display())]
    NoDatabase {
        /// The configuration.
        file: std::path::PathBuf,
    },
    /// The shared database is empty, and there is a cluster here.
    #[error("the database {database} is empty, and {} has a cluster: bring it along with `perilune database move --from sqlite --to postgres`, or put that file away to begin anew", file.display())]
    NotMoved {
        /// The shared database.
        database: String,
        /// The database that the daemon had for itself.
        file: std::path::PathBuf,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}{}", hint(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// An address is named twice.
    #[error("{address} is listened on already: --listen {own} has it; leave one of them out")]
    ListenTwice {
        /// The address.
        address: SocketAddr,
        /// What has it.
        own: SocketAddr,
    },
    /// The system does not tell of signals.
    #[error("signals cannot be received")]
    Signal(#[source] std::io::Error),
    /// A part of the daemon ended that must not.
    #[error("a part of the daemon failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// The cluster of the first start is refused.
    #[error("the first cluster cannot be made")]
    FirstCluster(#[source] cluster::Error),
    /// Machines cannot be controlled.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// TFTP cannot be served.
    #[error(transparent)]
    Tftp(#[from] perilune_boot::tftp::Error),
    /// DHCP cannot be served on an interface.
    #[error("cannot serve machines on the interface {interface}{}", machines_hint(.source))]
    Interface {
        /// The interface.
        interface: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the tables of the shared database are those of an older program.
    pub fn is_older_layout(&self) -> bool {
        matches!(self, Self::Store(perilune_store::Error::Older { .. }))
    }
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            ": another program has it; stop that one, or choose another with --listen"
        }
        std::io::ErrorKind::PermissionDenied => {
            ": ports below 1024 need privileges; choose another with --listen"
        }
        std::io::ErrorKind::AddrNotAvailable => {
            ": this machine has no such address; choose another with --listen"
        }
        _ => "",
    }
}

fn machines_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            ": another program has UDP port 67 (DHCP) there; `ss -ulpn 'sport = :67'` names it. Stop that one, or leave out --dhcp-interface"
        }
        std::io::ErrorKind::PermissionDenied => {
            ": DHCP and TFTP need privileges; run perilune as root, or with CAP_NET_RAW and CAP_NET_BIND_SERVICE"
        }
        _ => "",
    }
}
