//! Why a switch cannot be read. No message holds a community.

use std::net::SocketAddr;

/// Why a switch cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It says nothing. A switch says nothing to a wrong community, either.
    #[error(
        "{address} does not answer SNMP requests; is it on, and are its address and its community for reading right?"
    )]
    Silent {
        /// Where it was asked.
        address: SocketAddr,
    },
    /// It cannot be asked from here.
    #[error("{address} cannot be asked")]
    Unreachable {
        /// Where it is.
        address: SocketAddr,
        /// Why not.
        source: Box<async_snmp::Error>,
    },
    /// It answers, and does not end.
    #[error("{address} was not done after {seconds} seconds")]
    TooSlow {
        /// Where it was asked.
        address: SocketAddr,
        /// How long it was listened to.
        seconds: u64,
    },
    /// It lists more than anybody has.
    #[error("{address} lists more than {most} rows below {table}")]
    TooMany {
        /// Where it was asked.
        address: SocketAddr,
        /// The table.
        table: String,
        /// As many as are taken.
        most: usize,
    },
    /// Its answer means nothing.
    #[error("{address} answers what cannot be understood")]
    Garbled {
        /// Where it was asked.
        address: SocketAddr,
        /// What is wrong with it.
        source: Box<async_snmp::Error>,
    },
    /// What is to be read from it is no table.
    #[error(
        "the oid '{table}' of {address} cannot be read; write numbers joined by dots, such as {}",
        crate::BY_VLAN
    )]
    Table {
        /// Where it would have been asked.
        address: SocketAddr,
        /// What was given.
        table: String,
    },
    /// The table is there and lists something else.
    #[error(
        "{address} lists no hardware addresses by port below {table}; most switches do below {} or {}",
        crate::BY_VLAN,
        crate::BY_ADDRESS
    )]
    NoStations {
        /// Where it was asked.
        address: SocketAddr,
        /// The table.
        table: String,
    },
}
