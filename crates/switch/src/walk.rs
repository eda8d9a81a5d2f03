//! Tables of a switch, row by row.

use std::net::SocketAddr;
use std::time::Duration;

use async_snmp::error::WalkAbortReason;
use async_snmp::transport::UdpHandle;
use async_snmp::{Auth, Client, Oid, Retry, Value, WalkOptions};

use crate::{Error, Target};

/// How long one answer is waited for. The processor of a switch is slow, and collects thirty rows of its table for one answer.
const TIME: Duration = Duration::from_millis(1_800);
/// How often a request is repeated that nobody answers. A machine that boots waits four seconds for what switches say: one that is dead
/// must be known as such before.
const RETRIES: u32 = 1;
/// Rows in one answer: as many as fit into one packet of a network without jumbo frames.
const ROWS: u32 = 30;

/// One switch that is being read.
pub(crate) struct Session {
    client: Client<UdpHandle>,
    address: SocketAddr,
}

/// A row of a table.
pub(crate) struct Row {
    /// What follows the table in the row's identifier.
    pub(crate) index: Vec<u32>,
    pub(crate) value: Value,
}

impl Session {
    pub(crate) async fn open(target: &Target) -> Result<Self, Error> {
        let address = target.address;
        let unreachable = |source| Error::Unreachable { address, source };
        // Answers from elsewhere do not count: they decide which node a machine is.
        let builder = Client::builder(address, Auth::v2c(target.community.as_str()))
            .request_timeout(TIME)
            .retry(Retry::fixed(RETRIES, Duration::ZERO).unwrap_or_else(|_error| Retry::none()))
            .strict_source(true);
        let client = builder.connect().await.map_err(unreachable)?;
        Ok(Self { client, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every row of a table, which has at most so many.
    pub(crate) async fn rows(&self, table: Oid, most: usize) -> Result<Vec<Row>, Error> {
        let failed = |error| self.failure(error, &table, most);
        let options = WalkOptions {
            max_repetitions: ROWS,
            result_limit: Some(most),
            ..WalkOptions::default()
        };
        let mut walk = self.client.walk_with(table.clone(), options).map_err(failed)?;
        let mut rows = Vec::new();
        while let Some(row) = walk.next().await {
            let row = row.map_err(failed)?;
            let index = row.oid.strip_prefix(&table).map(|index| index.arcs().to_vec());
            rows.extend(index.map(|index| Row { index, value: row.value }));
        }
        Ok(rows)
    }

    fn failure(&self, error: Box<async_snmp::Error>, table: &Oid, most: usize) -> Error {
        let address = self.address;
        match error.exchange_source() {
            async_snmp::Error::Timeout { .. } => Error::Silent { address },
            async_snmp::Error::Network { .. } | async_snmp::Error::Closed { .. } => {
                Error::Unreachable { address, source: error }
            }
            async_snmp::Error::WalkAborted {
                reason: WalkAbortReason::ResultLimitExceeded { .. },
                ..
            } => Error::TooMany { address, table: table.to_string(), most },
            _ => Error::Garbled { address, source: error },
        }
    }
}
